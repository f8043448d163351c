"""A message as an APNs request: headers and body, equal for all rows of a page.

Sources: Apple, "Generating a remote notification", "Sending notification requests to APNs",
"Sending broadcast push notification requests to APNs".
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple
from urllib.parse import quote

import orjson

from nuncio_dispatcher.domain.model import ApnsChannel, Message, Priority, PushToken
from nuncio_dispatcher.domain.overrides import ApnsOverrides, PushType
from nuncio_dispatcher.providers.apns import live_activity, push_types
from nuncio_dispatcher.providers.patch import child, merged
from nuncio_runtime.errors import FieldViolation

PAYLOAD_LIMIT: Final = 4096
"""Bytes of the body."""
WIDE_PAYLOAD_LIMIT: Final = 5120
"""The same, for VoIP and for broadcast channels."""
DEVICE_PATH: Final = "/3/device/"
BROADCAST_PATH: Final = "/4/broadcasts/apps/"

_OURS: Final = ApnsOverrides()
_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""For sizes: the seconds of every time until 2286 have as many digits."""


class Form(NamedTuple):
    """What the requests of a page have in common."""

    headers: tuple[tuple[str, str], ...]
    body: bytes
    bundle_id: str = ""

    def path(self, token: PushToken) -> str:
        """The request's path for a row."""
        if isinstance(token, ApnsChannel):
            return BROADCAST_PATH + self.bundle_id
        address = token.reveal()
        plain = address.isascii() and address.isalnum()
        return DEVICE_PATH + (address if plain else quote(address, safe="", errors="replace"))


def render(
    message: Message,
    *,
    topic: str,
    now: datetime,
    expires_at: datetime,
    token: PushToken | None = None,
) -> Form:
    """The form of a page that is sent now. APNs tries until the message's time to live is over.

    topic: the app's bundle id. token: one of those that the form is for; only an ApnsChannel makes
    a difference. The overrides' push type, topic and priority go before what is derived.
    """
    given, content = message.apns or _OURS, compose(message, now=now)
    kind = push_type(message, content)
    until = message.time_to_live if given.expiration is None else given.expiration
    headers = [
        ("apns-topic", given.topic or topic + push_types.TOPIC_SUFFIXES.get(kind, "")),
        ("apns-push-type", kind.name.lower()),
        ("apns-priority", str(given.priority or _priority(message, kind))),
        ("apns-expiration", str(expiration(until, now=now, expires_at=expires_at))),
    ]
    if isinstance(token, ApnsChannel):
        headers[0] = ("apns-channel-id", token.reveal())
    elif collapse := given.collapse_id or message.collapse_key:
        headers.append(("apns-collapse-id", collapse))
    return Form(tuple(headers), orjson.dumps(content), topic)


def push_type(message: Message, content: dict[str, Any]) -> PushType:
    """The kind of request: the overrides', or what the composed body is fit for."""
    given = message.apns or _OURS
    if given.push_type is not None:
        return given.push_type
    if given.live_activity is not None:
        return PushType.LIVEACTIVITY
    return PushType.ALERT if push_types.shows(child(content, "aps")) else PushType.BACKGROUND


def is_shown(message: Message) -> bool:
    """Whether the person sees or hears anything; else the push is one for the background."""
    return push_types.shows(_shown(message))


def expiration(until: datetime | timedelta, *, now: datetime, expires_at: datetime) -> int:
    """Unix seconds until which APNs may keep trying; 0: one attempt, nothing is stored."""
    if not until:
        return 0
    moment = until if isinstance(until, datetime) else now + until
    return int(min(moment, expires_at).timestamp())


def compose(message: Message, *, now: datetime) -> dict[str, Any]:
    """The body: `aps`, the link and image under these names, the message's own data, and over all
    that what the overrides say."""
    given = message.apns or _OURS
    if given.live_activity is not None:
        content: dict[str, Any] = {"aps": live_activity.aps(message, given.live_activity, now=now)}
    else:
        extras = {"link": message.link, "image": message.image}
        named = {name: value for name, value in extras.items() if value}
        content = {"aps": _shown(message), **named, **message.data}
    patch = given.payload or {}
    content = merged(content, patch)
    kind, asked = push_type(message, content), patch.get("aps", {})
    leaves_open = isinstance(asked, Mapping) and "content-available" not in asked
    if kind is PushType.BACKGROUND and leaves_open:
        content = merged(content, {"aps": {"content-available": 1}})
    if kind is PushType.MDM and not content.get("aps"):
        content.pop("aps", None)
    return content


def aps(message: Message) -> dict[str, Any]:
    """What the system itself reads, from the neutral fields alone."""
    return _shown(message) if is_shown(message) else {**_shown(message), "content-available": 1}


def violations(message: Message, *, token: PushToken | None = None) -> list[FieldViolation]:
    """What APNs would refuse; with a token, by the rules for that kind of address."""
    content, channel = compose(message, now=_ANY_TIME), isinstance(token, ApnsChannel)
    kind = push_type(message, content)
    found = list(push_types.violations(message.apns, kind, content, channel=channel))
    if message.apns is not None and message.apns.live_activity is not None:
        found += live_activity.violations(message.apns.live_activity)
    is_wide = kind is PushType.VOIP or channel
    limit, size = WIDE_PAYLOAD_LIMIT if is_wide else PAYLOAD_LIMIT, len(orjson.dumps(content))
    if size > limit:
        rule = f"must make an APNs payload of at most {limit} bytes; it has {size}"
        found.append(FieldViolation("message", rule))
    return found


def _shown(message: Message) -> dict[str, Any]:
    """The `aps` of the neutral fields, without what makes a background push."""
    alert = {"title": message.title, "body": message.body}
    found: dict[str, Any] = {
        "alert": {name: text for name, text in alert.items() if text},
        "sound": message.sound,
        "category": message.category,
        "thread-id": message.thread,
    }
    found = {name: value for name, value in found.items() if value}
    if message.badge is not None:
        found["badge"] = message.badge
    if message.image:
        found["mutable-content"] = 1  # lets the app's extension fetch the picture
    return found


def _priority(message: Message, kind: PushType) -> int:
    """10 is at once; a background push must have 5."""
    return 10 if message.priority is Priority.HIGH and kind is not PushType.BACKGROUND else 5
