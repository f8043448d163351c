"""A condition over installations: what an audience comes down to, without names of segments or
relative times. The registry evaluates it.
"""

from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import TypeAlias


class Field(IntEnum):
    """What can be asked of an installation. The numbers are those of registry.v1.PredicateField."""

    INSTALLATION_ID = 1
    USER_ID = 2
    PLATFORM = 3
    ENVIRONMENT = 4
    LANGUAGE = 5
    COUNTRY = 6
    TIME_ZONE = 7
    APP_VERSION = 8
    OS_VERSION = 9
    DEVICE_MODEL = 10
    PERMISSION = 11
    TOPICS = 12
    CONSENTS = 13
    LAST_SEEN = 14
    CREATED = 15
    TOKEN_CHANGED = 16
    LAST_OPENED = 17
    ATTRIBUTE = 18
    TAGS = 19
    PROVIDER = 20
    SDK_VERSION = 21
    TOKEN_STATE = 22


class Operator(IntEnum):
    """How a field is compared. The numbers are those of registry.v1.PredicateOperator."""

    IN = 1
    LESS = 2
    LESS_OR_EQUAL = 3
    GREATER = 4
    GREATER_OR_EQUAL = 5
    HAS = 6
    PRESENT = 7


@dataclass(frozen=True, slots=True)
class Version:
    """Up to six numbers with dots between them, such as 2.3.1."""

    text: str


Value: TypeAlias = str | float | bool | datetime | Version


@dataclass(frozen=True, slots=True)
class Comparison:
    """Holds when the field compares as asked; a field without a value does not.

    values: of one type; none for PRESENT, any number for IN and HAS, else exactly one.
    attribute: its name, for Field.ATTRIBUTE only.
    """

    field: Field
    operator: Operator
    values: tuple[Value, ...] = ()
    attribute: str = ""


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when every operand holds; without operands always."""

    operands: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when at least one operand holds. Has at least one."""

    operands: tuple["Condition", ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """Holds when the operand does not."""

    operand: "Condition"


Condition: TypeAlias = Comparison | AllOf | AnyOf | NoneOf

EVERYONE = AllOf(())
