"""A message as an APNs request: headers and body, equal for all rows of a page.

Sources: Apple, "Generating a remote notification", "Sending notification requests to APNs".
"""

from datetime import datetime
from typing import Any, Final, NamedTuple

import orjson

from nuncio_dispatcher.domain.model import Message, Priority
from nuncio_runtime.errors import FieldViolation

PAYLOAD_LIMIT: Final = 4096
"""Bytes of the body."""
COLLAPSE_LIMIT: Final = 64
"""Bytes of apns-collapse-id."""


class Form(NamedTuple):
    """What the requests of a page have in common."""

    headers: tuple[tuple[str, str], ...]
    body: bytes


def render(message: Message, *, topic: str, now: datetime, expires_at: datetime) -> Form:
    """The form of a page that is sent now. APNs tries until the message's time to live is over."""
    shown = is_shown(message)
    high = message.priority is Priority.HIGH and shown
    headers = [
        ("apns-topic", topic),
        ("apns-push-type", "alert" if shown else "background"),
        ("apns-priority", "10" if high else "5"),  # a background push must have 5
        ("apns-expiration", str(expiration(message, now=now, expires_at=expires_at))),
    ]
    if message.collapse_key:
        headers.append(("apns-collapse-id", message.collapse_key))
    return Form(tuple(headers), body(message))


def is_shown(message: Message) -> bool:
    """Whether the person sees or hears anything; else the push is one for the background."""
    return bool(message.title or message.body or message.sound) or message.badge is not None


def expiration(message: Message, *, now: datetime, expires_at: datetime) -> int:
    """Unix seconds until which APNs may keep trying; 0: one attempt, nothing is stored."""
    if not message.time_to_live:
        return 0
    return int(min(now + message.time_to_live, expires_at).timestamp())


def body(message: Message) -> bytes:
    """The JSON body: `aps`, the link and image under these names, and the message's own data."""
    extras = {"link": message.link, "image": message.image}
    named = {name: value for name, value in extras.items() if value}
    return orjson.dumps({"aps": aps(message), **named, **message.data})


def aps(message: Message) -> dict[str, Any]:
    """What the system itself reads."""
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
    if not is_shown(message):
        found["content-available"] = 1
    return found


def violations(message: Message) -> list[FieldViolation]:
    """What APNs would refuse."""
    found = []
    size = len(body(message))
    if size > PAYLOAD_LIMIT:
        rule = f"must make an APNs payload of at most {PAYLOAD_LIMIT} bytes; it has {size}"
        found.append(FieldViolation("message", rule))
    if len(message.collapse_key.encode()) > COLLAPSE_LIMIT:
        rule = f"must be at most {COLLAPSE_LIMIT} bytes for APNs"
        found.append(FieldViolation("message.collapse_key", rule))
    return found
