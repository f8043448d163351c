"""Which part of a predicate names the rows, and which part an index answers."""

import re

import pytest

from nuncio_registry.domain.conjuncts import (
    besides_installations,
    named_installations,
    named_users,
)
from nuncio_registry.domain.model import Version
from nuncio_registry.domain.predicate import (
    AllOf,
    AnyOf,
    Comparison,
    Field,
    NoneOf,
    Operator,
    Predicate,
)
from nuncio_registry.storage.looking import Q as LOOKING
from nuncio_registry.storage.predicate import PLACE, indexed, where
from nuncio_registry.storage.selection import Q
from tests.unit.registry.builders import key

TOPIC = Comparison(Field.TOPICS, Operator.HAS, ("news",))
TAG = Comparison(Field.TAGS, Operator.HAS, ("vip",))
PLAN = Comparison(Field.ATTRIBUTE, Operator.IN, ("free",), attribute="plan")
COUNTRY = Comparison(Field.COUNTRY, Operator.IN, ("CH",))


def ids(*numbers: int) -> Comparison:
    return Comparison(Field.INSTALLATION_ID, Operator.IN, tuple(str(key(n)) for n in numbers))


def users(*names: str) -> Comparison:
    return Comparison(Field.USER_ID, Operator.IN, names)


def test_ids_are_named_at_any_depth_of_all_of_and_in_key_order() -> None:
    assert named_installations(ids(3, 1, 3)) == [key(1), key(3)]
    assert named_installations(AllOf((COUNTRY, AllOf((ids(2), TOPIC))))) == [key(2)]


def test_who_is_named_twice_has_to_be_in_both_lists() -> None:
    assert named_installations(AllOf((ids(1, 2, 3), ids(3, 2, 9)))) == [key(2), key(3)]
    assert named_installations(AllOf((ids(1), ids(2)))) == []
    assert named_users(AllOf((users("anna", "ben"), users("ben")))) == ["ben"]


@pytest.mark.parametrize(
    "predicate", [None, AllOf(()), TOPIC, AnyOf((ids(1), COUNTRY)), NoneOf(ids(1))]
)
def test_nobody_is_named_where_others_can_match(predicate: Predicate | None) -> None:
    assert named_installations(predicate) is None
    assert named_users(predicate) is None


def test_who_is_named_is_asked_all_else() -> None:
    assert besides_installations(ids(1, 2)) is None
    assert besides_installations(AllOf((ids(1), AllOf((ids(2), TOPIC)), COUNTRY))) == AllOf(
        (TOPIC, COUNTRY)
    )
    assert besides_installations(AllOf((ids(1), NoneOf(ids(2))))) == AllOf((NoneOf(ids(2)),))


def test_a_user_that_is_only_present_names_nobody() -> None:
    assert named_users(Comparison(Field.USER_ID, Operator.PRESENT)) is None


@pytest.mark.parametrize("part", [TOPIC, TAG, PLAN, AnyOf((TOPIC, TAG)), AnyOf((AllOf((PLAN,)),))])
def test_sets_and_attributes_are_answered_by_an_index(part: Predicate) -> None:
    assert indexed(AllOf((COUNTRY, part))) == AllOf((part,))


@pytest.mark.parametrize(
    "predicate",
    [
        None,
        COUNTRY,
        NoneOf(TOPIC),
        AnyOf((TOPIC, COUNTRY)),
        AnyOf((TOPIC, AllOf(()))),
        Comparison(Field.TOPICS, Operator.PRESENT),
        Comparison(Field.CONSENTS, Operator.HAS, ("news",)),
        Comparison(Field.ATTRIBUTE, Operator.PRESENT, attribute="plan"),
        Comparison(Field.ATTRIBUTE, Operator.GREATER, (1.0,), attribute="age"),
        Comparison(Field.ATTRIBUTE, Operator.IN, (Version("1.2"),), attribute="build"),
    ],
)
def test_all_else_is_not(predicate: Predicate | None) -> None:
    assert indexed(predicate) is None


@pytest.mark.parametrize("query", [Q.scan_targets, Q.targets_among, LOOKING.find_by_sets])
def test_all_that_predicates_ask_for_passes_the_fences(query: str) -> None:
    (fenced,) = re.findall(
        r"\(\s*SELECT ((?:(?!SELECT).)*?)\s+FROM installation AS i\b(?! WHERE)[^()]*?"
        r"(?:LIMIT \$7|OFFSET 0)",
        query,
        re.DOTALL,
    )
    passing = set(re.split(r",\s+", fenced))
    for field in Field:
        present = Comparison(field, Operator.PRESENT, attribute="plan")
        condition = where(PLACE, present, ())[0]
        assert set(re.findall(r"i\.\w+", condition)) <= passing, field
