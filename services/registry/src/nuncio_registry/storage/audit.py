"""Audit events."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final

from asyncpg import Record

from nuncio_registry.domain.ports.audit import AuditEvent, AuditFilter, AuditMark, AuditPage
from nuncio_registry.storage.connection import Pool, Storage
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "audit.sql")

# How many events one page looks at: a filter that few of them match cannot make it walk for ever.
LOOKED_AT: Final = 50_000


class PostgresAudit(Storage):
    """Keeps `AuditTrail`. looked_at: how many events one page looks at, at most."""

    def __init__(self, pool: Pool, *, looked_at: int = LOOKED_AT) -> None:
        super().__init__(pool)
        self._looked_at = looked_at

    async def append(self, events: Sequence[AuditEvent]) -> None:
        async with self.connection() as connection:
            await connection.execute(Q.append_events, *zip(*events, strict=True))

    async def page(self, wanted: AuditFilter, *, before: AuditMark | None, limit: int) -> AuditPage:
        # No event has the number 0: nothing that was recorded at the end is before it.
        top = min(before or AuditMark(wanted.end, 0), AuditMark(wanted.end, 0))
        query = Q.events_of_app if wanted.app_id else Q.events
        only_app = (wanted.app_id,) if wanted.app_id else ()
        async with self.connection() as connection:
            rows = await connection.fetch(
                query,
                *top,
                wanted.start,
                wanted.method,
                wanted.principal,
                limit + 1,  # One more tells whether others follow.
                self._looked_at,
                *only_app,
            )
        events = [row for row in rows if row["event_id"] is not None]
        return AuditPage(
            [_event_from(row) for row in events[:limit]], self._next(rows, events, limit)
        )

    async def delete_before(self, time: datetime, limit: int) -> int:
        async with self.connection() as connection:
            deleted: int = await connection.fetchval(Q.delete_events, time, limit)
        return deleted

    def _next(self, rows: list[Record], events: list[Record], limit: int) -> AuditMark | None:
        if len(events) > limit:
            last = events[limit - 1]
            return AuditMark(last["recorded_at"], last["event_id"])
        if rows and rows[0]["seen"] == self._looked_at:
            return AuditMark(rows[0]["last_at"], rows[0]["last_id"])
        return None


def _event_from(row: Record) -> AuditEvent:
    return AuditEvent(
        recorded_at=row["recorded_at"],
        principal=row["principal"],
        peer=row["peer"],
        method=row["method"],
        app_id=row["app_id"],
        request_id=row["request_id"],
        details=row["details"],
    )
