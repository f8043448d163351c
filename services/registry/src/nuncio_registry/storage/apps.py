"""Apps."""

from typing import Final

from nuncio_registry.domain.model import App
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import Storage
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "apps.sql")


class PostgresApps(Storage):
    """Keeps `AppStore`."""

    async def create(self, app: App) -> App:
        new = (app.app_id, app.display_name, app.stale_after, app.created_at)
        async with self.connection() as connection:
            row = await connection.fetchrow(Q.create_app, *new)
            row = row or await connection.fetchrow(Q.app, app.app_id)
        assert row is not None, "apps are never deleted"
        return rows_.app_from(row)

    async def get(self, app_id: str) -> App | None:
        async with self.connection() as connection:
            row = await connection.fetchrow(Q.app, app_id)
        return None if row is None else rows_.app_from(row)

    async def page(self, *, after: str, limit: int) -> list[App]:
        async with self.connection() as connection:
            return [rows_.app_from(row) for row in await connection.fetch(Q.apps, after, limit)]
