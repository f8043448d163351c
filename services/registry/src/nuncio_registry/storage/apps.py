"""Apps."""

from collections.abc import Callable
from typing import Final

from nuncio_registry.domain.model import App
from nuncio_registry.domain.ports.apps import Deletion
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import BEGIN_BY_KEY, Connection, Storage
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "apps.sql")

_CLEARED_AT_ONCE: Final = 5_000


class PostgresApps(Storage):
    """Keeps `AppStore`."""

    async def create(self, app: App) -> App:
        new = (*_content(app), app.created_at)
        async with self.transaction(BEGIN_BY_KEY) as connection:
            await connection.execute(Q.queue_for_app, app.app_id)
            row = await connection.fetchrow(Q.create_app, *new)
            if row is not None and await connection.fetchrow(Q.forget_deletion, app.app_id):
                await _begin_anew(connection, app.app_id)
            row = row or await connection.fetchrow(Q.app, app.app_id)
        assert row is not None, "nobody deletes it while we have the turn"
        return rows_.app_from(row)

    async def get(self, app_id: str) -> App | None:
        async with self.connection() as connection:
            row = await connection.fetchrow(Q.app, app_id)
        return None if row is None else rows_.app_from(row)

    async def page(self, *, after: str, limit: int) -> list[App]:
        async with self.connection() as connection:
            return [rows_.app_from(row) for row in await connection.fetch(Q.apps, after, limit)]

    async def update(self, app_id: str, change: Callable[[App], App]) -> App | None:
        async with self.transaction() as connection:
            row = await connection.fetchrow(Q.lock_app, app_id)
            if row is None:
                return None
            changed = change(rows_.app_from(row))
            await connection.execute(Q.update_app, *_content(changed))
        return changed

    async def delete(self, app_id: str) -> Deletion:
        async with self.transaction() as connection:
            await connection.execute(Q.queue_for_app, app_id)
            if await connection.fetchrow(Q.app, app_id) is None:
                return Deletion.UNKNOWN
            if await connection.fetchrow(Q.delete_app, app_id) is None:
                return Deletion.NOT_EMPTY
            await connection.execute(Q.delete_app_statistics, app_id)
            await connection.execute(Q.remember_deletion, app_id)
        return Deletion.DELETED

    async def deleted(self) -> list[str]:
        async with self.connection() as connection:
            return [row["app_id"] for row in await connection.fetch(Q.deleted_apps)]

    async def clear(self, app_id: str, *, limit: int) -> int:
        async with self.transaction(BEGIN_BY_KEY) as connection:
            await connection.execute(Q.queue_for_app, app_id)
            if await connection.fetchrow(Q.app, app_id) is not None:
                return 0
            cleared: int = await connection.fetchval(Q.clear_app, app_id, limit)
        return cleared


async def _begin_anew(connection: Connection, app_id: str) -> None:
    """Take away what came in for an earlier app after it was deleted."""
    # Each statement sees what was committed before it. Once one finds nothing, what is committed
    # later belongs to calls that end while the app is made, or after that: it is the new app's.
    while await connection.fetchval(Q.clear_app, app_id, _CLEARED_AT_ONCE):
        pass
    await connection.execute(Q.begin_feed_anew, app_id)


def _content(app: App) -> tuple[object, ...]:
    """The columns of `create_app` and `update_app`."""
    return (app.app_id, app.display_name, app.stale_after, app.expire_after, app.retention)
