"""From tree to condition: fields, types, functions, segments and limits."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

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
    Version,
)
from nuncio_targeting.domain.errors import (
    AudienceError,
    AudienceInvalid,
    AudienceTooLarge,
    Problem,
    SegmentCycle,
)
from nuncio_targeting.domain.language.compile import compiled
from nuncio_targeting.domain.language.parse import parse

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)


def compile_text(text: str, segments: Mapping[str, str] | None = None) -> Condition:
    parsed = {name: parse(inner) for name, inner in (segments or {}).items()}
    return compiled(parse(text), now=NOW, segments=parsed)


def problems_of(text: str, segments: Mapping[str, str] | None = None) -> tuple[Problem, ...]:
    with pytest.raises(AudienceInvalid) as raised:
        compile_text(text, segments)
    return raised.value.problems


def is_in(field: Field, *values: Value, attribute: str = "") -> Comparison:
    return Comparison(field, Operator.IN, values, attribute)


@pytest.mark.parametrize(
    ("text", "condition"),
    [
        ("all()", EVERYONE),
        ('platform = "ios"', is_in(Field.PLATFORM, "ios")),
        ('platform != "ios"', NoneOf(is_in(Field.PLATFORM, "ios"))),
        ('NOT permission = "denied"', NoneOf(is_in(Field.PERMISSION, "denied"))),
        ('environment = "sandbox"', is_in(Field.ENVIRONMENT, "sandbox")),
        ('language = "pt-BR"', is_in(Field.LANGUAGE, "pt-BR")),
        ('time_zone = "Europe/Zurich"', is_in(Field.TIME_ZONE, "Europe/Zurich")),
        ('device_model = "iPhone17,1"', is_in(Field.DEVICE_MODEL, "iPhone17,1")),
        ('user_id = "u-1"', is_in(Field.USER_ID, "u-1")),
        (
            'installation_id = "01890a5d-ac96-774b-bcce-b302099a8057"',
            is_in(Field.INSTALLATION_ID, "01890a5d-ac96-774b-bcce-b302099a8057"),
        ),
        ('in(country, "CH", "DE", "CH")', is_in(Field.COUNTRY, "CH", "DE")),
        ("in(attributes.n, 1, 2)", is_in(Field.ATTRIBUTE, 1.0, 2.0, attribute="n")),
        ('topics:"news"', Comparison(Field.TOPICS, Operator.HAS, ("news",))),
        ('consents:"marketing"', Comparison(Field.CONSENTS, Operator.HAS, ("marketing",))),
        ("user_id:*", Comparison(Field.USER_ID, Operator.PRESENT)),
        ("attributes.plan:*", Comparison(Field.ATTRIBUTE, Operator.PRESENT, (), "plan")),
        (
            'app_version >= "2.3"',
            Comparison(Field.APP_VERSION, Operator.GREATER_OR_EQUAL, (Version("2.3"),)),
        ),
        (
            'os_version < version("18")',
            Comparison(Field.OS_VERSION, Operator.LESS, (Version("18"),)),
        ),
        (
            'last_seen > ago("30d")',
            Comparison(Field.LAST_SEEN, Operator.GREATER, (NOW - timedelta(days=30),)),
        ),
        (
            'created <= "2026-01-31T18:00:00.5+01:00"',
            Comparison(
                Field.CREATED,
                Operator.LESS_OR_EQUAL,
                (datetime(2026, 1, 31, 17, 0, 0, 500_000, tzinfo=UTC),),
            ),
        ),
        (
            'token_changed < date("2026-01-31")',
            Comparison(Field.TOKEN_CHANGED, Operator.LESS, (datetime(2026, 1, 31, tzinfo=UTC),)),
        ),
        ("last_opened:*", Comparison(Field.LAST_OPENED, Operator.PRESENT)),
        ('attributes.plan = "free"', is_in(Field.ATTRIBUTE, "free", attribute="plan")),
        ("attributes.vip = true", is_in(Field.ATTRIBUTE, True, attribute="vip")),
        (
            "attributes.age >= 18",
            Comparison(Field.ATTRIBUTE, Operator.GREATER_OR_EQUAL, (18.0,), "age"),
        ),
        (
            'attributes.until > timestamp("2026-12-01T00:00:00Z")',
            Comparison(
                Field.ATTRIBUTE, Operator.GREATER, (datetime(2026, 12, 1, tzinfo=UTC),), "until"
            ),
        ),
        (
            'attributes.firmware < version("4.2")',
            Comparison(Field.ATTRIBUTE, Operator.LESS, (Version("4.2"),), "firmware"),
        ),
        (
            'country = "CH" AND (all() OR NOT user_id:*)',
            AllOf(
                (
                    is_in(Field.COUNTRY, "CH"),
                    AnyOf((EVERYONE, NoneOf(Comparison(Field.USER_ID, Operator.PRESENT)))),
                )
            ),
        ),
    ],
)
def test_an_expression_asks_for_one_condition(text: str, condition: Condition) -> None:
    assert compile_text(text) == condition


@pytest.mark.parametrize(
    ("length", "before"),
    [
        ("90s", timedelta(seconds=90)),
        ("15m", timedelta(minutes=15)),
        ("12h", timedelta(hours=12)),
        ("2w", timedelta(weeks=2)),
        ("0d", timedelta(0)),
    ],
)
def test_ago_counts_back_from_now(length: str, before: timedelta) -> None:
    condition = compile_text(f'created > ago("{length}")')
    assert condition == Comparison(Field.CREATED, Operator.GREATER, (NOW - before,))


@pytest.mark.parametrize(
    ("text", "position", "message", "expected"),
    [
        ('contry = "CH"', 0, "there is no field contry", "country"),
        ("zzz = 1", 0, "there is no field zzz", "one of platform, "),
        ("platform.x = 1", 0, "there is no field platform.x", "platform"),
        ("attributes = 1", 0, "an attribute has one name", "attributes.name"),
        ("attributes.a.b = 1", 0, "an attribute has one name", "attributes.name"),
        (f"attributes.{'a' * 65} = 1", 0, "an attribute has one name", "attributes.name"),
        ("platform = ios", 11, "ios is not in quotes", '"ios"'),
        ('platform = "iOS"', 11, '"iOS" is none of the field\'s values', '"ios"'),
        ('platform = "x"', 11, '"x" is none of the field\'s values', '"ios", "android", '),
        ('permission = "granted "', 13, '"granted " is none of the field\'s', '"granted"'),
        ('country = "ch"', 10, "the field never holds such a text", "two capital letters"),
        ('user_id = ""', 10, "the field never holds such a text", "1 to 200 characters"),
        ('installation_id = "x"', 18, "the field never holds such a text", "a UUID"),
        ('topics:"a b"', 7, "the field never holds such a text", "1 to 100 letters"),
        ('platform < "ios"', 9, "text has no order", "= or !="),
        ("attributes.vip >= true", 15, "true or false has no order", "= or !="),
        ("country = 5", 10, "this is a number, which", "a text in quotes"),
        ('country = version("1")', 10, "this is a version, which", "a text in quotes"),
        ("app_version = 2.3", 14, "this is a number, which", "up to six numbers"),
        ('app_version = "2.x"', 14, "this is no version", "up to six numbers"),
        ("last_seen > 5", 12, "this is a number, which", 'ago("30d"), '),
        ('last_seen > "yesterday"', 12, "this is no timestamp", "a time with its zone"),
        ('last_seen > "2026-01-31T18:00:00"', 12, "this is no timestamp", "a time with"),
        ('last_seen > "2026-13-31T18:00:00Z"', 12, "this is no timestamp", "a time with"),
        ('last_seen > "0001-01-01T00:00:00+10:00"', 12, "this is no timestamp", "a time"),
        ('last_seen = ago("1d")', 10, "points in time are hardly ever equal", "<, "),
        ('last_seen > ago("1x")', 16, "this is no duration", "a number and s, m, h, d or w"),
        ('last_seen > ago("99999w")', 16, "this is no duration", "a number and s, m, h"),
        ("last_seen > ago(30)", 12, "ago is given something else", "one text: a number and"),
        ("last_seen > ago()", 12, "ago is given something else", "one text: a number and"),
        ('last_seen > date("2026-02-30")', 17, "this is no day", "a day, such as"),
        ('last_seen > agoo("1d")', 12, "there is no function agoo that gives", "ago"),
        ("country = *", 10, "* follows a colon only", "a value, or field:*"),
        ("topics:*", 6, "topics is a set of texts", 'topics:"text"'),
        ('topics = "a"', 7, "topics is a set, which is not compared", 'topics:"text"'),
        ('language:"de"', 8, "language is text", "language:*"),
        ('ago("1d")', 0, "there is no condition ago", "all, in, segment"),
        ("al()", 0, "there is no condition al", "all"),
        ("all(1)", 0, "all takes no argument", "all()"),
        ("segment()", 0, "segment takes one name", 'segment("name")'),
        ("segment(vip)", 0, "segment takes one name", 'segment("name")'),
        ("in(country)", 0, "in takes a field and its values", "in(country, "),
        ('in("CH", "DE")', 0, "in takes a field and its values", "in(country, "),
        ('in(topics, "a")', 3, "topics is a set of texts, which in", "a field that = takes"),
        ("in(attributes.a, 1, true)", 20, "the values are not of one type", "a number"),
        ('in(attributes.a, ago("1d"))', 17, "points in time are hardly", "another value"),
    ],
)
def test_what_does_not_fit_is_named_where_it_is(
    text: str, position: int, message: str, expected: str
) -> None:
    (problem,) = problems_of(text)
    assert (problem.position, problem.column) == (position, position + 1)
    assert problem.message.startswith(message)
    assert problem.expected.startswith(expected)
    assert not problem.segment


def test_all_problems_are_told_at_once() -> None:
    found = problems_of('contry = "CH"\nAND platform = 5\nAND segment("s")', {"s": "x = 1"})
    assert [(each.segment, each.line, each.column) for each in found] == [
        ("", 1, 1),
        ("", 2, 16),
        ("s", 1, 1),
    ]


def test_a_segment_stands_for_its_condition() -> None:
    segments = {"vip": 'segment("paid") AND user_id:*', "paid": 'attributes.plan != "free"'}
    assert compile_text('NOT segment("vip")', segments) == NoneOf(
        AllOf(
            (
                NoneOf(is_in(Field.ATTRIBUTE, "free", attribute="plan")),
                Comparison(Field.USER_ID, Operator.PRESENT),
            )
        )
    )


def test_a_segment_may_be_used_twice() -> None:
    compile_text('segment("a") OR segment("b")', {"a": 'segment("b")', "b": "all()"})


def test_a_circle_of_segments_is_named_in_its_order() -> None:
    segments = {"a": 'segment("b")', "b": 'user_id:* AND segment("a")'}
    with pytest.raises(SegmentCycle) as raised:
        compile_text('segment("a")', segments)
    assert raised.value.metadata == {"segments": "a,b,a"}
    (problem,) = raised.value.problems
    assert (problem.segment, problem.position) == ("b", 22)


def test_a_segment_that_refers_to_itself_is_a_circle() -> None:
    with pytest.raises(SegmentCycle) as raised:
        compiled(parse('segment("me")'), now=NOW, segments={}, name="me")
    assert raised.value.metadata == {"segments": "me,me"}


def chain(length: int) -> dict[str, str]:
    """s1 refers to s2 and so on; the last one refers to nobody."""
    inner = {f"s{i}": f'segment("s{i + 1}")' for i in range(1, length)}
    return inner | {f"s{length}": "all()"}


def test_ten_levels_of_segments_are_fine_and_eleven_are_not() -> None:
    assert compile_text('segment("s1")', chain(10)) == EVERYONE
    with pytest.raises(AudienceTooLarge) as raised:
        compile_text('segment("s1")', chain(11))
    assert raised.value.metadata == {
        "limit": "levels of segments",
        "allowed": "10",
        "found": "11",
    }


def test_segments_that_multiply_are_stopped_at_the_limit_of_nodes() -> None:
    doubling = {f"s{i}": " OR ".join([f'segment("s{i + 1}")'] * 50) for i in range(1, 9)}
    with pytest.raises(AudienceTooLarge) as raised:
        compile_text('segment("s1")', doubling | {"s9": "all()"})
    assert raised.value.metadata == {"limit": "nodes", "allowed": "998", "found": "999"}


def test_values_are_counted_over_all_segments() -> None:
    numbers = ", ".join(map(str, range(3_000)))
    segments = dict.fromkeys("abcd", f"in(attributes.a, {numbers})")
    with pytest.raises(AudienceTooLarge) as raised:
        compile_text(" OR ".join(f'segment("{name}")' for name in "abcd"), segments)
    assert raised.value.metadata == {"limit": "values", "allowed": "10000", "found": "12000"}


def nested(levels: int) -> str:
    text = "user_id:*"
    for _ in range(levels):
        text = f"NOT (user_id:* AND {text})"
    return text


def test_39_levels_of_conditions_are_fine_and_more_are_not() -> None:
    compile_text(nested(19))  # 2 levels each, and the innermost one
    with pytest.raises(AudienceTooLarge) as raised:
        compile_text(nested(20))
    assert raised.value.metadata == {"limit": "levels", "allowed": "39", "found": "40"}


words = st.sampled_from(
    ["a", "platform", "attributes.x", "last_seen", "topics", "AND", "OR", "NOT", "-", "(", ")",
     "=", "!=", "<", ":", "*", ",", ".", '"ios"', "'x", "5", "true", "ago(", "in(", "segment(",
     "all()", "\\", "\n"]
)  # fmt: skip


@given(st.text(max_size=40) | st.lists(words, max_size=15).map(" ".join))
def test_no_text_gives_anything_but_a_condition_or_a_refusal(text: str) -> None:
    with suppress(AudienceError):
        compile_text(text, {"ios": "all()"})
