"""A message as an FCM v1 request, equal for all rows of one platform but for the target.

Sources: Firebase, REST resource projects.messages; "About FCM messages"; "Send messages to topics".
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from nuncio_dispatcher.domain.model import (
    FcmCondition,
    FcmInstallation,
    FcmTopic,
    Message,
    Platform,
    Priority,
    PushToken,
)
from nuncio_dispatcher.providers.apns import payload as apns
from nuncio_dispatcher.providers.fcm import overrides
from nuncio_dispatcher.providers.patch import child
from nuncio_runtime.errors import FieldViolation

PAYLOAD_LIMIT: Final = 4096
"""Bytes of UTF-8 in keys and values of what is shown and the data."""
TOPIC_PAYLOAD_LIMIT: Final = 2048
"""The same, where topics are addressed."""
LONGEST_TIME_TO_LIVE: Final = timedelta(days=28)
EVERY_PLATFORM: Final = 0
"""In place of a platform: not known, or several, as behind a topic."""

APPLE: Final = frozenset(
    {Platform.IOS, Platform.MACOS, Platform.WATCHOS, Platform.TVOS, Platform.VISIONOS}
)

_TO_TOKEN: Final = b'{"message":{"token":'
_TO: Final[Mapping[type[PushToken], bytes]] = {
    FcmInstallation: b'{"message":{"fid":',
    FcmTopic: b'{"message":{"topic":',
    FcmCondition: b'{"message":{"condition":',
}
_ANY_TIME: Final = datetime(2026, 1, 1, tzinfo=UTC)
"""For checks: no size depends on the time."""


class Form(NamedTuple):
    """What the requests of one platform's rows have in common."""

    rest: bytes
    """The JSON after the target."""

    def body(self, token: PushToken) -> bytes:
        """The whole JSON of a row; the kind of token says which target it is."""
        target = _TO.get(type(token), _TO_TOKEN)
        return target + orjson.dumps(token.reveal()) + self.rest


def render(message: Message, platform: int, *, now: datetime, expires_at: datetime) -> Form:
    """The form for rows of a platform, sent now. Platforms not known here get Android's, and
    EVERY_PLATFORM the parts of all."""
    parts = compose(message, platform, now=now, expires_at=expires_at)
    return Form((b"," if parts else b"") + orjson.dumps(parts)[1:] + b"}")


def compose(
    message: Message, platform: int, *, now: datetime, expires_at: datetime
) -> dict[str, Any]:
    """FCM's `message` without its target: the rendered parts, and the overrides over them."""
    parts: dict[str, Any] = {}
    if platform == EVERY_PLATFORM or platform in APPLE:
        parts |= _apple(message, now=now, expires_at=expires_at)
    if platform in (EVERY_PLATFORM, Platform.WEB):
        parts |= _web(message, now=now, expires_at=expires_at)
    if platform != Platform.WEB and platform not in APPLE:
        parts |= _android(message, now=now, expires_at=expires_at)
    parts["data"] = data(message)
    if message.fcm is None:
        return parts
    left = max(0, int((expires_at - now).total_seconds()))
    return overrides.laid_over(parts, message.fcm.message, left=left, expires_at=expires_at)


def data(message: Message) -> dict[str, str]:
    """The message's own data, and the link under that name unless the data has one."""
    return {"link": message.link, **message.data} if message.link else dict(message.data)


def time_to_live(message: Message, *, now: datetime, expires_at: datetime) -> int:
    """Whole seconds that the provider may keep trying, from now."""
    left = min(message.time_to_live, expires_at - now, LONGEST_TIME_TO_LIVE)
    return max(0, int(left.total_seconds()))


def violations(
    message: Message, *, token: PushToken | None = None, platform: int = EVERY_PLATFORM
) -> list[FieldViolation]:
    """What FCM would refuse, for any platform or one; a token tells which target's rules apply."""
    wrong = overrides.violations(message.fcm.message) if message.fcm is not None else []
    if wrong:
        return wrong
    limit = TOPIC_PAYLOAD_LIMIT if isinstance(token, FcmTopic | FcmCondition) else PAYLOAD_LIMIT
    return [
        *_size_violations(message, platform, limit=limit),
        *_apple_violations(message, platform),
    ]


def _size_violations(message: Message, platform: int, *, limit: int) -> Iterator[FieldViolation]:
    apart = (Platform.ANDROID, Platform.IOS, Platform.WEB)
    found = [
        _composed(message, each) for each in (apart if platform == EVERY_PLATFORM else (platform,))
    ]
    size = max(map(payload_size, found))
    if size > limit:
        rule = f"must make an FCM payload of at most {limit} bytes; it has {size}"
        yield FieldViolation("message", rule)


def _apple_violations(message: Message, platform: int) -> Iterator[FieldViolation]:
    """Without an alert, FCM refuses another priority than 5 for Apple devices."""
    if message.fcm is None or (platform != EVERY_PLATFORM and platform not in APPLE):
        return
    parts = _composed(message, Platform.IOS)
    block = child(parts, "apns")
    has_alert = child(child(block, "payload"), "aps").get("alert") or parts.get("notification")
    if block and not has_alert and child(block, "headers").get("apns-priority") != "5":
        field = f"{overrides.FIELD}.apns.headers.apns-priority"
        yield FieldViolation(field, "must be 5 where there is no alert")


def payload_size(parts: Mapping[str, Any]) -> int:
    """Bytes that count towards the limit: keys and values of what is shown and the data."""
    common = _size(child(parts, "notification"))
    extra = max(
        sum(_size(child(child(parts, block), name)) for name in ("notification", "data"))
        for block in ("android", "webpush")
    )
    modern = _size({k: v for k, v in child(parts, "android_v2").items() if isinstance(v, Mapping)})
    android_or_web = common + _size(child(parts, "data")) + max(extra, modern)
    apple = child(child(parts, "apns"), "payload")
    as_apns = len(orjson.dumps({**child(parts, "data"), **apple})) + common if apple else 0
    return max(android_or_web, as_apns)


def _composed(message: Message, platform: int) -> dict[str, Any]:
    expires_at = _ANY_TIME + LONGEST_TIME_TO_LIVE
    return compose(message, platform, now=_ANY_TIME, expires_at=expires_at)


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
    if message.collapse_key:
        details["tag"] = message.collapse_key  # replaces what is on the screen, as APNs does
    if message.badge is not None:
        details["notification_count"] = message.badge
    return details


def _apple(message: Message, *, now: datetime, expires_at: datetime) -> dict[str, Any]:
    """As APNs would get it from us, but for the data, which FCM adds."""
    has_alert = bool(message.title or message.body)
    high = message.priority is Priority.HIGH and has_alert
    until = apns.expiration(message.time_to_live, now=now, expires_at=expires_at)
    headers = {
        "apns-push-type": "alert" if apns.is_shown(message) else "background",
        # FCM refuses another priority than 5 where there is no alert.
        "apns-priority": "10" if high else "5",
        "apns-expiration": str(until),
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


def _size(value: Any) -> int:
    match value:
        case str():
            return len(value.encode())
        case Mapping():
            return sum(len(name.encode()) + _size(inner) for name, inner in value.items())
        case list():
            return sum(map(_size, value))
        case _:
            return len(str(value))
