"""Comparisons: which field, which operator, which values, and whether they go together."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from nuncio_targeting.domain.condition import Comparison, Condition, NoneOf, Operator, Value
from nuncio_targeting.domain.language.ast import Anything, Argument, Call, Member, Restriction
from nuncio_targeting.domain.language.fields import (
    ATTRIBUTE,
    ATTRIBUTES,
    FIELDS,
    FieldRule,
    Type,
    is_attribute_name,
    nearest,
)
from nuncio_targeting.domain.language.literals import type_of, value_of, wrong

_ORDERS: Final[Mapping[str, Operator]] = {
    "<": Operator.LESS,
    "<=": Operator.LESS_OR_EQUAL,
    ">": Operator.GREATER,
    ">=": Operator.GREATER_OR_EQUAL,
}
_ORDERED: Final = (Type.NUMBER, Type.VERSION, Type.TIME)


def comparison(node: Restriction, *, now: datetime) -> Condition:
    """The condition of one restriction. Raises AudienceInvalid."""
    rule, attribute = _field(node.member)
    if node.comparator == ":":
        return _having(node, rule, attribute=attribute, now=now)
    if rule.type is Type.SET:
        message = f"{node.member} is a set, which is not compared as a whole"
        raise wrong(node.place, message, f'{node.member}:"text"')
    value = value_of(node.argument, rule, now=now)
    found = type_of(value)
    if node.comparator in _ORDERS:
        if found not in _ORDERED:
            raise wrong(node.place, f"{found.value} has no order", "= or !=")
        return Comparison(rule.field, _ORDERS[node.comparator], (value,), attribute)
    if found is Type.TIME:
        raise wrong(node.place, "points in time are hardly ever equal", "<, <=, > or >=")
    equal = Comparison(rule.field, Operator.IN, (value,), attribute)
    return equal if node.comparator == "=" else NoneOf(equal)


def membership(node: Call, *, now: datetime) -> Condition:
    """The condition of `in(field, value, ...)`. Raises AudienceInvalid."""
    match node.arguments:
        case (Member() as member, first, *others):
            rule, attribute = _field(member)
        case _:
            expected = 'in(country, "CH", "DE")'
            raise wrong(node.place, "in takes a field and its values", expected)
    if rule.type in (Type.SET, Type.TIME):
        message = f"{member} is {rule.type.value}, which in does not take"
        raise wrong(member.place, message, "a field that = takes")
    values = [_listed(argument, rule, now=now) for argument in (first, *others)]
    for argument, value in zip(others, values[1:], strict=True):
        if type_of(value) is not type_of(values[0]):
            expected = type_of(values[0]).value
            raise wrong(argument.place, "the values are not of one type", expected)
    return Comparison(rule.field, Operator.IN, tuple(dict.fromkeys(values)), attribute)


def _listed(argument: Argument, rule: FieldRule, *, now: datetime) -> Value:
    value = value_of(argument, rule, now=now)
    if type_of(value) is Type.TIME:
        raise wrong(argument.place, "points in time are hardly ever equal", "another value")
    return value


def _having(node: Restriction, rule: FieldRule, *, attribute: str, now: datetime) -> Condition:
    """A set that has a text, or another field that has a value at all."""
    starred = isinstance(node.argument, Anything)
    if starred == (rule.type is Type.SET):
        expected = f'{node.member}:"text"' if starred else f"{node.member}:*"
        raise wrong(node.place, f"{node.member} is {rule.type.value}", expected)
    if starred:
        return Comparison(rule.field, Operator.PRESENT, (), attribute)
    return Comparison(rule.field, Operator.HAS, (value_of(node.argument, rule, now=now),))


def _field(member: Member) -> tuple[FieldRule, str]:
    """The rule of a field and, where it is an attribute, its name."""
    match member.names:
        case (name,) if name in FIELDS:
            return FIELDS[name], ""
        case ("attributes", name) if is_attribute_name(name):
            return ATTRIBUTE, name
        case ("attributes", *_):
            expected = "attributes.name, a name of at most 64 characters"
            raise wrong(member.place, "an attribute has one name", expected)
        case (first, *_):
            known = (*FIELDS, ATTRIBUTES)
            expected = nearest(first, known) or "one of " + ", ".join(known)
            raise wrong(member.place, f"there is no field {member}", expected)
    raise AssertionError(member)
