"""The change feed, read in the order of its transactions and deleted from its old end."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from asyncpg import Record

from nuncio_registry.domain.model import Installation
from nuncio_registry.domain.ports.feed import FeedEvent, FeedPage, Position
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import Connection, Storage
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "feed.sql")

_ORIGIN: Final = Position(0, 0)


class PostgresChangeFeed(Storage):
    """Keeps `ChangeFeed`.

    A position is always that of a change which was visible and is older than every transaction
    that ran then: no crash takes it back, and nothing is committed behind it.
    """

    async def read(self, app_id: str, *, after: Position | None, limit: int) -> FeedPage | None:
        asked = (None, None) if after is None else after
        async with self.connection() as connection:
            if after is not None and not await connection.fetchval(Q.has_news, app_id, *after):
                return FeedPage((), after)
            rows = await connection.fetch(Q.read_changes, app_id, *asked, limit)
            kept = Position(rows[0]["kept_transaction_id"], rows[0]["kept_change_id"])
            start = kept if after is None else after
            # Not of this database: its transactions have not come that far. It was restored.
            if start < kept or (after is not None and start.transaction_id >= rows[0]["horizon"]):
                return None
            if rows[0]["change_id"] is None:
                return FeedPage((), start)
            installations = await _installations(connection, app_id, rows)
        events = [_event_from(row, installations) for row in rows]
        return FeedPage(events, events[-1].position)

    async def newest(self, app_id: str) -> Position:
        async with self.connection() as connection:
            row = await connection.fetchrow(Q.newest_change, app_id)
        return _ORIGIN if row is None else _position_from(row)

    async def delete_before(self, app_id: str, *, time: datetime, limit: int) -> int:
        async def attempt(connection: Connection) -> int:
            span = await connection.fetchrow(Q.oldest_changes, app_id, time, limit)
            if span is None:
                return 0
            deleted: int = await connection.fetchval(Q.delete_changes, app_id, *span)
            return deleted

        # An erasure may be deleting some of them, in another order.
        return await self.in_turn(app_id, attempt)


async def _installations(
    connection: Connection, app_id: str, rows: Sequence[Record]
) -> dict[UUID, Installation]:
    """The installations of the changes as they are now; not those that are gone."""
    ids = list({row["installation_id"] for row in rows})
    found = await connection.fetch(Q.feed_installations, app_id, ids)
    return {row["installation_id"]: rows_.installation_from(row) for row in found}


def _event_from(row: Record, installations: dict[UUID, Installation]) -> FeedEvent:
    return FeedEvent(
        position=_position_from(row),
        installation_id=row["installation_id"],
        kind=row["kind"],
        value=row["value"],
        detail=row["detail"],
        happened_at=row["happened_at"],
        installation=installations.get(row["installation_id"]),
    )


def _position_from(row: Record) -> Position:
    return Position(row["transaction_id"], row["change_id"])
