"""What an expression says, before anything is known of fields and types.

Places do not count when trees are compared: two expressions are equal when they say the same.
"""

from dataclasses import dataclass, field
from typing import NamedTuple, TypeAlias


class Place(NamedTuple):
    """Where something stands: character from 0, line and column from 1."""

    position: int
    line: int
    column: int


START = Place(0, 1, 1)


@dataclass(frozen=True, slots=True)
class Text:
    """A quoted text, without quotes and escapes."""

    value: str
    place: Place = field(default=START, compare=False)


@dataclass(frozen=True, slots=True)
class Number:
    """A number; finite."""

    value: float
    place: Place = field(default=START, compare=False)


@dataclass(frozen=True, slots=True)
class Flag:
    """true or false."""

    value: bool
    place: Place = field(default=START, compare=False)


@dataclass(frozen=True, slots=True)
class Anything:
    """The star of `field:*`."""

    place: Place = field(default=START, compare=False)


@dataclass(frozen=True, slots=True)
class Member:
    """A field, such as `attributes.plan`: at least one name."""

    names: tuple[str, ...]
    place: Place = field(default=START, compare=False)

    def __str__(self) -> str:
        return ".".join(self.names)


@dataclass(frozen=True, slots=True)
class Call:
    """A function with its arguments: a condition, such as `segment("vip")`, or a value."""

    name: str
    arguments: tuple["Argument", ...]
    place: Place = field(default=START, compare=False)


@dataclass(frozen=True, slots=True)
class Restriction:
    """A field compared with an argument.

    comparator: one of = != < <= > >= and the colon. place: that of the comparator.
    """

    member: Member
    comparator: str
    argument: "Argument"
    place: Place = field(default=START, compare=False)


@dataclass(frozen=True, slots=True)
class Not:
    """Negation. The operand is no Not."""

    operand: "Expression"


@dataclass(frozen=True, slots=True)
class And:
    """Conjunction of two or more operands, none of which is an And."""

    operands: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Or:
    """Disjunction of two or more operands, none of which is an Or."""

    operands: tuple["Expression", ...]


Argument: TypeAlias = Text | Number | Flag | Anything | Member | Call
Expression: TypeAlias = And | Or | Not | Restriction | Call
