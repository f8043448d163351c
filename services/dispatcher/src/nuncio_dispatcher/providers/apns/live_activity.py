"""A Live Activity as APNs takes it.

Source: Apple, "Starting and updating Live Activities with ActivityKit push notifications".
"""

from collections.abc import Iterator
from datetime import datetime
from typing import Any, Final

from nuncio_dispatcher.domain.model import Message
from nuncio_dispatcher.domain.overrides import ActivityEvent, LiveActivity
from nuncio_runtime.errors import FieldViolation

FIELD: Final = "message.apns.live_activity"


def aps(message: Message, activity: LiveActivity, *, now: datetime) -> dict[str, Any]:
    """What the system reads. Of two requests it keeps the one with the later timestamp."""
    alert = {"title": message.title, "body": message.body, "sound": message.sound}
    parts: dict[str, Any] = {
        "timestamp": int(now.timestamp()),
        "event": activity.event.name.lower(),
        "content-state": activity.content_state,
        "stale-date": _seconds(activity.stale_date),
        "dismissal-date": _seconds(activity.dismissal_date),
        "relevance-score": activity.relevance_score,
        "attributes-type": activity.attributes_type or None,
        "attributes": activity.attributes,
        "input-push-channel": activity.input_push_channel or None,
        "input-push-token": 1 if activity.input_push_token else None,
        "alert": {name: text for name, text in alert.items() if text} or None,
    }
    return {name: part for name, part in parts.items() if part is not None}


def violations(activity: LiveActivity) -> Iterator[FieldViolation]:
    """What does not go together."""
    event, starts = activity.event, activity.event is ActivityEvent.START
    if activity.content_state is None and event is not ActivityEvent.END:
        yield FieldViolation(f"{FIELD}.content_state", "must be given unless the activity ends")
    if activity.dismissal_date is not None and event is not ActivityEvent.END:
        yield FieldViolation(f"{FIELD}.dismissal_date", "must be unset unless the activity ends")
    for name, given in (
        ("attributes_type", bool(activity.attributes_type)),
        ("attributes", activity.attributes is not None),
    ):
        if given != starts:
            rule = (
                "must be given when the activity starts"
                if starts
                else "must be unset unless the activity starts"
            )
            yield FieldViolation(f"{FIELD}.{name}", rule)
    for name, given in (
        ("input_push_channel", bool(activity.input_push_channel)),
        ("input_push_token", activity.input_push_token),
    ):
        if given and not starts:
            yield FieldViolation(f"{FIELD}.{name}", "must be unset unless the activity starts")


def _seconds(moment: datetime | None) -> int | None:
    return None if moment is None else int(moment.timestamp())
