"""The registry's tables behind the domain's ports."""

from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Final, TypeAlias, TypeVar
from uuid import UUID

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from nuncio_registry.domain.model import (
    App,
    ConsentChange,
    ConsentState,
    DeadToken,
    FactsChange,
    Installation,
    InvalidationOutcome,
    Platform,
    Registration,
    Suppression,
)
from nuncio_registry.domain.ports import (
    Counts,
    Known,
    NewRow,
    Plan,
    Result,
    Round,
    SelectedRows,
    Selection,
)
from nuncio_registry.domain.predicate import Predicate
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.predicate import where
from nuncio_runtime.postgres import StorageUnavailable, load_queries, storage_faults

T = TypeVar("T")
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

Q: Final = load_queries("nuncio_registry.storage")

ACQUIRE_SECONDS: Final = 10.0

# After its first failure a transaction queues up, so only first attempts of others come between.
_ATTEMPTS: Final = 10

# Two new owners of one token at the same time, or two pages that wait for each other.
_RACES: Final = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError)


class _Storage:
    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def _connection(self) -> AsyncIterator[Connection]:
        with storage_faults():
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection


class PostgresApps(_Storage):
    """Keeps `AppStore`."""

    async def create(self, app: App) -> App:
        new = (app.app_id, app.display_name, app.stale_after, app.created_at)
        async with self._connection() as connection:
            row = await connection.fetchrow(Q.create_app, *new)
            row = row or await connection.fetchrow(Q.app, app.app_id)
        assert row is not None, "apps are never deleted"
        return rows_.app_from(row)

    async def get(self, app_id: str) -> App | None:
        async with self._connection() as connection:
            row = await connection.fetchrow(Q.app, app_id)
        return None if row is None else rows_.app_from(row)

    async def page(self, *, after: str, limit: int) -> list[App]:
        async with self._connection() as connection:
            return [rows_.app_from(row) for row in await connection.fetch(Q.apps, after, limit)]


class PostgresInstallations(_Storage):
    """Keeps `Installations`."""

    async def register(
        self,
        app_id: str,
        rows: Sequence[Registration],
        *,
        hashes: Sequence[bytes],
        now: datetime,
        plan: Callable[[Sequence[Known]], Plan],
    ) -> list[Result]:
        ids = [row.installation_id for row in rows]
        with_attributes = any(row.facts.attributes for row in rows)

        async def attempt(connection: Connection) -> list[Result]:
            touched = await connection.fetch(Q.lock_touched, app_id, ids, hashes, with_attributes)
            results, rounds = plan([rows_.known_from(row) for row in touched])
            for round_ in rounds:
                await _write_round(connection, app_id, rows, round_, hashes=hashes, now=now)
            return results

        return await self._in_turn(app_id, attempt)

    async def get(self, app_id: str, installation_id: UUID) -> Installation | None:
        async with self._connection() as connection:
            row = await connection.fetchrow(Q.installation, app_id, installation_id)
        return None if row is None else rows_.installation_from(row)

    async def page(
        self, app_id: str, *, predicate: Predicate | None, first: UUID, limit: int
    ) -> list[Installation]:
        query = where(Q.installations, predicate, (app_id, first, limit))
        async with self._connection() as connection:
            return [rows_.installation_from(row) for row in await connection.fetch(*query)]

    async def update(
        self, app_id: str, installation_id: UUID, change: FactsChange
    ) -> Installation | None:
        facts = change.facts
        async with self._connection() as connection, connection.transaction():
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
        async with self._connection() as connection:
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
        async with self._connection() as connection, connection.transaction():
            row = await connection.fetchrow(
                Q.set_consents, app_id, installation_id, granted, denied
            )
            if row is None:
                return None
            pairs = [(installation_id, change) for change in changes]
            await connection.execute(Q.record_consents, app_id, now, *rows_.consent_columns(pairs))
        return rows_.consents_from(row)

    async def select(self, selection: Selection, *, limit: int) -> SelectedRows | None:
        app_id, predicate, purpose, stale_before, first, last = selection
        arguments = (app_id, first, last, purpose, stale_before, limit)
        async with self._connection() as connection:
            found = await connection.fetch(*where(Q.select_targets, predicate, arguments))
        return rows_.selected_from(found) if found else None

    async def count(self, selection: Selection) -> Counts:
        app_id, predicate, purpose, stale_before, first, last = selection
        arguments = (app_id, first, last, purpose, stale_before)
        async with self._connection() as connection:
            found = await connection.fetch(*where(Q.count_targets, predicate, arguments))
        reachable: Counter[Platform] = Counter()
        suppressed: Counter[Suppression] = Counter()
        for reason, platform, count in found:
            if reason:
                suppressed[Suppression(reason)] += count
            else:
                reachable[Platform(platform)] += count
        return Counts(reachable, suppressed)

    async def invalidate(
        self, app_id: str, tokens: Sequence[DeadToken]
    ) -> list[InvalidationOutcome]:
        columns = list(zip(*tokens, strict=True))

        async def attempt(connection: Connection) -> list[InvalidationOutcome]:
            found = await connection.fetch(Q.invalidate_tokens, app_id, *columns)
            return [InvalidationOutcome(row["outcome"]) for row in found]

        return await self._in_turn(app_id, attempt)

    async def _in_turn(self, app_id: str, attempt: Callable[[Connection], Awaitable[T]]) -> T:
        """Run a transaction until no other one comes in its way. Raises StorageUnavailable."""
        for number in range(_ATTEMPTS):
            try:
                async with self._connection() as connection, connection.transaction():
                    if number:
                        await connection.execute(Q.queue_up, app_id)
                    return await attempt(connection)
            except _RACES:
                continue
        raise StorageUnavailable


async def _write_round(
    connection: Connection,
    app_id: str,
    rows: Sequence[Registration],
    round_: Round,
    *,
    hashes: Sequence[bytes],
    now: datetime,
) -> None:
    if round_.replaced:
        await connection.execute(Q.replace_owners, app_id, round_.replaced, now)
    # In key order, as all writers do, so that fewer of them wait for each other in a circle.
    ordered = sorted(round_.rows, key=lambda new: rows[new.row].installation_id)
    for query, is_new in ((Q.insert_installations, True), (Q.refresh_installations, False)):
        part: list[NewRow] = [new for new in ordered if new.is_new is is_new]
        if part:
            columns = rows_.installation_columns(rows, part, hashes)
            await connection.execute(query, app_id, now, *columns)
    changes = [
        (rows[new.row].installation_id, change)
        for new in round_.rows
        for change in rows[new.row].consents
    ]
    if changes:
        await connection.execute(Q.record_consents, app_id, now, *rows_.consent_columns(changes))
