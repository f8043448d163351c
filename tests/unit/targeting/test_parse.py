"""From text to tree and back."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio_targeting.domain.errors import AudienceInvalid, AudienceTooLarge
from nuncio_targeting.domain.language.ast import (
    And,
    Anything,
    Argument,
    Call,
    Expression,
    Flag,
    Member,
    Not,
    Number,
    Or,
    Restriction,
    Text,
)
from nuncio_targeting.domain.language.canonical import canonical
from nuncio_targeting.domain.language.parse import parse

A = Restriction(Member(("a",)), "=", Number(1))
B = Restriction(Member(("b",)), "=", Number(2))
C = Restriction(Member(("c",)), "=", Number(3))


@pytest.mark.parametrize(
    ("text", "tree"),
    [
        ("a = 1", A),
        ("a=1", A),
        ("  a\n=\t1 ", A),
        ("(((a = 1)))", A),
        ("a = 1 AND b = 2 AND c = 3", And((A, B, C))),
        ("a = 1 AND (b = 2 AND c = 3)", And((A, B, C))),
        ("a = 1 OR (b = 2 OR c = 3)", Or((A, B, C))),
        ("a = 1 AND (b = 2 OR c = 3)", And((A, Or((B, C))))),
        ("NOT a = 1 AND b = 2", And((Not(A), B))),
        ("-a = 1", Not(A)),
        ("NOT (NOT a = 1)", A),
        ("NOT (a = 1 OR b = 2)", Not(Or((A, B)))),
        ("a != 1", Restriction(Member(("a",)), "!=", Number(1))),
        ("a.b >= -1.5e3", Restriction(Member(("a", "b")), ">=", Number(-1500))),
        ("a:*", Restriction(Member(("a",)), ":", Anything())),
        ("a : 'x'", Restriction(Member(("a",)), ":", Text("x"))),
        ("a = true", Restriction(Member(("a",)), "=", Flag(value=True))),
        ("a = trueish", Restriction(Member(("a",)), "=", Member(("trueish",)))),
        ('a > ago("1d")', Restriction(Member(("a",)), ">", Call("ago", (Text("1d"),)))),
        ("all()", Call("all", ())),
        ("in(a, 1, 2)", Call("in", (Member(("a",)), Number(1), Number(2)))),
        ("a.OR = 1 OR b = 2", Or((Restriction(Member(("a", "OR")), "=", Number(1)), B))),
        (r'a = "\"\\\'\n\t\r"', Restriction(Member(("a",)), "=", Text("\"\\'\n\t\r"))),
        ("a = 'say \"hi\"'", Restriction(Member(("a",)), "=", Text('say "hi"'))),
        ('a = "two\nlines"', Restriction(Member(("a",)), "=", Text("two\nlines"))),
    ],
)
def test_a_text_means_one_tree(text: str, tree: Expression) -> None:
    assert parse(text) == tree


@pytest.mark.parametrize(
    ("text", "position", "line", "column", "message", "expected"),
    [
        ("", 0, 1, 1, "it is empty", "a field, a function, NOT or ("),
        (" \n ", 3, 2, 2, "it is empty", "a field, a function, NOT or ("),
        ("a", 1, 1, 2, "the expression ends too early", "a comparison: "),
        ("a =", 3, 1, 4, "the expression ends too early", "a value: "),
        ("(a = 1", 6, 1, 7, "the expression ends too early", ")"),
        ("f(1", 3, 1, 4, "the expression ends too early", ", or )"),
        ("a = 1)", 5, 1, 6, '")" cannot stand here', "the end"),
        ("a = 1 b = 2", 6, 1, 7, '"b" cannot stand here', "AND, OR or the end"),
        ("a = 1 & b = 2", 6, 1, 7, '"&" cannot stand here', "AND, OR or the end"),
        ("a = 1 ANDD", 6, 1, 7, '"ANDD" cannot stand here', "AND, OR or the end"),
        ("a == 1", 3, 1, 4, '"=" cannot stand here', "a value: "),
        ('"a"', 0, 1, 1, '"a" cannot stand here', "a field, a function, NOT or ("),
        ("a. = 1", 3, 1, 4, '"=" cannot stand here', "a name"),
        ("f(1 2)", 4, 1, 5, '"2" cannot stand here', ", or )"),
        ("a AND = 1", 2, 1, 3, '"AND" cannot stand here', "a comparison: "),
        ("a = 1 and b = 2", 6, 1, 7, '"and" is not in capitals', "AND"),
        ("a = 1 OR b = 2 AND c = 3", 15, 1, 16, "AND and OR are mixed", "parentheses"),
        ("a = 1 AND\nb = 2\nOR c = 3", 16, 3, 1, "AND and OR are mixed", "parentheses"),
        ("(a = 1 AND b = 2 OR c = 3)", 17, 1, 18, "AND and OR are mixed", "parentheses"),
        ('a = "x', 4, 1, 5, "the text is not closed", 'another "'),
        (r'a = "\q"', 5, 1, 6, "there is no such escape", r"one of \\"),
        ('a =\n"x\n \\q"', 8, 3, 2, "there is no such escape", r"one of \\"),
        ('a = "\0"', 5, 1, 6, "a text cannot hold this character", "no NUL"),
        ("a = 1e999", 4, 1, 5, "the number is too large", "a number of 64 bits"),
        ("NOT NOT a = 1", 8, 1, 9, '"a" cannot stand here', "a comparison: "),
    ],
)
def test_a_mistake_is_named_where_it_is(
    text: str, position: int, line: int, column: int, message: str, expected: str
) -> None:
    with pytest.raises(AudienceInvalid) as raised:
        parse(text)
    (problem,) = raised.value.problems
    assert (problem.position, problem.line, problem.column) == (position, line, column)
    assert problem.message == message
    assert problem.expected.startswith(expected)
    assert raised.value.metadata["position"] == str(position)


@pytest.mark.parametrize(
    "text", ["(" * 20_000, f"{'(' * 9_000}a = 1{')' * 9_000}", "-(" * 10_000, "f(" * 10_000]
)
def test_deep_nesting_is_refused_before_it_costs(text: str) -> None:
    with pytest.raises(AudienceTooLarge) as raised:
        parse(text)
    assert raised.value.metadata == {"limit": "levels", "allowed": "39", "found": "40"}


def test_39_levels_of_parentheses_are_fine() -> None:
    assert parse("(" * 39 + "a = 1" + ")" * 39) == A


def test_parentheses_in_texts_do_not_count() -> None:
    parse(f'a = "{"(" * 100}"')


def test_an_expression_that_is_too_long_is_refused() -> None:
    with pytest.raises(AudienceTooLarge) as raised:
        parse("a" * 20_001)
    assert raised.value.metadata == {
        "limit": "characters",
        "allowed": "20000",
        "found": "20001",
    }


# NOT, true and false at these places would not be names.
first_names = st.sampled_from(["a", "OR", "AND", "_x1", "trueish", "in"])
names = st.sampled_from(["a", "NOT", "true", "and"])
members = st.builds(
    lambda first, rest: Member((first, *rest)), first_names, st.lists(names, max_size=2)
)
texts = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=6)
values: st.SearchStrategy[Argument] = st.one_of(
    st.builds(Text, texts),
    st.builds(Number, st.floats(allow_nan=False, allow_infinity=False)),
    st.builds(Flag, st.booleans()),
    st.just(Anything()),
    members,
)
calls = st.builds(
    Call,
    first_names,
    st.lists(values | st.builds(Call, first_names, st.tuples(values)), max_size=3).map(tuple),
)
comparators = st.sampled_from(["=", "!=", "<", "<=", ">", ">=", ":"])
leaves: st.SearchStrategy[Expression] = calls | st.builds(
    Restriction, members, comparators, values | calls
)


@st.composite
def trees(draw: st.DrawFn, *, depth: int = 3) -> Expression:
    """Trees as the parser makes them: no And in an And, no Or in an Or, no Not in a Not."""
    kind = draw(st.sampled_from([And, Or, Not, None])) if depth else None
    if kind is None:
        return draw(leaves)
    one, other = draw(trees(depth=depth - 1)), draw(trees(depth=depth - 1))
    if isinstance(one, kind) or isinstance(other, kind):
        return one
    if kind is And or kind is Or:
        return kind((one, other))
    return Not(one)


@given(trees())
def test_the_canonical_form_says_the_same(tree: Expression) -> None:
    assert parse(canonical(tree)) == tree


@given(trees())
def test_the_canonical_form_of_a_canonical_form_is_itself(tree: Expression) -> None:
    text = canonical(tree)
    assert canonical(parse(text)) == text
