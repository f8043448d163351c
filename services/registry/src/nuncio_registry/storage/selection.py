"""Selection: pages of targets.

The statements of a walk have connections of their own, whose settings leave one way open (see
`looking`). It also saves the planning, which costs more than a millisecond with 16 partitions, and
trips to the server.
"""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from typing import Final
from uuid import UUID

from nuncio_registry.domain.ports.selection import SelectedRows, Selection
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import Connection, Pool, Storage
from nuncio_registry.storage.looking import PLANNED, Looking
from nuncio_registry.storage.predicate import where
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.postgres import load_queries, open_pool

Q: Final = load_queries("nuncio_registry.storage", "selection.sql")


def open_walks(settings: DatabaseSettings) -> AbstractAsyncContextManager[Pool]:
    """Connections for walks, opened when they are needed, as many as the service's others."""
    return open_pool(settings.model_copy(update={"pool_min": 0}), planned=PLANNED)


class PostgresSelections(Looking):
    """Keeps `Selections`."""

    def __init__(self, pool: Pool, *, walks: "Pool | None" = None) -> None:
        """walks: of `open_walks`; without it the planner chooses, which suits small tables."""
        super().__init__(pool)
        self._walking = self if walks is None else Storage(walks)

    def planned(self) -> AbstractAsyncContextManager[Connection]:
        return self._walking.connection()

    async def scan(self, selection: Selection, *, limit: int, keys: int) -> SelectedRows:
        app_id, predicate, purpose, stale_before, first, last = selection
        arguments = (app_id, first, last, purpose, stale_before, limit, keys)
        async with self.planned() as connection:
            (found,) = await connection.fetch(*where(Q.scan_targets, predicate, arguments))
        return rows_.scanned_from(found, limit=limit, keys=keys)

    async def among(self, selection: Selection, ids: Sequence[UUID]) -> SelectedRows:
        app_id, predicate, purpose, stale_before, *_ = selection
        arguments = (app_id, ids, purpose, stale_before)
        async with self.planned() as connection:
            (found,) = await connection.fetch(*where(Q.targets_among, predicate, arguments))
        return rows_.selected_from(found, cursor=ids[-1])
