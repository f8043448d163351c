"""The same condition with fewer nodes: what a database answers best."""

from collections.abc import Iterable, Iterator

from nuncio_targeting.domain.condition import (
    EVERYONE,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    NoneOf,
    Operator,
)


def simplified(condition: Condition) -> Condition:
    """Hold for the same installations.

    Comparisons of one field for equality that are joined by OR become one comparison with a list.
    """
    match condition:
        case AllOf(operands):
            inner = tuple(_flat(AllOf, map(simplified, operands)))
            return inner[0] if len(inner) == 1 else AllOf(inner)
        case AnyOf(operands):
            return _any_of(list(_flat(AnyOf, map(simplified, operands))))
        case NoneOf(operand):
            inside = simplified(operand)
            return inside.operand if isinstance(inside, NoneOf) else NoneOf(inside)
        case Comparison():
            return condition


def _any_of(operands: list[Condition]) -> Condition:
    if EVERYONE in operands:
        return EVERYONE
    merged = tuple(_merged(operands))
    return merged[0] if len(merged) == 1 else AnyOf(merged)


def _merged(operands: Iterable[Condition]) -> Iterator[Condition]:
    """Comparisons that ask for equality or membership, one for each field and type of value."""
    groups: dict[object, Condition] = {}
    for operand in operands:
        if isinstance(operand, Comparison) and operand.operator in (Operator.IN, Operator.HAS):
            key = (operand.field, operand.attribute, type(operand.values[0]))
            present = groups.get(key)
            groups[key] = _joined(present, operand) if isinstance(present, Comparison) else operand
        else:
            groups[id(operand)] = operand
    yield from groups.values()


def _joined(one: Comparison, other: Comparison) -> Comparison:
    values = tuple(dict.fromkeys(one.values + other.values))
    return Comparison(one.field, one.operator, values, one.attribute)


def _flat(kind: type[AllOf] | type[AnyOf], operands: Iterable[Condition]) -> Iterator[Condition]:
    for operand in operands:
        if isinstance(operand, kind):
            yield from operand.operands
        else:
            yield operand
