"""The rules that the contracts' annotations state, checked once, where a message arrives."""

from collections.abc import AsyncIterator
from typing import Final, TypeVar

from google.protobuf.message import Message
from protobuf import Oneof
from protovalidate import FieldPathElementPb, Validator, Violation

from nuncio_runtime.errors import FieldViolation, InvalidField

M = TypeVar("M", bound=Message)

# Compiles the rules of a message type once and keeps them.
_VALIDATOR: Final = Validator()


def violations(message: Message) -> list[FieldViolation]:
    """The broken rules of a message, empty when it keeps them all.

    For servicers that answer row by row; for all others the call is refused before they see it.
    """
    return [_readable(violation) for violation in _VALIDATOR.collect_violations(message)]


def check(message: Message) -> None:
    """Raise InvalidField when the message breaks a rule."""
    broken = _VALIDATOR.collect_violations(message)
    if broken:
        raise InvalidField(*map(_readable, broken))


class Checked(AsyncIterator[M]):
    """A stream of messages that raises InvalidField at the first one that breaks a rule."""

    def __init__(self, messages: AsyncIterator[M]) -> None:
        self._messages = messages

    async def __anext__(self) -> M:
        message = await anext(self._messages)
        check(message)
        return message


def _readable(violation: Violation) -> FieldViolation:
    found = violation.proto
    path = "".join(map(_step, found.field.elements if found.field else ()))
    return FieldViolation(path.removeprefix("."), found.message or found.rule_id)


def _step(element: FieldPathElementPb) -> str:
    match element.subscript:
        case None:
            return f".{element.field_name}"
        case Oneof(field="string_key", value=key):
            return f'.{element.field_name}["{key}"]'
        case Oneof(value=index):
            return f".{element.field_name}[{index}]"
