"""A message as a Web Push request: what is encrypted, and the headers around it.

Sources: RFC 8030, sections 5.2 to 5.4; RFC 8291.
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from nuncio_dispatcher.domain.model import Message, Priority
from nuncio_dispatcher.domain.overrides import WebPushOverrides
from nuncio_dispatcher.providers.webpush.encryption import PLAINTEXT_LIMIT
from nuncio_runtime.errors import FieldViolation

_OURS: Final = WebPushOverrides()


class Form(NamedTuple):
    """What the requests of a page have in common."""

    headers: dict[str, str]
    wns_headers: dict[str, str]
    """The same, for Windows' push service."""
    plaintext: bytes


def render(message: Message, *, now: datetime, expires_at: datetime) -> Form:
    """The form of a page that is sent now. What the overrides say goes before what is derived."""
    given = message.web_push or _OURS
    life = message.time_to_live if given.time_to_live is None else given.time_to_live
    seconds = max(0, int(min(life, expires_at - now).total_seconds()))
    headers = {
        "ttl": str(seconds),
        "urgency": _urgency(message, given),
        "content-encoding": "aes128gcm",
        "content-type": "application/octet-stream",
    }
    if topic := given.topic or message.collapse_key:
        headers["topic"] = topic
    # WNS refuses a TTL of 0 unless it is told not to keep the message.
    policy = "cache" if seconds else "no-cache"
    return Form(headers, {**headers, "x-wns-cache-policy": policy}, plaintext(message))


def plaintext(message: Message) -> bytes:
    """What the service worker gets: the overrides' bytes, else JSON of the parts there are."""
    if message.web_push is not None and message.web_push.payload:
        return message.web_push.payload
    parts: dict[str, Any] = {
        "title": message.title,
        "body": message.body,
        "image": message.image,
        "sound": message.sound,
        "link": message.link,
        "category": message.category,
        "thread": message.thread,
        "collapse_key": message.collapse_key,
        "data": dict(message.data),
    }
    parts = {name: part for name, part in parts.items() if part}
    if message.badge is not None:
        parts["badge"] = message.badge
    return orjson.dumps(parts)


def violations(message: Message) -> list[FieldViolation]:
    """What push services would refuse."""
    size = len(plaintext(message))
    if size <= PLAINTEXT_LIMIT:
        return []
    rule = f"must make a Web Push payload of at most {PLAINTEXT_LIMIT} bytes; it has {size}"
    return [FieldViolation("message", rule)]


def _urgency(message: Message, given: WebPushOverrides) -> str:
    if given.urgency is not None:
        return given.urgency.name.lower().replace("_", "-")
    return "high" if message.priority is Priority.HIGH else "normal"
