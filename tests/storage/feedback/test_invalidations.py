"""The contract of the Invalidations port."""

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg
import pytest

from nuncio_feedback.domain.model import (
    Backlog,
    DeadToken,
    Invalidation,
    InvalidationOutcome,
    Scope,
    Verdict,
)
from nuncio_feedback.domain.policy import learn
from nuncio_feedback.storage.postgres import PostgresInvalidations, PostgresOutcomes
from tests.unit.feedback.pages import DISPATCH, Row, page_of

APP = "com.example.app"
ALL = Scope(APP, "", None)
NOW = datetime(2026, 11, 21, 12, 30, 0, 123_456, tzinfo=UTC)
INVALIDATED = InvalidationOutcome.INVALIDATED


class Dead:
    """Reports dead tokens, a page each time, one minute after the other."""

    def __init__(self, outcomes: PostgresOutcomes) -> None:
        self._outcomes = outcomes
        self.pages = 0

    async def report(
        self, count: int, *, app_id: str = APP, dispatch_id: UUID = DISPATCH
    ) -> list[Row]:
        at = NOW + timedelta(minutes=self.pages)
        rows = [
            Row(verdict=Verdict.TOKEN_DEAD, reason="Unregistered", sent_at=NOW)
            for _ in range(count)
        ]
        page = page_of(*rows, page_id=f"page {self.pages}", app_id=app_id, dispatch_id=dispatch_id)
        await self._outcomes.record(page, learn(page, now=at), at=at)
        self.pages += 1
        return rows


@pytest.fixture
def dead(outcomes: PostgresOutcomes) -> Dead:
    return Dead(outcomes)


async def invalidate(tokens: Sequence[DeadToken]) -> Sequence[InvalidationOutcome]:
    return [INVALIDATED] * len(tokens)


async def never(_: Sequence[DeadToken]) -> Sequence[InvalidationOutcome]:
    pytest.fail("asked about nothing")


async def test_the_backlog_names_apps_and_the_longest_waiting_first(
    dead: Dead, invalidations: PostgresInvalidations
) -> None:
    await dead.report(2, app_id="second")
    await dead.report(1, app_id="third")
    await dead.report(3, app_id="second")
    assert await invalidations.backlog() == [
        Backlog(app_id="second", count=5, oldest=NOW),
        Backlog(app_id="third", count=1, oldest=NOW + timedelta(minutes=1)),
    ]


async def test_answers_are_stored_with_the_tokens_they_are_about(
    dead: Dead, invalidations: PostgresInvalidations
) -> None:
    rows = await dead.report(5)
    answers = dict(zip((row.installation_id for row in rows), InvalidationOutcome, strict=False))
    answers[rows[0].installation_id] = INVALIDATED

    async def ask(tokens: Sequence[DeadToken]) -> Sequence[InvalidationOutcome]:
        assert {token.token_ref for token in tokens} == {row.token_ref for row in rows}
        return [answers[token.installation_id] for token in tokens]

    settled = await invalidations.settle(APP, limit=10, ask=ask)
    assert sorted(settled) == sorted(answers.values())
    found = await invalidations.newest(ALL, after=None, limit=10)
    assert {one.installation_id: one.outcome for one in found} == answers
    assert await invalidations.backlog() == []


async def test_the_oldest_are_settled_first_and_no_more_than_the_limit(
    dead: Dead, invalidations: PostgresInvalidations
) -> None:
    await dead.report(2)
    await dead.report(2)
    assert len(await invalidations.settle(APP, limit=3, ask=invalidate)) == 3
    assert await invalidations.backlog() == [
        Backlog(app_id=APP, count=1, oldest=NOW + timedelta(minutes=1))
    ]


async def test_nothing_is_asked_when_nothing_is_pending(
    dead: Dead, invalidations: PostgresInvalidations
) -> None:
    await dead.report(1, app_id="other")
    assert await invalidations.settle(APP, limit=10, ask=never) == []


async def test_what_could_not_be_asked_is_pending_as_before(
    dead: Dead, invalidations: PostgresInvalidations
) -> None:
    async def fail(_: Sequence[DeadToken]) -> Sequence[InvalidationOutcome]:
        raise ValueError("no answer")

    await dead.report(2)
    before = await invalidations.backlog()
    with pytest.raises(ValueError, match="no answer"):
        await invalidations.settle(APP, limit=10, ask=fail)
    assert await invalidations.backlog() == before
    assert len(await invalidations.settle(APP, limit=10, ask=invalidate)) == 2


async def test_a_cancellation_survives_an_outage(
    dead: Dead, invalidations: PostgresInvalidations, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    cut = asyncio.Event()

    async def ask(_: Sequence[DeadToken]) -> Sequence[InvalidationOutcome]:
        await pool.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        cut.set()
        await asyncio.Event().wait()
        return []

    await dead.report(1)
    settling = asyncio.create_task(invalidations.settle(APP, limit=10, ask=ask))
    await cut.wait()
    settling.cancel()
    with pytest.raises(asyncio.CancelledError):
        await settling


async def test_replicas_share_and_never_ask_for_the_same(
    dead: Dead, invalidations: PostgresInvalidations
) -> None:
    rows = await dead.report(10)
    asked: list[UUID] = []
    all_asking = asyncio.Barrier(3)

    async def ask(tokens: Sequence[DeadToken]) -> Sequence[InvalidationOutcome]:
        asked.extend(token.installation_id for token in tokens)
        await all_asking.wait()
        return await invalidate(tokens)

    settled = await asyncio.gather(
        *(invalidations.settle(APP, limit=limit, ask=ask) for limit in (3, 3, 4))
    )
    assert sum(map(len, settled)) == 10
    assert sorted(asked) == sorted(row.installation_id for row in rows)


async def read_all(
    invalidations: PostgresInvalidations, scope: Scope, *, size: int
) -> list[Invalidation]:
    found: list[Invalidation] = []
    while page := await invalidations.newest(
        scope, after=found[-1].position if found else None, limit=size
    ):
        found += page
    return found


async def test_the_newest_come_first_and_pages_neither_skip_nor_repeat(
    dead: Dead, invalidations: PostgresInvalidations
) -> None:
    rows = [row for _ in range(4) for row in await dead.report(5)]
    found = await read_all(invalidations, ALL, size=3)
    assert sorted(one.installation_id for one in found) == sorted(r.installation_id for r in rows)
    positions = [one.position for one in found]
    assert positions == sorted(positions, reverse=True)


async def test_a_list_is_about_its_app_and_dispatch(
    dead: Dead, invalidations: PostgresInvalidations
) -> None:
    await dead.report(1, app_id="other")
    await dead.report(2, dispatch_id=UUID(int=1))
    rows = await dead.report(3, dispatch_id=UUID(int=2))
    found = await read_all(invalidations, Scope(APP, "", UUID(int=2)), size=2)
    assert {one.installation_id for one in found} == {row.installation_id for row in rows}
    assert len(await read_all(invalidations, ALL, size=2)) == 5


async def test_an_invalidation_is_listed_as_it_was_reported(
    dead: Dead, invalidations: PostgresInvalidations
) -> None:
    [row] = await dead.report(1)
    [found] = await invalidations.newest(ALL, after=None, limit=10)
    assert found == Invalidation(
        number=found.number,
        installation_id=row.installation_id,
        dispatch_id=DISPATCH,
        provider=row.provider,
        reason="Unregistered",
        dead_since=NOW,
        outcome=InvalidationOutcome.PENDING,
        reported_at=NOW,
    )
