"""A message as an FCM v1 request, equal for all rows of one platform but for the token.

Sources: Firebase, REST resource projects.messages; "About FCM messages".
"""

from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from nuncio_dispatcher.domain.model import Message, Platform, Priority
from nuncio_dispatcher.providers.apns import payload as apns
from nuncio_runtime.errors import FieldViolation

PAYLOAD_LIMIT: Final = 4096
"""Bytes of UTF-8 in keys and values of what is shown and the data."""
LONGEST_TIME_TO_LIVE: Final = timedelta(days=28)

APPLE: Final = frozenset(
    {Platform.IOS, Platform.MACOS, Platform.WATCHOS, Platform.TVOS, Platform.VISIONOS}
)


class Form(NamedTuple):
    """A request's JSON before and after the token."""

    before: bytes
    after: bytes

    def body(self, token: str) -> bytes:
        """The whole JSON."""
        return self.before + orjson.dumps(token) + self.after


def render(message: Message, platform: int, *, now: datetime, expires_at: datetime) -> Form:
    """The form for rows of a platform, sent now. Platforms not known here get Android's."""
    if platform in APPLE:
        parts = _apple(message, now=now, expires_at=expires_at)
    elif platform == Platform.WEB:
        parts = _web(message, now=now, expires_at=expires_at)
    else:
        parts = _android(message, now=now, expires_at=expires_at)
    rest = orjson.dumps({**parts, "data": data(message)})
    return Form(b'{"message":{"token":', b"," + rest[1:] + b"}")


def data(message: Message) -> dict[str, str]:
    """The message's own data, and the link under that name unless the data has one."""
    return {"link": message.link, **message.data} if message.link else dict(message.data)


def time_to_live(message: Message, *, now: datetime, expires_at: datetime) -> int:
    """Whole seconds that the provider may keep trying, from now."""
    left = min(message.time_to_live, expires_at - now, LONGEST_TIME_TO_LIVE)
    return max(0, int(left.total_seconds()))


def violations(message: Message) -> list[FieldViolation]:
    """What FCM would refuse, for any platform."""
    shown = _size({**_android_notification(message), **_notification(message)})
    size = max(shown + _size(data(message)), len(apns.body(message)))
    if size <= PAYLOAD_LIMIT:
        return []
    rule = f"must make an FCM payload of at most {PAYLOAD_LIMIT} bytes; it has {size}"
    return [FieldViolation("message", rule)]


def _notification(message: Message) -> dict[str, Any]:
    texts = {"title": message.title, "body": message.body, "image": message.image}
    return {name: text for name, text in texts.items() if text}


def _android(message: Message, *, now: datetime, expires_at: datetime) -> dict[str, Any]:
    seconds = time_to_live(message, now=now, expires_at=expires_at)
    android: dict[str, Any] = {"priority": message.priority.name, "ttl": f"{seconds}s"}
    if message.collapse_key:
        android["collapse_key"] = message.collapse_key
    shown = _notification(message)
    if not shown:
        return {"android": android}
    if details := _android_notification(message):
        android["notification"] = details
    return {"notification": shown, "android": android}


def _android_notification(message: Message) -> dict[str, Any]:
    details: dict[str, Any] = {}
    if message.sound:
        details["sound"] = message.sound
    if message.category:
        details["channel_id"] = message.category
    if message.badge is not None:
        details["notification_count"] = message.badge
    return details


def _apple(message: Message, *, now: datetime, expires_at: datetime) -> dict[str, Any]:
    """As APNs would get it from us, but for the data, which FCM adds."""
    has_alert = bool(message.title or message.body)
    high = message.priority is Priority.HIGH and has_alert
    headers = {
        "apns-push-type": "alert" if apns.is_shown(message) else "background",
        # FCM refuses another priority than 5 where there is no alert.
        "apns-priority": "10" if high else "5",
        "apns-expiration": str(apns.expiration(message, now=now, expires_at=expires_at)),
    }
    if message.collapse_key:
        headers["apns-collapse-id"] = message.collapse_key
    block: dict[str, Any] = {"headers": headers, "payload": {"aps": apns.aps(message)}}
    if message.image:
        block["fcm_options"] = {"image": message.image}
    return {"apns": block}


def _web(message: Message, *, now: datetime, expires_at: datetime) -> dict[str, Any]:
    headers = {
        "TTL": str(time_to_live(message, now=now, expires_at=expires_at)),
        "Urgency": "high" if message.priority is Priority.HIGH else "normal",
    }
    if message.collapse_key:
        headers["Topic"] = message.collapse_key
    webpush: dict[str, Any] = {"headers": headers}
    if message.link.startswith("https://"):
        webpush["fcm_options"] = {"link": message.link}
    shown = _notification(message)
    return {"notification": shown, "webpush": webpush} if shown else {"webpush": webpush}


def _size(fields: dict[str, Any]) -> int:
    return sum(len(name.encode()) + len(str(value).encode()) for name, value in fields.items())
