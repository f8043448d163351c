"""Selection: pages of targets, and counts.

Which index a statement uses is decided here, never by the planner's estimates: with one plan for
all arguments, a wrong guess would read the whole table for every page. The statements of a walk
have connections of their own, whose settings leave one way open. It also saves the planning, which
costs more than a millisecond with 16 partitions, and trips to the server.
"""

from collections import Counter
from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from uuid import UUID

import asyncpg
from asyncpg import Record

from nuncio_registry.domain.conjuncts import named_users
from nuncio_registry.domain.model import Platform, Suppression
from nuncio_registry.domain.ports.selection import Counts, SelectedRows, Selection
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import Pool, Storage
from nuncio_registry.storage.predicate import indexed, where, where_indexed
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.postgres import load_queries, open_pool

Q: Final = load_queries("nuncio_registry.storage", "selection.sql")

FIND_MILLISECONDS: Final = 2_000
"""How long an index may be asked for the few."""

_OFF: Final = ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")
_PLANNED: Final = {
    "plan_cache_mode": "force_generic_plan",
    "max_parallel_workers_per_gather": "0",
    **{f"enable_{way}": "off" for way in _OFF},
}

# An index on sets is read by a bitmap scan only.
_BEGIN_BY_SETS: Final = (
    "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0; "
    f"SET LOCAL statement_timeout = {FIND_MILLISECONDS}"
)


def open_walks(settings: DatabaseSettings) -> AbstractAsyncContextManager[Pool]:
    """Connections for walks, opened when they are needed, as many as the service's others."""
    return open_pool(settings.model_copy(update={"pool_min": 0}), planned=_PLANNED)


class PostgresSelections(Storage):
    """Keeps `Selections`."""

    def __init__(
        self, pool: Pool, *, walks: "Pool | None" = None, scans: "Pool | None" = None
    ) -> None:
        """walks: of `open_walks`; without it the planner chooses, which suits small tables.

        scans: for counts; it may lag behind. All else is read where consents are written.
        """
        super().__init__(pool)
        self._walking = self if walks is None else Storage(walks)
        self._counting = self if scans is None else Storage(scans)

    async def scan(self, selection: Selection, *, limit: int, keys: int) -> SelectedRows:
        app_id, predicate, purpose, stale_before, first, last = selection
        arguments = (app_id, first, last, purpose, stale_before, limit, keys)
        async with self._walking.connection() as connection:
            (found,) = await connection.fetch(*where(Q.scan_targets, predicate, arguments))
        return rows_.scanned_from(found, limit=limit, keys=keys)

    async def among(self, selection: Selection, ids: Sequence[UUID]) -> SelectedRows:
        app_id, predicate, purpose, stale_before, *_ = selection
        arguments = (app_id, ids, purpose, stale_before)
        async with self._walking.connection() as connection:
            (found,) = await connection.fetch(*where(Q.targets_among, predicate, arguments))
        return rows_.selected_from(found, cursor=ids[-1])

    async def find(self, selection: Selection, *, most: int) -> list[UUID] | None:
        app_id, predicate, *_, first, last = selection
        arguments: tuple[Any, ...] = (app_id, first, last, most + 1)
        users, part = named_users(predicate), indexed(predicate)
        if users is not None:
            return _keys(await self._find_by_users(*arguments, users), most)
        if part is not None:
            query = where_indexed(Q.find_by_sets, predicate, part, arguments)
            return _keys(await self._find_by_sets(query), most)
        return None

    async def _find_by_users(self, *arguments: Any) -> list[Record]:
        async with self._walking.connection() as connection:
            return await connection.fetch(Q.find_by_users, *arguments)

    async def _find_by_sets(self, query: tuple[Any, ...]) -> list[Record] | None:
        """None when it takes too long."""
        async with self.transaction(_BEGIN_BY_SETS) as connection:
            try:
                return await connection.fetch(*query)
            except asyncpg.QueryCanceledError:
                return None

    async def count(self, selection: Selection) -> Counts:
        app_id, predicate, purpose, stale_before, first, last = selection
        arguments = (app_id, first, last, purpose, stale_before)
        async with self._counting.connection() as connection:
            found = await connection.fetch(*where(Q.count_targets, predicate, arguments))
        reachable: Counter[Platform] = Counter()
        suppressed: Counter[Suppression] = Counter()
        for reason, platform, count in found:
            if reason:
                suppressed[Suppression(reason)] += count
            else:
                reachable[Platform(platform)] += count
        return Counts(reachable, suppressed)


def _keys(found: Sequence[Record] | None, most: int) -> list[UUID] | None:
    return None if found is None or len(found) > most else sorted(row[0] for row in found)
