"""docs/audience-language.md tells the truth."""

import re
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nuncio_targeting.domain.errors import AudienceInvalid
from nuncio_targeting.domain.language.compile import compiled
from nuncio_targeting.domain.language.fields import FIELDS
from nuncio_targeting.domain.language.limits import (
    MAX_CHARACTERS,
    MAX_DEPTH,
    MAX_NODES,
    MAX_SEGMENT_CHARACTERS,
    MAX_SEGMENT_DEPTH,
    MAX_VALUES,
)
from nuncio_targeting.domain.language.parse import parse

REFERENCE = (Path(__file__).parents[3] / "docs" / "audience-language.md").read_text()
NOW = datetime(2026, 11, 21, tzinfo=UTC)
SEGMENTS = {"vip": parse("all()"), "opted-out": parse("all()")}

EXAMPLES = [
    line
    for block in re.findall(r"```audience\n(.*?)```", REFERENCE, re.DOTALL)
    for line in block.splitlines()
]
MISTAKES = re.findall(
    r"^\| `(.+)` \| (\d+) \| (.+) \| (.+) \|$",
    REFERENCE.partition("Some messages:")[2],
    re.MULTILINE,
)


@pytest.mark.parametrize("text", EXAMPLES)
def test_an_example_is_right(text: str) -> None:
    compiled(parse(text), now=NOW, segments=SEGMENTS)


@pytest.mark.parametrize(("text", "column", "message", "expected"), MISTAKES)
def test_a_mistake_is_told_as_shown(text: str, column: str, message: str, expected: str) -> None:
    with pytest.raises(AudienceInvalid) as raised:
        compiled(parse(text), now=NOW, segments=SEGMENTS)
    (problem,) = raised.value.problems
    assert (str(problem.column), problem.message) == (column, message)
    assert problem.expected == expected.strip("`")


def test_there_are_examples_and_mistakes() -> None:
    assert len(EXAMPLES) > 10
    assert len(MISTAKES) > 5


def test_every_field_is_explained() -> None:
    row = re.compile(r"^\| `([a-z_]+)` \| (?:text|version|set|time) \|", re.MULTILINE)
    assert set(row.findall(REFERENCE)) == set(FIELDS)


@pytest.mark.parametrize(
    ("limit", "name"),
    [
        (MAX_CHARACTERS, "characters"),
        (MAX_NODES, "nodes"),
        (MAX_DEPTH, "levels"),
        (MAX_SEGMENT_DEPTH, "levels of segments"),
        (MAX_SEGMENT_CHARACTERS, "characters of segments"),
        (MAX_VALUES, "values"),
    ],
)
def test_every_limit_is_told(limit: int, name: str) -> None:
    assert re.search(rf"\| {limit:,}(?: characters)? \| `{name}` \|", REFERENCE)
