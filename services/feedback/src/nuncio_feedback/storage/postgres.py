"""The storage ports on PostgreSQL."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from nuncio_feedback.domain.model import (
    Backlog,
    DeadToken,
    Invalidation,
    InvalidationOutcome,
    Lessons,
    OutcomeCount,
    OutcomePage,
    Position,
    Report,
    Scope,
)
from nuncio_feedback.domain.ports import Ask
from nuncio_runtime.postgres import load_queries, storage_faults

Q: Final = load_queries("nuncio_feedback.storage")
ACQUIRE_SECONDS: Final = 10.0
BEFORE_ALL: Final = Position(datetime.max.replace(tzinfo=UTC), 2**63 - 1)


class _Storage:
    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator["PoolConnectionProxy[asyncpg.Record]"]:
        with storage_faults():
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection


class PostgresOutcomes(_Storage):
    """Keeps what pages taught: see ports.Outcomes."""

    async def record(self, page: OutcomePage, lessons: Lessons, *, at: datetime) -> bool:
        """Store the page's lessons once."""
        async with self._connection() as connection, connection.transaction():
            if await connection.fetchval(Q.note_page, page.app_id, page.page_id, at) is None:
                return False
            if lessons.dead:
                dead = zip(*lessons.dead, strict=True)
                await connection.execute(
                    Q.add_invalidations, page.app_id, page.dispatch_id, at, *dead
                )
            # Last, because all pages of a dispatch share these rows: they are locked only until
            # the commit that follows at once.
            if lessons.tallies:
                of_page = (page.app_id, page.campaign, page.dispatch_id, page.test)
                tallies = zip(*lessons.tallies, strict=True)
                await connection.execute(Q.add_outcomes, *of_page, *tallies)
            return True

    async def report(self, scope: Scope) -> Report:
        """Count outcomes and invalidations of one moment."""
        async with (
            self._connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            outcomes = await connection.fetch(Q.count_outcomes, *scope)
            invalidations = await connection.fetch(Q.count_invalidations, *scope)
        return Report(
            [OutcomeCount(**row) for row in outcomes],
            [(InvalidationOutcome(row["outcome"]), row["count"]) for row in invalidations],
        )

    async def forget_pages(self, *, before: datetime, limit: int) -> int:
        """Forget the oldest page ids."""
        async with self._connection() as connection:
            forgotten: int = await connection.fetchval(Q.forget_pages, before, limit)
        return forgotten


class PostgresInvalidations(_Storage):
    """Keeps dead tokens and what came of them: see ports.Invalidations."""

    async def backlog(self) -> Sequence[Backlog]:
        """What is pending, per app."""
        async with self._connection() as connection:
            return [Backlog(**row) for row in await connection.fetch(Q.backlog)]

    async def settle(self, app_id: str, *, limit: int, ask: Ask) -> Sequence[InvalidationOutcome]:
        """Take pending ones, ask, and store the answers, all in one transaction."""
        async with self._connection() as connection, connection.transaction():
            rows = await connection.fetch(Q.take_pending, app_id, limit)
            if not rows:
                return []
            outcomes = await ask([_dead_token(row) for row in rows])
            numbers = [row["number"] for row in rows]
            await connection.execute(Q.store_answers, app_id, numbers, outcomes)
            return outcomes

    async def newest(
        self, scope: Scope, *, after: Position | None, limit: int
    ) -> Sequence[Invalidation]:
        """Invalidations after a position, newest first."""
        place = (scope.app_id, *(after or BEFORE_ALL), limit)
        async with self._connection() as connection:
            if scope.dispatch_id is None:
                rows = await connection.fetch(Q.newest_of_app, *place)
            else:
                rows = await connection.fetch(Q.newest_of_dispatch, *place, scope.dispatch_id)
        return [_invalidation(row) for row in rows]


def _dead_token(row: asyncpg.Record) -> DeadToken:
    return DeadToken(
        installation_id=row["installation_id"],
        token_ref=row["token_ref"],
        provider=row["provider"],
        reason=row["reason"],
        dead_since=row["dead_since"],
        lane=row["lane"],
        campaign=row["campaign"],
    )


def _invalidation(row: asyncpg.Record) -> Invalidation:
    return Invalidation(**{**row, "outcome": InvalidationOutcome(row["outcome"])})
