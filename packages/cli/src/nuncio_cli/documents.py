"""Messages of the contracts as the JSON that commands print."""

from collections.abc import Mapping
from typing import Any, Final

from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.timestamp_pb2 import Timestamp

# Descriptors: protobuf's typing knows them under two names that it does not take for each other.
Field = Any
Enum = Any

_DURATION: Final = Duration.DESCRIPTOR.full_name


def document(message: Message) -> dict[str, Any]:
    """Every field by its name in the contract, so that a program finds it whether it is set or not.

    Enum values are their words ("ios"), times RFC 3339, bytes hexadecimal, and a duration is a
    number under its name with `_seconds`. What is not set is null: enums, messages, and fields
    whose presence means something.
    """
    return {_name(field): _value(message, field) for field in message.DESCRIPTOR.fields}


def enum_word(enum: Enum, number: int) -> str | None:
    """ "PLATFORM_IOS" as "ios"; None for UNSPECIFIED, the number of a value of a newer service."""
    if number == 0:
        return None
    prefix = enum.values_by_number[0].name.removesuffix("UNSPECIFIED")
    value = enum.values_by_number.get(number)
    return value.name.removeprefix(prefix).lower() if value else str(number)


def _name(field: Field) -> str:
    is_duration = field.message_type is not None and field.message_type.full_name == _DURATION
    return f"{field.name}_seconds" if is_duration else field.name


def _value(message: Message, field: Field) -> Any:
    value = getattr(message, field.name)
    if isinstance(value, Mapping):
        of_value = field.message_type.fields_by_name["value"]
        return {name: _one(of_value, value[name]) for name in sorted(value)}
    if field.is_repeated:
        return [_one(field, each) for each in value]
    if field.has_presence and not message.HasField(field.name):
        return None
    return _one(field, value)


def _one(field: Field, value: Any) -> Any:
    if isinstance(value, Timestamp):
        return value.ToJsonString()
    if isinstance(value, Duration):
        return value.ToTimedelta().total_seconds()
    if isinstance(value, Message):
        return document(value)
    if isinstance(value, bytes):
        return value.hex()
    return enum_word(field.enum_type, value) if field.enum_type is not None else value
