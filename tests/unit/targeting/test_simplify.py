"""Fewer nodes that hold for the same installations."""

import pytest

from nuncio_targeting.domain.condition import (
    EVERYONE,
    AllOf,
    AnyOf,
    Comparison,
    Condition,
    Field,
    NoneOf,
    Operator,
    Value,
)
from nuncio_targeting.domain.language.simplify import simplified


def country(*values: str) -> Comparison:
    return Comparison(Field.COUNTRY, Operator.IN, values)


def topic(*values: str) -> Comparison:
    return Comparison(Field.TOPICS, Operator.HAS, values)


def attribute(value: Value, name: str = "x") -> Comparison:
    return Comparison(Field.ATTRIBUTE, Operator.IN, (value,), name)


IDENTIFIED = Comparison(Field.USER_ID, Operator.PRESENT)
ADULT = Comparison(Field.ATTRIBUTE, Operator.GREATER, (18.0,), "age")


@pytest.mark.parametrize(
    ("condition", "simple"),
    [
        (AnyOf((country("CH"), country("DE", "CH"))), country("CH", "DE")),
        (AnyOf((topic("a"), IDENTIFIED, topic("b"))), AnyOf((topic("a", "b"), IDENTIFIED))),
        (AnyOf((country("CH"), AnyOf((country("DE"),)))), country("CH", "DE")),
        (NoneOf(NoneOf(IDENTIFIED)), IDENTIFIED),
        (AllOf((IDENTIFIED, EVERYONE)), IDENTIFIED),
        (AllOf((EVERYONE, EVERYONE)), EVERYONE),
        (AllOf((IDENTIFIED, AllOf((ADULT, topic("a"))))), AllOf((IDENTIFIED, ADULT, topic("a")))),
        (AnyOf((IDENTIFIED, EVERYONE)), EVERYONE),
    ],
)
def test_a_condition_gets_simpler(condition: Condition, simple: Condition) -> None:
    assert simplified(condition) == simple


@pytest.mark.parametrize(
    "condition",
    [
        IDENTIFIED,
        NoneOf(EVERYONE),
        AllOf((country("CH"), country("DE"))),
        AllOf((topic("a"), topic("b"))),
        AnyOf((ADULT, Comparison(Field.ATTRIBUTE, Operator.GREATER, (21.0,), "age"))),
        AnyOf((attribute("1"), attribute(1.0), attribute(value=True))),
        AnyOf((attribute(1.0, "x"), attribute(1.0, "y"))),
    ],
)
def test_what_cannot_be_said_shorter_stays(condition: Condition) -> None:
    assert simplified(condition) == condition
