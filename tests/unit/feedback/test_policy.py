"""What a page of outcomes teaches."""

from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from nuncio_feedback.domain.model import DeadToken, OutcomePage, Tally, Verdict
from nuncio_feedback.domain.policy import learn
from tests.unit.feedback.pages import Row, page_of

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
SENT = datetime(2026, 11, 21, 11, 59, 59, 999_999, tzinfo=UTC)
DIED = datetime(2026, 11, 20, 8, 0, 0, 123_000, tzinfo=UTC)
HARMLESS = sorted(set(Verdict) - {Verdict.TOKEN_DEAD})


def dead(page: OutcomePage) -> list[DeadToken]:
    return list(learn(page, now=NOW).dead)


def test_rows_are_counted_by_kind_and_hour_of_sending() -> None:
    page = page_of(
        Row(sent_at=SENT),
        Row(sent_at=SENT),
        Row(sent_at=SENT + timedelta(seconds=1)),
        Row(verdict=Verdict.REFUSED, reason="PayloadTooLarge", sent_at=SENT),
    )
    assert set(learn(page, now=NOW).tallies) == {
        Tally(1, 1, Verdict.ACCEPTED, "", datetime(2026, 11, 21, 11, tzinfo=UTC), 2),
        Tally(1, 1, Verdict.ACCEPTED, "", datetime(2026, 11, 21, 12, tzinfo=UTC), 1),
        Tally(1, 1, Verdict.REFUSED, "PayloadTooLarge", datetime(2026, 11, 21, 11, tzinfo=UTC), 1),
    }


def test_rows_that_were_never_sent_count_in_the_hour_of_the_report() -> None:
    [tally] = learn(page_of(Row(verdict=Verdict.EXPIRED, reason="EXPIRED")), now=NOW).tallies
    assert (tally.hour, tally.rows) == (datetime(2026, 11, 21, 12, tzinfo=UTC), 1)


def test_a_reason_that_is_listed_twice_is_one_kind() -> None:
    page = page_of(Row(sent_at=SENT), Row(sent_at=SENT), reasons=[0, 1], reason_names=["", ""])
    [tally] = learn(page, now=NOW).tallies
    assert tally.rows == 2


def test_the_counts_of_a_page_are_its_rows() -> None:
    rows = [Row(verdict=v, reason=v.name, platform=p) for v in Verdict for p in (1, 2, 3)]
    assert sum(tally.rows for tally in learn(page_of(*rows), now=NOW).tallies) == len(rows)


def test_an_empty_page_teaches_nothing() -> None:
    assert learn(page_of(), now=NOW) == ([], [])


def test_a_dead_token_is_dead_since_the_providers_time() -> None:
    row = Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=SENT, dead_since=DIED)
    assert dead(page_of(Row(sent_at=SENT), row)) == [
        DeadToken(
            installation_id=row.installation_id,
            token_ref=row.token_ref,
            provider=row.provider,
            reason="Unregistered",
            dead_since=DIED,
            lane="",
            campaign="spring",
        )
    ]


def test_each_dead_token_names_its_own_lane() -> None:
    production, sandbox = "apns/shop/production", "apns/shop/sandbox"
    rows = [
        Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=SENT, lane=lane)
        for lane in (production, sandbox, production)
    ]
    found = dead(page_of(Row(lane=sandbox), *rows))
    assert [token.lane for token in found] == [production, sandbox, production]


def test_without_a_providers_time_it_is_dead_since_it_was_sent_to() -> None:
    page = page_of(Row(verdict=Verdict.TOKEN_DEAD, reason="UNREGISTERED", sent_at=SENT))
    assert [token.dead_since for token in dead(page)] == [SENT]


def test_a_clock_that_runs_ahead_kills_nothing_in_the_future() -> None:
    ahead = NOW + timedelta(days=2)
    page = page_of(Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", dead_since=ahead))
    assert [token.dead_since for token in dead(page)] == [NOW]


def test_without_any_time_a_dead_token_is_only_counted() -> None:
    lessons = learn(page_of(Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered")), now=NOW)
    assert not lessons.dead
    assert [tally.verdict for tally in lessons.tallies] == [Verdict.TOKEN_DEAD]


def test_test_pages_never_invalidate() -> None:
    row = Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=SENT, dead_since=DIED)
    lessons = learn(page_of(row, test=True), now=NOW)
    assert not lessons.dead
    assert [tally.rows for tally in lessons.tallies] == [1]


@pytest.mark.parametrize("verdict", HARMLESS, ids=lambda verdict: verdict.name)
def test_no_other_verdict_costs_a_token(verdict: Verdict) -> None:
    page = page_of(Row(verdict=verdict, reason="Any", sent_at=SENT, dead_since=DIED))
    assert not dead(page)


def test_installations_are_told_apart_by_their_16_bytes() -> None:
    ids = [UUID(int=n) for n in (1, 2, 3)]
    rows = [
        Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=SENT, installation_id=id_)
        for id_ in ids
    ]
    assert [token.installation_id for token in dead(page_of(*rows))] == ids
