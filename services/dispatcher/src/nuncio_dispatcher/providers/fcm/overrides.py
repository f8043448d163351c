"""What a caller lays over the rendered FCM message, and what FCM would refuse of it.

Source: Firebase, REST resource projects.messages (discovery revision 20261023).
"""

import re
from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any, Final

from nuncio_dispatcher.domain.overrides import JsonObject
from nuncio_dispatcher.providers.patch import child, merged
from nuncio_runtime.errors import FieldViolation

FIELD: Final = "message.fcm.message"
LONGEST_TTL: Final = 2_419_200
"""Seconds: 28 days."""

_TARGETS: Final = ("token", "fid", "topic", "condition", "name")
_BLOCKS: Final = ("data", "notification", "android", "android_v2", "apns", "webpush", "fcm_options")
_INNER: Final = {
    "android": ("data", "notification", "fcm_options"),
    "android_v2": ("data", "remote_notification", "background_sync"),
    "apns": ("headers", "payload", "fcm_options"),
    "webpush": ("headers", "data", "notification", "fcm_options"),
}
"""Objects within the blocks."""
_TTL: Final = re.compile(r"[0-9]{1,7}(\.[0-9]{1,9})?s", re.ASCII)
_LABEL: Final = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}", re.ASCII)
_RESERVED: Final = ("from", "message_type")
_RESERVED_PREFIXES: Final = ("google.", "gcm.notification.")


def laid_over(
    parts: Mapping[str, Any], patch: JsonObject, *, left: int, expires_at: datetime
) -> dict[str, Any]:
    """The parts with the caller's over them; no provider keeps trying for more than `left` seconds.

    A given android_v2 takes the place of the rendered android: FCM refuses to have both.
    """
    rest = dict(parts)
    if patch.get("android_v2") is not None:
        rest.pop("android", None)
    return merged(merged(rest, patch), _bounds(patch, left=left, expires_at=expires_at))


def _bounds(patch: JsonObject, *, left: int, expires_at: datetime) -> dict[str, Any]:
    """What has to be laid over the caller's own times, for they may outlast the dispatch."""
    bounds: dict[str, Any] = {}
    for name in ("android", "android_v2"):
        ttl = child(patch, name).get("ttl")
        if ttl is not None and float(ttl.removesuffix("s")) > left:
            bounds[name] = {"ttl": f"{left}s"}
    ttl = child(child(patch, "webpush"), "headers").get("TTL")
    if ttl is not None and int(ttl) > left:
        bounds["webpush"] = {"headers": {"TTL": str(left)}}
    expiration = child(child(patch, "apns"), "headers").get("apns-expiration")
    last = int(expires_at.timestamp())
    if expiration is not None and int(expiration) > last:
        bounds["apns"] = {"headers": {"apns-expiration": str(last)}}
    return bounds


def violations(patch: JsonObject) -> list[FieldViolation]:
    """What is wrong with the caller's parts; shapes first, for the rest relies on them."""
    return [*_shapes(patch)] or [*_targets(patch), *_names(patch), *_values(patch)]


def _shapes(patch: JsonObject) -> Iterator[FieldViolation]:
    """Every block is an object, or null to take the rendered one away."""
    paths: list[tuple[str, ...]] = [(block,) for block in _BLOCKS]
    paths += [(block, name) for block, names in _INNER.items() for name in names]
    for path in paths:
        found = _at(patch, path[:-1]).get(path[-1])
        if found is not None and not isinstance(found, Mapping):
            yield FieldViolation(".".join((FIELD, *path)), "must be an object")


def _targets(patch: JsonObject) -> Iterator[FieldViolation]:
    for name in _TARGETS:
        if name in patch:
            rule = "must not be given: to whom is not for the message to say"
            yield FieldViolation(f"{FIELD}.{name}", rule)
    if patch.get("android") is not None and patch.get("android_v2") is not None:
        yield FieldViolation(f"{FIELD}.android_v2", "must not be given together with android")


def _names(patch: JsonObject) -> Iterator[FieldViolation]:
    """FCM takes lowerCamel names as well: they would stand next to the rendered ones, not replace
    them. Names below data, headers, payload and webpush.notification are the app's own."""
    for path in (
        (),
        ("notification",),
        ("android",),
        ("android", "notification"),
        ("fcm_options",),
    ):
        for name in _at(patch, path):
            if name != name.lower():
                yield FieldViolation(".".join((FIELD, *path, name)), "must be in snake_case")


def _values(patch: JsonObject) -> Iterator[FieldViolation]:
    for place in ((), ("android",), ("android_v2",), ("webpush",)):
        yield from _of_data(patch, (*place, "data"))
    for place in ((), ("android",), ("apns",), ("webpush",)):
        yield from _of_label(patch, (*place, "fcm_options"))
    for name in ("android", "android_v2"):
        yield from _of_ttl(name, child(patch, name).get("ttl"))
    for block, header in (("webpush", "TTL"), ("apns", "apns-expiration")):
        yield from _of_headers(block, header, child(child(patch, block), "headers"))


def _at(patch: JsonObject, path: tuple[str, ...]) -> Mapping[str, Any]:
    found: Mapping[str, Any] = patch
    for name in path:
        found = child(found, name)
    return found


def _of_data(patch: JsonObject, path: tuple[str, ...]) -> Iterator[FieldViolation]:
    field = ".".join((FIELD, *path))
    for name, value in _at(patch, path).items():
        if value is not None and not isinstance(value, str):
            yield FieldViolation(f"{field}.{name}", "must be a string")
        if name in _RESERVED or name.startswith(_RESERVED_PREFIXES):
            yield FieldViolation(f"{field}.{name}", "is reserved by FCM")


def _of_label(patch: JsonObject, path: tuple[str, ...]) -> Iterator[FieldViolation]:
    label = _at(patch, path).get("analytics_label")
    if label is not None and not (isinstance(label, str) and _LABEL.fullmatch(label)):
        field = ".".join((FIELD, *path, "analytics_label"))
        yield FieldViolation(field, "must be 1 to 50 of a-z, A-Z, 0-9 and -_.~%")


def _of_ttl(block: str, ttl: Any) -> Iterator[FieldViolation]:
    if ttl is None:
        return
    is_right = isinstance(ttl, str) and _TTL.fullmatch(ttl)
    if not is_right or float(ttl.removesuffix("s")) > LONGEST_TTL:
        rule = f'must be seconds such as "3.5s", at most {LONGEST_TTL}'
        yield FieldViolation(f"{FIELD}.{block}.ttl", rule)


def _of_headers(block: str, seconds: str, headers: Mapping[str, Any]) -> Iterator[FieldViolation]:
    """All strings; that with seconds in it, digits only."""
    for name, value in headers.items():
        if value is not None and not isinstance(value, str):
            yield FieldViolation(f"{FIELD}.{block}.headers.{name}", "must be a string")
        elif name == seconds and value is not None and not re.fullmatch("[0-9]{1,10}", value):
            yield FieldViolation(f"{FIELD}.{block}.headers.{name}", "must be whole seconds")
