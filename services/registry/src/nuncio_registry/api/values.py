"""Times, ids and typed values: between protobuf and Python."""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Final, TypeAlias

from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.registry.v1 import installation_pb2, predicate_pb2
from nuncio_registry.domain.model import Value, Version
from nuncio_runtime.errors import FieldViolation, InvalidField

TypedValue: TypeAlias = installation_pb2.AttributeValue | predicate_pb2.PredicateValue

# What protobuf allows in a Timestamp: the years 1 to 9999. Source: timestamp.proto.
_FIRST_SECOND: Final = -62_135_596_800
_LAST_SECOND: Final = 253_402_300_799
_NANOS: Final = 1_000_000_000
# The kinds of typed values that are the same in Python.
_PLAIN: Final = frozenset({"text", "number", "flag"})
_LONGEST_SECONDS: Final = 315_576_000_000  # What protobuf allows in a Duration: 10,000 years.
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def time_of(timestamp: Timestamp, field: str) -> datetime:
    """Microseconds are kept, the rest is cut. Raises InvalidField outside of years 1 to 9999."""
    seconds, nanos = timestamp.seconds, timestamp.nanos
    if not (_FIRST_SECOND <= seconds <= _LAST_SECOND and 0 <= nanos < _NANOS):
        raise InvalidField(FieldViolation(field, "must be a time from year 1 to 9999"))
    # Half as dear as to make a timedelta of two numbers, and each registration has a time or two.
    return _EPOCH + (seconds * 1_000_000 + nanos // 1000) * _MICROSECOND


def duration_of(duration: Duration, field: str) -> timedelta:
    """Microseconds are kept, the rest is cut. Raises InvalidField above 10,000 years."""
    if abs(duration.seconds) > _LONGEST_SECONDS or abs(duration.nanos) >= _NANOS:
        raise InvalidField(FieldViolation(field, "must be a duration of at most 10,000 years"))
    return duration.ToTimedelta()


def timestamp_of(time: datetime) -> Timestamp:
    """To the microsecond."""
    # Timestamp.FromDatetime takes ten times as long, and each registration has one.
    since = time - _EPOCH
    return Timestamp(seconds=since.days * 86_400 + since.seconds, nanos=since.microseconds * 1000)


def duration_from(delta: timedelta) -> Duration:
    """To the microsecond."""
    duration = Duration()
    duration.FromTimedelta(delta)
    return duration


def value_of(value: TypedValue, field: str) -> Value:
    """A constant of an attribute or a predicate. Raises InvalidField for an impossible time."""
    match value.WhichOneof("kind"):
        case "number":
            return value.number
        case "flag":
            return value.flag
        case "time":
            return time_of(value.time, f"{field}.time")
        case "version":
            return Version(value.version)
        case _:
            return value.text


def attributes_of(
    attributes: Mapping[str, installation_pb2.AttributeValue], field: str
) -> dict[str, Value]:
    """Attributes by name. Raises InvalidField for an impossible time."""
    told: dict[str, Value] = {}
    for name in attributes:  # By key: the pairs of a protobuf map cost half as much again.
        value = attributes[name]
        kind = value.WhichOneof("kind")
        if kind in _PLAIN:  # Most are, and need neither a call nor the name of their field.
            told[name] = getattr(value, kind)
        else:
            told[name] = value_of(value, f'{field}["{name}"]')
    return told


def attribute_from(value: Value) -> installation_pb2.AttributeValue:
    """A stored attribute."""
    match value:
        case str():
            return installation_pb2.AttributeValue(text=value)
        case bool():
            return installation_pb2.AttributeValue(flag=value)
        case float():
            return installation_pb2.AttributeValue(number=value)
        case datetime():
            return installation_pb2.AttributeValue(time=timestamp_of(value))
        case Version(text):
            return installation_pb2.AttributeValue(version=text)
