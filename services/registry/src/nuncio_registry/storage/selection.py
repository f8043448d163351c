"""Selection: pages of targets, and counts."""

from collections import Counter
from typing import Final

from nuncio_registry.domain.model import Platform, Suppression
from nuncio_registry.domain.ports.selection import Counts, SelectedRows, Selection
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import Storage
from nuncio_registry.storage.predicate import where
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "selection.sql")


class PostgresSelections(Storage):
    """Keeps `Selections`."""

    async def select(self, selection: Selection, *, limit: int) -> SelectedRows | None:
        app_id, predicate, purpose, stale_before, first, last = selection
        arguments = (app_id, first, last, purpose, stale_before, limit)
        async with self.connection() as connection:
            found = await connection.fetch(*where(Q.select_targets, predicate, arguments))
        return rows_.selected_from(found) if found else None

    async def count(self, selection: Selection) -> Counts:
        app_id, predicate, purpose, stale_before, first, last = selection
        arguments = (app_id, first, last, purpose, stale_before)
        async with self.connection() as connection:
            found = await connection.fetch(*where(Q.count_targets, predicate, arguments))
        reachable: Counter[Platform] = Counter()
        suppressed: Counter[Suppression] = Counter()
        for reason, platform, count in found:
            if reason:
                suppressed[Suppression(reason)] += count
            else:
                reachable[Platform(platform)] += count
        return Counts(reachable, suppressed)
