"""Counts of what selections would give."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final
from uuid import UUID

from asyncpg import Record

from nuncio_registry.domain.model import Platform, Suppression
from nuncio_registry.domain.ports.selection import CountedRows, Counts, Selection
from nuncio_registry.storage.looking import Looking, boundary_of, is_sparse
from nuncio_registry.storage.predicate import where
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "counting.sql")


class PostgresCountings(Looking):
    """Keeps `Countings`."""

    async def scan(
        self,
        selection: Selection,
        *,
        limit: int,  # noqa: ARG002 - all that match are counted
        keys: int,
    ) -> CountedRows:
        app_id, predicate, purpose, stale_before, first, last = selection
        async with self.planned() as connection:
            boundary = await boundary_of(connection, selection, keys)
            arguments = (app_id, first, boundary or last, purpose, stale_before)
            found = await connection.fetch(*where(Q.count_targets, predicate, arguments))
        matched = sum(row["installations"] for row in found)
        return CountedRows(
            _counts_from(found),
            cursor=boundary,
            ended=boundary is None,
            sparse=boundary is not None and is_sparse(matched, keys=keys),
        )

    async def among(self, selection: Selection, ids: Sequence[UUID]) -> CountedRows:
        app_id, predicate, purpose, stale_before, *_ = selection
        arguments = (app_id, ids, purpose, stale_before)
        async with self.planned() as connection:
            found = await connection.fetch(*where(Q.count_among, predicate, arguments))
        return CountedRows(_counts_from(found), cursor=ids[-1])


def _counts_from(rows: Iterable[Record]) -> Counts:
    reachable: Counter[Platform] = Counter()
    suppressed: Counter[Suppression] = Counter()
    for reason, platform, count in rows:
        if reason:
            suppressed[Suppression(reason)] += count
        else:
            reachable[Platform(platform)] += count
    return Counts(reachable, suppressed)
