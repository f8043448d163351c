"""Installations besides the registration of their tokens."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentState,
    FactsChange,
    Installation,
)
from nuncio_registry.domain.predicate import Predicate
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import Storage
from nuncio_registry.storage.history import record_consents
from nuncio_registry.storage.predicate import where
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "installations.sql")


class PostgresInstallations(Storage):
    """Keeps `Installations`."""

    async def get(self, app_id: str, installation_id: UUID) -> Installation | None:
        async with self.connection() as connection:
            row = await connection.fetchrow(Q.installation, app_id, installation_id)
        return None if row is None else rows_.installation_from(row)

    async def page(
        self, app_id: str, *, predicate: Predicate | None, first: UUID, limit: int
    ) -> list[Installation]:
        query = where(Q.installations, predicate, (app_id, first, limit))
        async with self.connection() as connection:
            return [rows_.installation_from(row) for row in await connection.fetch(*query)]

    async def update(
        self, app_id: str, installation_id: UUID, change: FactsChange
    ) -> Installation | None:
        facts = change.facts
        async with self.transaction() as connection:
            row = await connection.fetchrow(
                Q.update_installation,
                app_id,
                installation_id,
                *facts[:9],  # From permission to topics: the order of $3 to $11.
                rows_.attributes_to_json(facts),
                change.add_topics,
                change.remove_topics,
                change.remove_attributes,
                facts.last_seen,
            )
            if row is None:
                return None
            installation = rows_.installation_from(row)
            installation.check_limits()
        return installation

    async def set_user(self, app_id: str, installation_id: UUID, user_id: str) -> str | None:
        async with self.connection() as connection:
            before: str | None = await connection.fetchval(
                Q.set_user, app_id, installation_id, user_id
            )
        return before

    async def set_consent(
        self,
        app_id: str,
        installation_id: UUID,
        *,
        changes: Sequence[ConsentChange],
        now: datetime,
    ) -> Mapping[str, ConsentState] | None:
        granted = [c.purpose for c in changes if c.state == ConsentState.GRANTED]
        denied = [c.purpose for c in changes if c.state == ConsentState.DENIED]
        async with self.transaction() as connection:
            row = await connection.fetchrow(
                Q.set_consents, app_id, installation_id, granted, denied
            )
            if row is None:
                return None
            pairs = [(installation_id, change) for change in changes]
            await record_consents(connection, app_id, pairs, now=now)
        return rows_.consents_from(row)
