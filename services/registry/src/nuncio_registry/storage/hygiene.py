"""Hygiene: the scan of an app, and the batches that change it."""

from collections.abc import Sequence
from datetime import date, datetime
from typing import Final
from uuid import UUID

from nuncio_registry.domain.model import App, Change, ChangeKind, Platform, TokenState
from nuncio_registry.domain.ports.hygiene import Cutoffs, Fate, Group, Part
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.audit import PostgresAudit
from nuncio_registry.storage.connection import Connection, Pool, Storage
from nuncio_registry.storage.feed import PostgresChangeFeed
from nuncio_registry.storage.history import record_changes
from nuncio_registry.storage.ownership import Ownership, release
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "hygiene.sql")


class PostgresScans(Storage):
    """Keeps `Scans`."""

    async def part(self, app_id: str, *, first: UUID, cutoffs: Cutoffs, limit: int) -> Part | None:
        async with self.connection() as connection:
            rows = await connection.fetch(Q.look_at_part, app_id, first, *cutoffs, limit)
        if not rows:
            return None
        groups = [
            Group(
                Platform(row["platform"]),
                TokenState(row["token_state"]),
                row["app_version"],
                row["permitted"],
                row["stale"],
                Fate(row["fate"]),
                row["installations"],
                row["ids"],
            )
            for row in rows
        ]
        return Part(groups, rows[0]["cursor"], rows[0]["is_last"])


class PostgresHygiene(Storage):
    """Keeps `HygieneStore`."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self._feed = PostgresChangeFeed(pool)
        self._audit = PostgresAudit(pool)

    async def due(
        self, *, counted_before: datetime, now: datetime, after: str, limit: int
    ) -> list[App]:
        async with self.connection() as connection:
            rows = await connection.fetch(Q.due_apps, counted_before, after, limit, now)
        return [rows_.app_from(row) for row in rows]

    async def expire(
        self, app_id: str, ids: Sequence[UUID], *, before: datetime, now: datetime
    ) -> int:
        async def attempt(connection: Connection) -> int:
            query = Q.expire_tokens
            return await _end(
                connection, query, app_id, ids, before, now, kind=ChangeKind.EXPIRED, now=now
            )

        return await self.in_turn(app_id, attempt)

    async def delete(
        self, app_id: str, ids: Sequence[UUID], *, before: datetime, now: datetime
    ) -> int:
        async def attempt(connection: Connection) -> int:
            query = Q.delete_dead
            return await _end(
                connection, query, app_id, ids, before, kind=ChangeKind.DELETED, now=now
            )

        return await self.in_turn(app_id, attempt)

    async def delete_invalidations(self, app_id: str, *, before: datetime, limit: int) -> int:
        async def attempt(connection: Connection) -> int:
            deleted: int = await connection.fetchval(Q.delete_invalidations, app_id, before, limit)
            return deleted

        # An erasure may be deleting some of them, in another order.
        return await self.in_turn(app_id, attempt)

    async def delete_changes(self, app_id: str, *, before: datetime, limit: int) -> int:
        return await self._feed.delete_before(app_id, time=before, limit=limit)

    async def delete_audit_events(self, *, before: datetime, limit: int) -> int:
        return await self._audit.delete_before(before, limit)

    async def delete_days(self, *, before: date, limit: int) -> int:
        async with self.connection() as connection:
            deleted: int = await connection.fetchval(Q.delete_days, before, limit)
        return deleted


async def _end(
    connection: Connection,
    query: str,
    app_id: str,
    *arguments: object,
    kind: ChangeKind,
    now: datetime,
) -> int:
    """Run the query on installations, and tell owners and feed of those it gives; how many."""
    rows = await connection.fetch(query, app_id, *arguments)
    rows.sort(key=lambda row: row["installation_id"])
    # A dead one owns nothing, unless somebody has meddled: then its token must not stay taken.
    owned = [
        Ownership(row["installation_id"], row["token_hash"], row["environment"]) for row in rows
    ]
    await release(connection, app_id, owned)
    changes = [Change(row["installation_id"], kind, Platform(row["platform"])) for row in rows]
    await record_changes(connection, app_id, changes, now=now)
    return len(rows)
