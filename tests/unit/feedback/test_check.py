"""Which pages are refused, and what the refusal names."""

from dataclasses import replace
from typing import Any

import pytest

from nuncio_feedback.domain.check import FINAL, LATEST, check
from nuncio_feedback.domain.model import OutcomePage, Verdict
from nuncio_runtime.errors import InvalidField
from tests.unit.feedback.pages import Row, page_of

GOOD = page_of(Row(), Row(verdict=Verdict.REFUSED, reason="BadTopic"))


def fields_refused(page: OutcomePage) -> set[str]:
    with pytest.raises(InvalidField) as refusal:
        check(page)
    return {violation.field for violation in refusal.value.violations}


@pytest.mark.parametrize("page", [GOOD, page_of()], ids=["two rows", "empty"])
def test_a_well_formed_page_is_taken(page: OutcomePage) -> None:
    check(page)


@pytest.mark.parametrize("verdict", sorted(FINAL), ids=lambda verdict: verdict.name)
def test_every_final_verdict_is_taken(verdict: Verdict) -> None:
    check(page_of(Row(verdict=verdict, reason="Any")))


def test_platforms_and_providers_of_a_newer_peer_are_taken() -> None:
    check(page_of(Row(platform=200, provider=201)))


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("installation_ids", bytes(31)),
        ("token_refs", bytes(48)),
        ("platforms", b"\1"),
        ("providers", b"\1\1\1"),
        ("verdicts", b""),
        ("reasons", [0]),
        ("sent_at", [0]),
        ("dead_since", [0, 0, 0]),
        ("platforms", b"\1\0"),
        ("providers", b"\0\1"),
        ("verdicts", b"\1\0"),
        ("verdicts", b"\1\x09"),
        ("verdicts", bytes([Verdict.RETRY, Verdict.ACCEPTED])),
        ("verdicts", bytes([Verdict.MISCONFIGURED, Verdict.ACCEPTED])),
        ("verdicts", bytes([Verdict.TOKEN_DEAD, Verdict.REFUSED])),
        ("reasons", [0, 2]),
        ("reason_names", ["", "x" * 101]),
        ("sent_at", [0, -1]),
        ("dead_since", [LATEST + 1, 0]),
        ("lanes", [0]),
        ("lanes", [0, 1]),
    ],
)
def test_a_malformed_column_is_named(column: str, value: Any) -> None:
    expected = "reasons" if value == bytes([Verdict.TOKEN_DEAD, Verdict.REFUSED]) else column
    assert fields_refused(replace(GOOD, **{column: value})) == {f"page.{expected}"}


def test_all_malformed_columns_are_named_at_once() -> None:
    page = replace(GOOD, count=3)
    assert len(fields_refused(page)) == 8


def test_a_page_shows_its_id_and_size_only() -> None:
    assert repr(GOOD) == "OutcomePage('page', 2 rows)"
