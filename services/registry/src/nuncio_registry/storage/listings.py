"""Lists of installations."""

from collections.abc import Sequence
from typing import Final
from uuid import UUID

from nuncio_registry.domain.ports.selection import ListedRows, Selection
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.looking import Looking, boundary_of, is_sparse
from nuncio_registry.storage.predicate import where
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "listings.sql")


class PostgresListings(Looking):
    """Keeps `Listings`."""

    async def scan(self, selection: Selection, *, limit: int, keys: int) -> ListedRows:
        app_id, predicate, _, _, first, last = selection
        async with self.planned() as connection:
            boundary = await boundary_of(connection, selection, keys)
            arguments = (app_id, first, boundary or last, limit)
            rows = await connection.fetch(*where(Q.installations, predicate, arguments))
        found = [rows_.installation_from(row) for row in rows]
        if len(found) == limit:
            return ListedRows(found, cursor=found[-1].installation_id)
        return ListedRows(
            found,
            cursor=boundary,
            ended=boundary is None,
            sparse=boundary is not None and is_sparse(len(found), keys=keys),
        )

    async def among(self, selection: Selection, ids: Sequence[UUID]) -> ListedRows:
        app_id, predicate, *_ = selection
        query = where(Q.installations_among, predicate, (app_id, ids))
        async with self.planned() as connection:
            rows = await connection.fetch(*query)
        return ListedRows([rows_.installation_from(row) for row in rows], cursor=ids[-1])
