"""The kinds of APNs requests: what each one asks of topic, priority and body.

Sources: Apple, "Sending notification requests to APNs", "Sending broadcast push notification
requests to APNs"; for MDM: Apple, "Sending MDM commands to a device".
"""

from collections.abc import Iterator, Mapping
from typing import Any, Final

from nuncio_dispatcher.domain.overrides import ActivityEvent, ApnsOverrides, PushType
from nuncio_dispatcher.providers.patch import child
from nuncio_runtime.errors import FieldViolation

TOPIC_SUFFIXES: Final[Mapping[PushType, str]] = {
    PushType.COMPLICATION: ".complication",
    PushType.CONTROLS: ".push-type.controls",
    PushType.FILEPROVIDER: ".pushkit.fileprovider",
    PushType.LIVEACTIVITY: ".push-type.liveactivity",
    PushType.LOCATION: ".location-query",
    PushType.PUSHTOTALK: ".voip-ptt",
    PushType.VOIP: ".voip",
    PushType.WIDGETS: ".push-type.widgets",
}
"""What follows the bundle id. Those that are not here have none; MDM has a topic of its own."""

MAY_SHOW: Final = frozenset({PushType.ALERT, PushType.LIVEACTIVITY, PushType.VOIP})
"""Whose body may have an alert, a sound or a badge in it."""

_EVENTS: Final = frozenset({"start", "update", "end"})
_OURS: Final = ApnsOverrides()


def shows(aps: Mapping[str, Any]) -> bool:
    """Whether the person sees or hears anything."""
    return bool(aps.get("alert") or aps.get("sound")) or aps.get("badge") is not None


def violations(
    overrides: ApnsOverrides | None, kind: PushType, content: Mapping[str, Any], *, channel: bool
) -> Iterator[FieldViolation]:
    """What does not go together: kind, body, topic and priority. channel: sent to a broadcast."""
    given = overrides or _OURS
    if not isinstance(content.get("aps", {}), Mapping):
        yield FieldViolation("message.apns.payload", "must have an object for aps")
    yield from _of_body(kind, content)
    yield from _of_priority(kind, given.priority)
    yield from _of_topic(kind, given.topic)
    if given.live_activity is not None and kind is not PushType.LIVEACTIVITY:
        yield FieldViolation("message.apns.push_type", "must be LIVEACTIVITY for a Live Activity")
    if channel:
        yield from _of_channel(kind, given)


def _of_body(kind: PushType, content: Mapping[str, Any]) -> Iterator[FieldViolation]:
    aps = child(content, "aps")
    if kind is PushType.ALERT and not shows(aps):
        rule = "must not be ALERT for a message that shows and plays nothing"
        yield FieldViolation("message.apns.push_type", rule)
    if kind not in MAY_SHOW and shows(aps):
        rule = f"must not be {kind.name} for a body with an alert, a sound or a badge"
        yield FieldViolation("message.apns.push_type", rule)
    if kind is PushType.BACKGROUND and aps.get("content-available") != 1:
        rule = "must keep aps.content-available at 1 for a background push"
        yield FieldViolation("message.apns.payload", rule)
    if kind is PushType.MDM and not isinstance(content.get("mdm"), str):
        yield FieldViolation("message.apns.payload", "must have mdm, the push magic, for MDM")
    if kind is PushType.LIVEACTIVITY and not _is_activity(aps):
        rule = "must be given for push type LIVEACTIVITY, or its parts in the payload's aps"
        yield FieldViolation("message.apns.live_activity", rule)


def _is_activity(aps: Mapping[str, Any]) -> bool:
    has_state = "content-state" in aps or aps.get("event") == "end"
    return aps.get("event") in _EVENTS and isinstance(aps.get("timestamp"), int) and has_state


def _of_priority(kind: PushType, priority: int | None) -> Iterator[FieldViolation]:
    if kind is PushType.BACKGROUND and priority not in (None, 5):
        yield FieldViolation("message.apns.priority", "must be 5 for a background push")
    if kind is PushType.LOCATION and priority not in (None, 5, 10):
        yield FieldViolation("message.apns.priority", "must be 5 or 10 for a location push")


def _of_topic(kind: PushType, topic: str) -> Iterator[FieldViolation]:
    suffix = TOPIC_SUFFIXES.get(kind, "")
    if kind is PushType.MDM and not topic:
        yield FieldViolation("message.apns.topic", "must be given for MDM")
    if topic and not topic.endswith(suffix):
        yield FieldViolation("message.apns.topic", f"must end with {suffix} for {kind.name}")


def _of_channel(kind: PushType, given: ApnsOverrides) -> Iterator[FieldViolation]:
    if kind is not PushType.LIVEACTIVITY:
        rule = "must be LIVEACTIVITY for a broadcast channel"
        yield FieldViolation("message.apns.push_type", rule)
    activity = given.live_activity
    if activity is not None and activity.event is ActivityEvent.START:
        rule = "must be UPDATE or END for a broadcast channel"
        yield FieldViolation("message.apns.live_activity.event", rule)
    for name, text in (("topic", given.topic), ("collapse_id", given.collapse_id)):
        if text:
            yield FieldViolation(f"message.apns.{name}", "must be empty for a broadcast channel")
