"""Segments in PostgreSQL."""

from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Final, TypeAlias

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from nuncio_runtime.postgres import load_queries, storage_faults
from nuncio_targeting.domain.errors import SegmentInUse, SegmentNotFound
from nuncio_targeting.domain.model import Segment, SegmentContent

Q: Final = load_queries("nuncio_targeting.storage")

Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

ACQUIRE_SECONDS: Final = 10.0


class PostgresSegments:
    """Keeps the port `Segments`."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self._pool = pool

    async def create(self, app_id: str, segment: Segment, *, uses: Collection[str]) -> Segment:
        """Insert, or give what is there."""
        async with self._connection() as connection, connection.transaction():
            (row,) = await connection.fetch(Q.insert_segment, *_columns(app_id, segment))
            stored = _segment_from(row)
            if stored.content == segment.content:
                await _insert_uses(connection, app_id, segment.name, uses=uses)
        return stored

    async def replace(self, app_id: str, segment: Segment, *, uses: Collection[str]) -> Segment:
        """Replace the content and what it refers to."""
        async with self._connection() as connection, connection.transaction():
            row = await connection.fetchrow(Q.replace_segment, *_columns(app_id, segment))
            if row is None:
                raise SegmentNotFound(app_id=app_id, segment=segment.name)
            await connection.execute(Q.delete_uses, app_id, segment.name, list(uses))
            await _insert_uses(connection, app_id, segment.name, uses=uses)
        return _segment_from(row)

    async def get(self, app_id: str, name: str) -> Segment:
        """Read one."""
        async with self._connection() as connection:
            row = await connection.fetchrow(Q.get_segment, app_id, name)
        if row is None:
            raise SegmentNotFound(app_id=app_id, segment=name)
        return _segment_from(row)

    async def list(self, app_id: str, *, after: str, limit: int) -> Sequence[Segment]:
        """Read a page, by name."""
        async with self._connection() as connection:
            rows = await connection.fetch(Q.list_segments, app_id, after, limit)
        return [_segment_from(row) for row in rows]

    async def delete(self, app_id: str, name: str) -> None:
        """Remove one that nobody refers to."""
        async with self._connection() as connection:
            try:
                await connection.execute(Q.delete_segment, app_id, name)
            except asyncpg.ForeignKeyViolationError:
                rows = await connection.fetch(Q.users_of_segment, app_id, name)
                users = [row["name"] for row in rows]
                raise SegmentInUse(app_id=app_id, segment=name, used_by=users) from None

    async def contents(self, app_id: str, names: Collection[str]) -> Mapping[str, SegmentContent]:
        """Read some by name."""
        async with self._connection() as connection:
            rows = await connection.fetch(Q.segment_contents, app_id, list(names))
        return {row["name"]: _content_from(row) for row in rows}

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with storage_faults():
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection


async def _insert_uses(
    connection: "Connection",
    app_id: str,
    name: str,
    *,
    uses: Collection[str],
) -> None:
    """Raises SegmentNotFound when one was deleted since the expression was understood."""
    kept = {row["name"] for row in await connection.fetch(Q.keep_segments, app_id, list(uses))}
    for gone in sorted(set(uses) - kept):
        raise SegmentNotFound(app_id=app_id, segment=gone)
    await connection.execute(Q.insert_uses, app_id, name, list(uses))


def _columns(app_id: str, segment: Segment) -> tuple[object, ...]:
    """The parameters of insert_segment and replace_segment."""
    content = segment.content
    return app_id, segment.name, content.expression, content.description, segment.updated_at


def _segment_from(row: asyncpg.Record) -> Segment:
    return Segment(row["name"], _content_from(row), row["created_at"], row["updated_at"])


def _content_from(row: asyncpg.Record) -> SegmentContent:
    return SegmentContent(row["expression"], row["description"])
