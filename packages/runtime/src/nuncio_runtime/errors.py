"""Errors as services raise them: what happened, for a person and for a program.

This module imports nothing of gRPC, asyncpg or protobuf, so that domain code may use it.
"""

import inspect
from datetime import timedelta
from enum import Enum, auto
from typing import NamedTuple


class Kind(Enum):
    """What sort of failure it was. The names are those of the canonical status codes."""

    INVALID_ARGUMENT = auto()
    NOT_FOUND = auto()
    ALREADY_EXISTS = auto()
    FAILED_PRECONDITION = auto()
    ABORTED = auto()
    OUT_OF_RANGE = auto()
    RESOURCE_EXHAUSTED = auto()
    UNAVAILABLE = auto()
    PERMISSION_DENIED = auto()
    UNAUTHENTICATED = auto()
    DEADLINE_EXCEEDED = auto()
    UNIMPLEMENTED = auto()
    INTERNAL = auto()
    DATA_LOSS = auto()


class FieldViolation(NamedTuple):
    """One broken rule: the field's path (`filter.topics[0]`) and what the rule asks for."""

    field: str
    rule: str


class ServiceError(Exception):
    """The service could not do what was asked.

    Subclasses state `kind` and `reason` (one of the contract's list, or none), and the first line
    of their docstring is the message.
    `detail` is appended to the message; `retry_after` tells the caller when to come back; the
    other keyword arguments are the metadata that a program reads. None of them may carry a
    secret: all of them reach the caller.
    """

    kind: Kind = Kind.INTERNAL
    reason: str = "INTERNAL"
    violations: tuple[FieldViolation, ...] = ()

    def __init__(
        self, *, detail: str = "", retry_after: timedelta | None = None, **metadata: str
    ) -> None:
        message = (inspect.getdoc(type(self)) or type(self).__name__).partition("\n")[0]
        self.message = f"{message.rstrip('.')}: {detail}" if detail else message
        self.retry_after = retry_after
        self.metadata = metadata
        super().__init__(self.message)


class InvalidField(ServiceError):
    """A field breaks a rule.

    For the rules that annotations of the contract cannot express; the others raise it too.
    """

    kind = Kind.INVALID_ARGUMENT
    reason = "INVALID_FIELD"

    def __init__(self, *violations: FieldViolation) -> None:
        first = violations[0]
        super().__init__(detail=f"{first.field}: {first.rule}", field=first.field)
        self.violations = violations
