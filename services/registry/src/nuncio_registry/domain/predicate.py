"""Conditions over installations: a small tree, and the types that its comparisons have to keep.

Numbers of fields and operators are those of the contract.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from enum import Enum, IntEnum
from typing import Final, NamedTuple, NoReturn, TypeAlias
from uuid import UUID

from nuncio_registry.domain.model import (
    Environment,
    Permission,
    Platform,
    Provider,
    TokenState,
    Value,
    Version,
)
from nuncio_runtime.errors import FieldViolation, InvalidField

MAX_NODES: Final = 1000
MAX_DEPTH: Final = 40
MAX_VALUES: Final = 10_000


class Field(IntEnum):
    """What a comparison can ask for."""

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
    """How a field is compared."""

    IN = 1
    LESS = 2
    LESS_OR_EQUAL = 3
    GREATER = 4
    GREATER_OR_EQUAL = 5
    HAS = 6
    PRESENT = 7


@dataclass(frozen=True, slots=True)
class AllOf:
    """Holds when every operand holds; without operands, always."""

    operands: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class AnyOf:
    """Holds when at least one operand holds."""

    operands: tuple["Predicate", ...]


@dataclass(frozen=True, slots=True)
class NoneOf:
    """Holds when the operand does not."""

    operand: "Predicate"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Holds when the field compares as asked; never, when the field has no value."""

    field: Field
    operator: Operator
    values: tuple[Value, ...] = ()
    attribute: str = ""


Predicate: TypeAlias = AllOf | AnyOf | NoneOf | Comparison


class Type(Enum):
    """The types of values. The value says it for people."""

    TEXT = "text"
    NUMBER = "a number"
    FLAG = "a truth value"
    TIME = "a point in time"
    VERSION = "a version"


_TYPE_OF: Final = {
    str: Type.TEXT,
    float: Type.NUMBER,
    bool: Type.FLAG,
    datetime: Type.TIME,
    Version: Type.VERSION,
}
_ORDERED: Final = frozenset({Type.NUMBER, Type.TIME, Type.VERSION})
SETS: Final = frozenset({Field.TOPICS, Field.TAGS, Field.CONSENTS})
_FIELD_TYPES: Final = {
    Field.APP_VERSION: Type.VERSION,
    Field.OS_VERSION: Type.VERSION,
    Field.LAST_SEEN: Type.TIME,
    Field.CREATED: Type.TIME,
    Field.TOKEN_CHANGED: Type.TIME,
    Field.LAST_OPENED: Type.TIME,
}  # All others but attributes: text.

# Text fields whose values come from a closed list.
CHOICES: Final = {
    field: {member.name.lower(): member for member in members}
    for field, members in (
        (Field.PLATFORM, Platform),
        (Field.ENVIRONMENT, Environment),
        (Field.PERMISSION, Permission),
        (Field.PROVIDER, Provider),
        (Field.TOKEN_STATE, TokenState),
    )
}


def type_of(value: Value) -> Type:
    """The type of a constant."""
    return _TYPE_OF[type(value)]


def check_predicate(predicate: Predicate) -> None:
    """Raise InvalidField, naming the node, when the tree is too large or compares wrong types."""
    nodes = 0
    pending: list[_Node] = [_Node(predicate, "predicate", 1)]
    while pending:
        node = pending.pop()
        nodes += 1
        if nodes > MAX_NODES:
            _refuse("predicate", f"must have at most {MAX_NODES} nodes")
        if node.depth > MAX_DEPTH:
            _refuse("predicate", f"must be nested at most {MAX_DEPTH} deep")
        if isinstance(node.predicate, Comparison):
            _check_comparison(node.predicate, f"{node.path}.comparison")
        pending.extend(_below(node))


class _Node(NamedTuple):
    predicate: Predicate
    path: str
    depth: int


def _below(node: _Node) -> Iterable[_Node]:
    match node.predicate:
        case AllOf(operands):
            name = "all_of"
        case AnyOf(operands):
            name = "any_of"
        case NoneOf(operand):
            return [_Node(operand, f"{node.path}.none_of", node.depth + 1)]
        case _:
            return []
    path = f"{node.path}.{name}.operands"
    return [_Node(below, f"{path}[{i}]", node.depth + 1) for i, below in enumerate(operands)]


def _check_comparison(node: Comparison, path: str) -> None:
    _check_attribute(node, path)
    _check_operator(node, path)
    _check_count(node, path)
    for i, value in enumerate(node.values):
        _check_value(node, value, f"{path}.values[{i}]")


def _check_attribute(node: Comparison, path: str) -> None:
    if (node.field == Field.ATTRIBUTE) != bool(node.attribute):
        _refuse(f"{path}.attribute", "must be set with PREDICATE_FIELD_ATTRIBUTE, and only there")


def _check_operator(node: Comparison, path: str) -> None:
    if node.operator == Operator.PRESENT:
        return
    path = f"{path}.operator"
    if (node.operator == Operator.HAS) != (node.field in SETS):
        _refuse(path, "must be HAS or PRESENT for topics, tags and consents, and HAS only there")
    if node.operator in (Operator.IN, Operator.HAS) or node.field == Field.ATTRIBUTE:
        return
    if _FIELD_TYPES.get(node.field, Type.TEXT) not in _ORDERED:
        _refuse(path, "must be IN or PRESENT for a field of text")


def _check_count(node: Comparison, path: str) -> None:
    count, path = len(node.values), f"{path}.values"
    if node.operator == Operator.PRESENT:
        if count:
            _refuse(path, "must be empty with PRESENT")
    elif node.operator in (Operator.IN, Operator.HAS):
        if not 1 <= count <= MAX_VALUES:
            _refuse(path, f"must have 1 to {MAX_VALUES} values with IN and HAS")
    elif count != 1:
        _refuse(path, "must have exactly one value with an order")


def _check_value(node: Comparison, value: Value, path: str) -> None:
    found = type_of(value)
    if node.field == Field.ATTRIBUTE:
        if found is not type_of(node.values[0]):
            _refuse(path, "must be of one type with the other values")
        if node.operator != Operator.IN and found not in _ORDERED:
            _refuse(path, "must be a number, a point in time or a version to be ordered")
        return
    wanted = _FIELD_TYPES.get(node.field, Type.TEXT)
    if found is not wanted:
        _refuse(path, f"must be {wanted.value}")
    if node.field in CHOICES and value not in CHOICES[node.field]:
        _refuse(path, f"must be one of {', '.join(CHOICES[node.field])}")
    if node.field == Field.INSTALLATION_ID and not _is_uuid(str(value)):
        _refuse(path, "must be a UUID")


def _is_uuid(text: str) -> bool:
    try:
        UUID(text)
    except ValueError:
        return False
    return True


def _refuse(field: str, rule: str) -> NoReturn:
    raise InvalidField(FieldViolation(field, rule))
