"""What predicates have to keep, and that they become constant SQL with arguments."""

import re
from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio_registry.domain.model import Value, Version
from nuncio_registry.domain.predicate import (
    MAX_VALUES,
    AllOf,
    AnyOf,
    Comparison,
    Field,
    NoneOf,
    Operator,
    Predicate,
    check_predicate,
)
from nuncio_registry.storage.predicate import PLACE, where
from nuncio_runtime.errors import InvalidField

IN, LESS, LESS_OR_EQUAL, GREATER, GREATER_OR_EQUAL, HAS, PRESENT = Operator
CH = Comparison(Field.COUNTRY, IN, ("CH",))
TIME = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("comparison", "field"),
    [
        (Comparison(Field.COUNTRY, IN), "values"),
        (Comparison(Field.COUNTRY, IN, ("CH",) * (MAX_VALUES + 1)), "values"),
        (Comparison(Field.COUNTRY, PRESENT, ("CH",)), "values"),
        (Comparison(Field.LAST_SEEN, LESS, (TIME, TIME)), "values"),
        (Comparison(Field.LAST_SEEN, LESS), "values"),
        (Comparison(Field.COUNTRY, LESS, ("CH",)), "operator"),
        (Comparison(Field.COUNTRY, HAS, ("CH",)), "operator"),
        (Comparison(Field.TOPICS, IN, ("news",)), "operator"),
        (Comparison(Field.COUNTRY, IN, ("CH", 1.0)), "values[1]"),
        (Comparison(Field.LAST_SEEN, LESS, ("2026",)), "values[0]"),
        (Comparison(Field.APP_VERSION, IN, ("2.3",)), "values[0]"),
        (Comparison(Field.PLATFORM, IN, ("ios", "IOS")), "values[1]"),
        (Comparison(Field.PERMISSION, IN, ("allowed",)), "values[0]"),
        (Comparison(Field.INSTALLATION_ID, IN, ("1",)), "values[0]"),
        (Comparison(Field.ATTRIBUTE, IN, ("a",)), "attribute"),
        (Comparison(Field.COUNTRY, IN, ("CH",), "plan"), "attribute"),
        (Comparison(Field.ATTRIBUTE, IN, ("a", 1.0), "plan"), "values[1]"),
        (Comparison(Field.ATTRIBUTE, LESS, ("a",), "plan"), "values[0]"),
        (Comparison(Field.ATTRIBUTE, LESS, (True,), "plan"), "values[0]"),
        (Comparison(Field.ATTRIBUTE, HAS, ("a",), "plan"), "operator"),
    ],
)
def test_a_comparison_of_wrong_types_is_named(comparison: Comparison, field: str) -> None:
    with pytest.raises(InvalidField) as refused:
        check_predicate(AllOf((CH, NoneOf(AnyOf((comparison,))))))
    path = "predicate.all_of.operands[1].none_of.any_of.operands[0].comparison"
    assert refused.value.violations[0].field == f"{path}.{field}"


def nested(depth: int) -> Predicate:
    node: Predicate = CH
    for _ in range(depth - 1):
        node = NoneOf(node)
    return node


def test_forty_levels_are_allowed_and_one_more_is_not() -> None:
    check_predicate(nested(40))
    with pytest.raises(InvalidField, match="40 deep"):
        check_predicate(nested(41))


def test_a_thousand_nodes_are_allowed_and_one_more_is_not() -> None:
    check_predicate(AllOf((CH,) * 999))
    with pytest.raises(InvalidField, match="1000 nodes"):
        check_predicate(AllOf((CH,) * 1000))


TEXTS = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=20)
VALUES: st.SearchStrategy[Value] = (
    TEXTS
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.booleans()
    | st.just(TIME)
    | st.from_regex(r"[0-9]{1,3}(\.[0-9]{1,3}){0,5}", fullmatch=True).map(Version)
)
COMPARISONS = st.builds(
    Comparison,
    st.sampled_from(Field),
    st.sampled_from(Operator),
    st.lists(VALUES, max_size=3).map(tuple),
    TEXTS,
)
PREDICATES: st.SearchStrategy[Predicate] = st.recursive(
    COMPARISONS,
    lambda nodes: (
        st.builds(AllOf, st.lists(nodes, max_size=3).map(tuple))
        | st.builds(AnyOf, st.lists(nodes, min_size=1, max_size=3).map(tuple))
        | st.builds(NoneOf, nodes)
    ),
    max_leaves=10,
)
SQL = re.compile(r"[\w\s().,:$&@<>=?|*/\[\]'{}-]*")


@given(PREDICATES)
def test_what_is_accepted_compiles_to_sql_without_its_values(predicate: Predicate) -> None:
    try:
        check_predicate(predicate)
    except InvalidField:
        return
    sql, first, *arguments = where(f"WHERE {PLACE}", predicate, ("app",))
    assert first == "app"
    placeholders = {int(n) for n in re.findall(r"\$(\d+)", sql)}
    assert placeholders == set(range(2, len(arguments) + 2))
    # All quotes are those of our own constants.
    quoted = set(re.findall(r"'[^']*'", sql))
    assert quoted <= {"'{}'", "'-'", "'number'", "'time'", "'version'"}
    assert SQL.fullmatch(sql)


def test_values_with_quotes_stay_arguments() -> None:
    evil = "'; DROP TABLE app; --"
    sql, *arguments = where(PLACE, Comparison(Field.ATTRIBUTE, IN, (evil,), evil), ())
    assert "DROP" not in sql
    assert arguments == [[{evil: {"text": evil}}]]


def test_without_a_predicate_the_query_stays_as_it_is() -> None:
    assert where(f"SELECT {PLACE}", None, (1,)) == (f"SELECT {PLACE}", 1)
