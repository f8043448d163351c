"""Invalidations, and their undoing."""

from collections.abc import Sequence, Set
from datetime import datetime
from typing import Final
from uuid import UUID

import asyncpg

from nuncio_registry.domain.model import (
    Change,
    ChangeKind,
    DeadToken,
    InvalidationOutcome,
    Platform,
)
from nuncio_registry.domain.ports.lifecycle import Batch, Mark, RestoreOutcome, Window
from nuncio_registry.storage.connection import Connection, Storage
from nuncio_registry.storage.history import record_changes
from nuncio_registry.storage.ownership import Ownership, release
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "lifecycle.sql")


class PostgresLifecycle(Storage):
    """Keeps `Lifecycle`."""

    async def invalidate(
        self, app_id: str, tokens: Sequence[DeadToken], *, now: datetime
    ) -> list[InvalidationOutcome]:
        ids = [token.installation_id for token in tokens]
        columns = list(zip(*tokens, strict=True))

        async def attempt(connection: Connection) -> list[InvalidationOutcome]:
            await connection.execute(Q.lock_installations, app_id, ids)
            found = await connection.fetch(Q.invalidate_tokens, app_id, now, *columns)
            died = [row for row in found if row["outcome"] == InvalidationOutcome.INVALIDATED]
            await release(connection, app_id, [_ownership(row) for row in died])
            changes = [_change(row, ChangeKind.INVALIDATED, row["reason"]) for row in died]
            await record_changes(connection, app_id, changes, now=now)
            return [InvalidationOutcome(row["outcome"]) for row in found]

        return await self.in_turn(app_id, attempt)

    async def restore(
        self,
        app_id: str,
        window: Window,
        *,
        after: Mark | None,
        limit: int,
        now: datetime,
        dry_run: bool,
    ) -> Batch:
        before = after or Mark(window.end, 0)
        given = (window.start, *before, window.reasons, window.lane, window.campaign)

        async def attempt(connection: Connection) -> Batch:
            found = await connection.fetch(Q.select_invalidations, app_id, *given, limit)
            ids = [row["installation_id"] for row in found]
            numbers = [row["invalidation_id"] for row in found]
            if not dry_run:
                await connection.execute(Q.lock_installations, app_id, ids)
                await connection.execute(Q.lock_invalidations, app_id, ids, numbers)
            judged = await connection.fetch(Q.judge_restorations, app_id, ids, numbers)
            outcomes = [RestoreOutcome(row["outcome"]) for row in judged]
            if not dry_run:
                free = [row for row in judged if row["outcome"] == RestoreOutcome.RESTORED]
                back = await _revive(connection, app_id, free, now=now)
                outcomes = [_in_the_end(row, back) for row in judged]
            return Batch(outcomes, _mark(found[-1]) if len(found) == limit else None)

        return await self.in_turn(app_id, attempt)


async def _revive(
    connection: Connection, app_id: str, free: Sequence[asyncpg.Record], *, now: datetime
) -> set[UUID]:
    """Make the installations live again whose tokens are free; those that got theirs."""
    wanted = [_ownership(row) for row in free]
    if not wanted:
        return set()
    taken = await connection.fetch(Q.take_free_tokens, app_id, *zip(*wanted, strict=True))
    back = {row["installation_id"] for row in taken}
    revived = [row for row in free if row["installation_id"] in back]
    ids = [row["installation_id"] for row in revived]
    numbers = [row["invalidation_id"] for row in revived]
    await connection.execute(Q.revive_installations, app_id, ids)
    await connection.execute(Q.note_restored, app_id, ids, numbers, now)
    changes = [_change(row, ChangeKind.RESTORED) for row in revived]
    await record_changes(connection, app_id, changes, now=now)
    return back


def _in_the_end(row: asyncpg.Record, back: Set[UUID]) -> RestoreOutcome:
    """Somebody else may have been faster to take a token that was free."""
    outcome = RestoreOutcome(row["outcome"])
    late = outcome is RestoreOutcome.RESTORED and row["installation_id"] not in back
    return RestoreOutcome.OWNED_BY_ANOTHER if late else outcome


def _ownership(row: asyncpg.Record) -> Ownership:
    return Ownership(row["installation_id"], row["token_hash"], row["environment"])


def _mark(row: asyncpg.Record) -> Mark:
    return Mark(row["invalidated_at"], row["invalidation_id"])


def _change(row: asyncpg.Record, kind: ChangeKind, detail: str = "") -> Change:
    return Change(row["installation_id"], kind, Platform(row["platform"]), detail=detail)
