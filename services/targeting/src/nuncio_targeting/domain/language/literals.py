"""From what an expression writes to the value that is meant."""

from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Final, NamedTuple

from nuncio_targeting.domain.condition import Value, Version
from nuncio_targeting.domain.errors import AudienceInvalid, Problem
from nuncio_targeting.domain.language import values
from nuncio_targeting.domain.language.ast import (
    Anything,
    Argument,
    Call,
    Flag,
    Member,
    Number,
    Place,
    Text,
)
from nuncio_targeting.domain.language.fields import FieldRule, Type, nearest


class ValueFunction(NamedTuple):
    """A function that gives a value: it reads a text, as of now.

    noun: what the text is; expected: what it looks like.
    """

    read: Callable[[str, datetime], Value | None]
    noun: str
    expected: str


def _ago(text: str, now: datetime) -> datetime | None:
    length = values.duration(text)
    return None if length is None else now - length


VALUE_FUNCTIONS: Final[Mapping[str, ValueFunction]] = {
    "ago": ValueFunction(_ago, "duration", values.DURATION),
    "date": ValueFunction(lambda text, _: values.date(text), "day", values.DATE),
    "timestamp": ValueFunction(
        lambda text, _: values.timestamp(text), "timestamp", values.TIMESTAMP
    ),
    "version": ValueFunction(lambda text, _: values.version(text), "version", values.VERSION),
}

_TYPES: Final[Mapping[type[Value], Type]] = {
    str: Type.TEXT,
    float: Type.NUMBER,
    bool: Type.FLAG,
    datetime: Type.TIME,
    Version: Type.VERSION,
}
_WANTED: Final = {
    Type.TEXT: "a text in quotes",
    Type.SET: "a text in quotes",
    Type.VERSION: values.VERSION,
    Type.TIME: f'ago("30d"), date("2026-01-31") or {values.TIMESTAMP}',
}
# Fields of these types take the plain text, without the function's name around it.
_IMPLIED: Final = {Type.TIME: "timestamp", Type.VERSION: "version"}


def wrong(place: Place, message: str, expected: str) -> AudienceInvalid:
    """The error for one spot of an expression."""
    return AudienceInvalid(Problem(message, expected, *place))


def type_of(value: Value) -> Type:
    """The type that the language gives a value."""
    return _TYPES[type(value)]


def value_of(argument: Argument, rule: FieldRule, *, now: datetime) -> Value:
    """The value that a field is compared with. Raises AudienceInvalid when it does not suit it."""
    implied = _IMPLIED.get(rule.type)
    if implied and isinstance(argument, Text):
        return _called(implied, argument, now=now)
    value = _literal(argument, now=now)
    found, wanted = type_of(value), Type.TEXT if rule.type is Type.SET else rule.type
    if wanted not in (found, Type.ANY):
        message = f"this is {found.value}, which the field does not hold"
        raise wrong(argument.place, message, _WANTED[rule.type])
    if isinstance(value, str):
        _check_text(value, rule, place=argument.place)
    return value


def _literal(argument: Argument, *, now: datetime) -> Value:
    match argument:
        case Text(value) | Number(value) | Flag(value):
            return value
        case Call(name, arguments, place):
            return _call(name, arguments, place=place, now=now)
        case Anything(place):
            raise wrong(place, "* follows a colon only", "a value, or field:*")
        case Member(_, place):
            raise wrong(place, f"{argument} is not in quotes", f'"{argument}"')


def _call(name: str, arguments: tuple[Argument, ...], *, place: Place, now: datetime) -> Value:
    if name not in VALUE_FUNCTIONS:
        expected = nearest(name, VALUE_FUNCTIONS) or ", ".join(VALUE_FUNCTIONS)
        raise wrong(place, f"there is no function {name} that gives a value", expected)
    match arguments:
        case (Text() as text,):
            return _called(name, text, now=now)
    expected = f"one text: {VALUE_FUNCTIONS[name].expected}"
    raise wrong(place, f"{name} is given something else", expected)


def _called(name: str, text: Text, *, now: datetime) -> Value:
    function = VALUE_FUNCTIONS[name]
    value = function.read(text.value, now)
    if value is None:
        raise wrong(text.place, f"this is no {function.noun}", function.expected)
    return value


def _check_text(text: str, rule: FieldRule, *, place: Place) -> None:
    if rule.choices and text not in rule.choices:
        meant = nearest(text, rule.choices)
        choices = [meant] if meant else rule.choices
        expected = ", ".join(f'"{choice}"' for choice in choices)
        raise wrong(place, f'"{text[:40]}" is none of the field\'s values', expected)
    if rule.pattern and not rule.pattern.fullmatch(text):
        raise wrong(place, "the field never holds such a text", rule.expected)
