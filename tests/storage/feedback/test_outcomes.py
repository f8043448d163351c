"""The contract of the Outcomes port."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from nuncio_feedback.domain.model import (
    InvalidationOutcome,
    OutcomeCount,
    OutcomePage,
    Report,
    Scope,
    Verdict,
)
from nuncio_feedback.domain.policy import learn
from nuncio_feedback.domain.ports import Outcomes
from nuncio_feedback.storage.postgres import PostgresInvalidations, PostgresOutcomes, Q
from nuncio_runtime.errors import Kind, ServiceError
from tests.unit.feedback.pages import Row, page_of

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
SENT = NOW - timedelta(minutes=5)
ALL = Scope("com.example.app", "spring", None)
DEAD = Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=SENT)


async def record(outcomes: Outcomes, page: OutcomePage, *, at: datetime = NOW) -> bool:
    return await outcomes.record(page, learn(page, now=at), at=at)


def rows_of(report: Report) -> int:
    return sum(kind.count for kind in report.outcomes)


async def test_a_page_becomes_counts_and_pending_invalidations(outcomes: PostgresOutcomes) -> None:
    page = page_of(Row(sent_at=SENT), Row(sent_at=SENT), DEAD)
    assert await record(outcomes, page)
    assert await outcomes.report(ALL) == Report(
        [
            OutcomeCount(platform=1, provider=1, verdict=1, reason="", test=False, count=2),
            OutcomeCount(
                platform=1, provider=1, verdict=2, reason="Unregistered", test=False, count=1
            ),
        ],
        [(InvalidationOutcome.PENDING, 1)],
    )


async def test_tests_are_counted_apart(outcomes: PostgresOutcomes) -> None:
    await record(outcomes, page_of(Row(sent_at=SENT), page_id="1", test=True))
    await record(outcomes, page_of(Row(sent_at=SENT), Row(sent_at=SENT), page_id="2"))
    await record(outcomes, page_of(Row(sent_at=SENT), page_id="3", test=True))
    report = await outcomes.report(ALL)
    assert [(kind.test, kind.count) for kind in report.outcomes] == [(False, 2), (True, 2)]


async def test_pages_add_up_over_hours(outcomes: PostgresOutcomes) -> None:
    for hour in range(3):
        sent = SENT - timedelta(hours=hour)
        await record(outcomes, page_of(Row(sent_at=sent), page_id=f"page {hour}"))
    [kind] = (await outcomes.report(ALL)).outcomes
    assert kind.count == 3


async def test_a_page_that_is_recorded_twice_counts_once(outcomes: PostgresOutcomes) -> None:
    page = page_of(Row(sent_at=SENT), DEAD)
    assert [await record(outcomes, page) for _ in range(2)] == [True, False]
    report = await outcomes.report(ALL)
    assert (rows_of(report), report.invalidations) == (2, [(InvalidationOutcome.PENDING, 1)])


async def test_a_page_that_is_recorded_twice_at_once_counts_once(
    outcomes: PostgresOutcomes,
) -> None:
    page = page_of(Row(sent_at=SENT), DEAD)
    stored = await asyncio.gather(*(record(outcomes, page) for _ in range(8)))
    assert sorted(stored) == [False] * 7 + [True]
    assert rows_of(await outcomes.report(ALL)) == 2


async def test_page_ids_of_other_apps_are_other_pages(outcomes: PostgresOutcomes) -> None:
    assert await record(outcomes, page_of(Row(), app_id="one"))
    assert await record(outcomes, page_of(Row(), app_id="two"))


async def test_pages_of_one_dispatch_at_once_lose_no_count(outcomes: PostgresOutcomes) -> None:
    # Every page has every kind, in an order of its own: all of them want the same rows.
    kinds = [Row(verdict=Verdict.REFUSED, reason=f"reason {n}", sent_at=SENT) for n in range(20)]
    pages = [page_of(*kinds[n:], *kinds[:n], page_id=f"page {n}") for n in range(20)]
    assert all(await asyncio.gather(*(record(outcomes, page) for page in pages)))
    report = await outcomes.report(ALL)
    assert {kind.count for kind in report.outcomes} == {20}


async def test_an_empty_page_is_remembered(outcomes: PostgresOutcomes) -> None:
    assert [await record(outcomes, page_of()) for _ in range(2)] == [True, False]
    assert await outcomes.report(ALL) == Report([], [])


async def test_a_page_that_cannot_be_stored_leaves_nothing(outcomes: PostgresOutcomes) -> None:
    page = page_of(DEAD)
    lessons = learn(page, now=NOW)
    broken = [tally._replace(platform=1 << 20) for tally in lessons.tallies]  # No smallint.
    with pytest.raises(asyncpg.DataError):
        await outcomes.record(page, lessons._replace(tallies=broken), at=NOW)
    assert await outcomes.report(ALL) == Report([], [])
    assert await record(outcomes, page)


@pytest.mark.parametrize(
    ("scope", "expected"),
    [
        (Scope("com.example.app", "spring", None), 3),
        (Scope("com.example.app", "", UUID(int=2)), 2),
        (Scope("com.example.app", "spring", UUID(int=2)), 2),
        (Scope("com.example.app", "autumn", UUID(int=2)), 0),
        (Scope("com.example.app", "autumn", None), 4),
        (Scope("com.example.other", "spring", None), 0),
    ],
)
async def test_a_report_is_about_its_scope(
    outcomes: PostgresOutcomes, scope: Scope, expected: int
) -> None:
    for rows, dispatch, campaign in [(1, 1, "spring"), (2, 2, "spring"), (4, 3, "autumn")]:
        page = page_of(
            *[Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=SENT)] * rows,
            page_id=f"page {dispatch}",
            dispatch_id=UUID(int=dispatch),
            campaign=campaign,
        )
        await record(outcomes, page)
    report = await outcomes.report(scope)
    assert rows_of(report) == expected
    assert sum(count for _, count in report.invalidations) == expected


async def test_old_page_ids_are_forgotten_in_batches(outcomes: PostgresOutcomes) -> None:
    for day in range(5):
        await record(outcomes, page_of(page_id=f"day {day}"), at=NOW + timedelta(days=day))
    before = NOW + timedelta(days=3)
    assert [await outcomes.forget_pages(before=before, limit=2) for _ in range(3)] == [2, 1, 0]
    assert await record(outcomes, page_of(page_id="day 0"))
    assert not await record(outcomes, page_of(page_id="day 3"))


async def test_forgetting_a_page_keeps_its_counts(outcomes: PostgresOutcomes) -> None:
    await record(outcomes, page_of(Row(sent_at=SENT)))
    await outcomes.forget_pages(before=NOW + timedelta(days=1), limit=10)
    assert rows_of(await outcomes.report(ALL)) == 1


async def test_an_outage_is_told_as_unavailable(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    await pool.close()
    page = page_of(Row())
    for call in (
        PostgresOutcomes(pool).report(ALL),
        PostgresOutcomes(pool).record(page, learn(page, now=NOW), at=NOW),
        PostgresInvalidations(pool).backlog(),
    ):
        with pytest.raises(ServiceError) as outage:
            await call
        assert outage.value.kind is Kind.UNAVAILABLE


@pytest.mark.parametrize("name", list(Q))
async def test_every_query_suits_the_schema(
    pool: "asyncpg.Pool[asyncpg.Record]", name: str
) -> None:
    async with pool.acquire() as connection:
        await connection.prepare(getattr(Q, name))
