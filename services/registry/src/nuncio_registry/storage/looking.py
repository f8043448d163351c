"""Looking at keys: found through an index, or cut into parts that a statement looks at in a moment.

Which index a statement uses is decided here, never by the planner's estimates: with one plan for
all arguments, a wrong guess would read the whole table for every page. Settings leave one way open.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Final
from uuid import UUID

import asyncpg
from asyncpg import Record

from nuncio_registry.domain.conjuncts import named_users
from nuncio_registry.domain.ports.selection import Selection
from nuncio_registry.storage.connection import Connection, Storage
from nuncio_registry.storage.predicate import indexed, where_indexed
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "looking.sql")

FIND_MILLISECONDS: Final = 2_000
"""How long an index may be asked for the few."""

_OFF: Final = ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")
PLANNED: Final = {
    "plan_cache_mode": "force_generic_plan",
    "max_parallel_workers_per_gather": "0",
    **{f"enable_{way}": "off" for way in _OFF},
}
"""What leaves one way open."""

_BEGIN_PLANNED: Final = "; ".join(
    ("BEGIN", *(f"SET LOCAL {name} = {value}" for name, value in PLANNED.items()))
)

# An index on sets is read by a bitmap scan only.
_BEGIN_BY_SETS: Final = (
    "BEGIN; SET LOCAL enable_seqscan = off; SET LOCAL max_parallel_workers_per_gather = 0; "
    f"SET LOCAL statement_timeout = {FIND_MILLISECONDS}"
)

# A part is sparse when fewer than one of so many keys matched.
_SPARSE: Final = 100


class Looking(Storage):
    """What `Roads` have in common."""

    def planned(self) -> AbstractAsyncContextManager[Connection]:
        """A connection on which statements go the one way that is open."""
        return self.transaction(_BEGIN_PLANNED)

    async def find(self, selection: Selection, *, most: int) -> list[UUID] | None:
        app_id, predicate, *_, first, last = selection
        arguments: tuple[Any, ...] = (app_id, first, last, most + 1)
        users, part = named_users(predicate), indexed(predicate)
        if users is not None:
            async with self.planned() as connection:
                return _keys(await connection.fetch(Q.find_by_users, *arguments, users), most)
        if part is not None:
            query = where_indexed(Q.find_by_sets, predicate, part, arguments)
            return _keys(await self._find_by_sets(query), most)
        return None

    async def _find_by_sets(self, query: tuple[Any, ...]) -> list[Record] | None:
        """None when it takes too long."""
        async with self.transaction(_BEGIN_BY_SETS) as connection:
            try:
                return await connection.fetch(*query)
            except asyncpg.QueryCanceledError:
                return None


async def boundary_of(connection: Connection, selection: Selection, keys: int) -> UUID | None:
    """The last of the first `keys` keys of the selection; None when it has fewer."""
    app_id, *_, first, last = selection
    found: UUID | None = await connection.fetchval(Q.boundary, app_id, first, last, keys)
    return found


def is_sparse(matched: int, *, keys: int) -> bool:
    """Whether it is time to ask an index: so few of the keys looked at matched."""
    return matched * _SPARSE < keys


def _keys(found: Sequence[Record] | None, most: int) -> list[UUID] | None:
    return None if found is None or len(found) > most else sorted(row[0] for row in found)
