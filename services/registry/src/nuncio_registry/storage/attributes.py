"""Attributes as JSON: the type is the key of the value, as in {"plan": {"text": "free"}}."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from nuncio_registry.domain.limits import attribute_size
from nuncio_registry.domain.model import Value, Version

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def to_json(value: Value) -> dict[str, Any]:
    """One value, tagged with its type."""
    match value:
        case str():
            return {"text": value}
        case bool():
            return {"flag": value}
        case float():
            return {"number": value}
        case datetime():
            return {"time": (value - EPOCH) // _MICROSECOND}
        case Version(text):
            return {"version": text}


def from_json(tagged: Mapping[str, Any]) -> Value:
    """The value of `to_json`."""
    ((tag, value),) = tagged.items()
    match tag:
        case "number":
            return float(value)
        case "time":
            return EPOCH + timedelta(microseconds=value)
        case "version":
            return Version(value)
        case "flag":
            return bool(value)
        case _:
            return str(value)


def size_of(name: str, told: Mapping[str, Any] | int) -> int:
    """The bytes of an attribute, name and value; told: its value as JSON, or the bytes already."""
    if isinstance(told, int):
        return told
    return attribute_size(name, from_json(told))
