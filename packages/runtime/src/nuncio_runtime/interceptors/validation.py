"""The rules for messages, checked once, where a message arrives.

They are those that the contracts' annotations state, and one that holds for every text: it has no
U+0000, which PostgreSQL cannot keep.
"""

from collections.abc import AsyncIterator
from typing import Final, TypeVar

from google.protobuf.message import Message
from protobuf import Oneof
from protovalidate import FieldPathElementPb, Validator, Violation

from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.interceptors.nul import paths_with_nul
from nuncio_runtime.interceptors.surely import surely_valid
from nuncio_runtime.interceptors.wording import in_words

M = TypeVar("M", bound=Message)

# Compiles the rules of a message type once and keeps them.
_VALIDATOR: Final = Validator()

_NUL_RULE: Final = "must not contain U+0000"


def violations(message: Message) -> list[FieldViolation]:
    """The broken rules of a message, empty when it keeps them all.

    For servicers that answer row by row; for all others the call is refused before they see it.
    """
    return [] if surely_valid(message) else _broken(message)


def _broken(message: Message) -> list[FieldViolation]:
    broken = [_readable(violation) for violation in _VALIDATOR.collect_violations(message)]
    broken += (FieldViolation(path, _NUL_RULE) for path in paths_with_nul(message))
    return broken


def check(message: Message) -> None:
    """Raise InvalidField when the message breaks a rule."""
    if surely_valid(message):
        return
    broken = _broken(message)
    if broken:
        raise InvalidField(*broken)


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
    rule = in_words(found.rule_id, violation.rule_value, found.message or found.rule_id)
    return FieldViolation(path.removeprefix("."), rule)


def _step(element: FieldPathElementPb) -> str:
    match element.subscript:
        case None:
            return f".{element.field_name}"
        case Oneof(field="string_key", value=key):
            return f'.{element.field_name}["{key}"]'
        case Oneof(value=index):
            return f".{element.field_name}[{index}]"
