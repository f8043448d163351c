"""Invalidation."""

from collections.abc import Sequence
from typing import Final

from nuncio_registry.domain.model import DeadToken, InvalidationOutcome
from nuncio_registry.storage.connection import Connection, Storage
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "lifecycle.sql")


class PostgresLifecycle(Storage):
    """Keeps `Lifecycle`."""

    async def invalidate(
        self, app_id: str, tokens: Sequence[DeadToken]
    ) -> list[InvalidationOutcome]:
        columns = list(zip(*tokens, strict=True))

        async def attempt(connection: Connection) -> list[InvalidationOutcome]:
            found = await connection.fetch(Q.invalidate_tokens, app_id, *columns)
            return [InvalidationOutcome(row["outcome"]) for row in found]

        return await self.in_turn(app_id, attempt)
