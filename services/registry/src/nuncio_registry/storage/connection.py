"""What all tables share: connections whose faults callers know, and transactions in turn."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from nuncio_runtime.postgres import StorageUnavailable, load_queries, storage_faults

T = TypeVar("T")
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

Q: Final = load_queries("nuncio_registry.storage", "ownership.sql")

ACQUIRE_SECONDS: Final = 10.0

# After its first failure a transaction queues up, so only first attempts of others come between.
_ATTEMPTS: Final = 10

# Two new owners of one token at the same time, or two pages that wait for each other.
_RACES: Final = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError)


class Storage:
    """Tables behind a pool. Raises StorageUnavailable for faults of the database."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    @asynccontextmanager
    async def connection(self) -> AsyncIterator[Connection]:
        """A connection of the pool."""
        with storage_faults():
            async with self._pool.acquire(timeout=ACQUIRE_SECONDS) as connection:
                yield connection

    @asynccontextmanager
    async def transaction(self) -> AsyncIterator[Connection]:
        """A connection of the pool, in a transaction."""
        async with self.connection() as connection, connection.transaction():
            yield connection

    async def in_turn(self, app_id: str, attempt: Callable[[Connection], Awaitable[T]]) -> T:
        """Run a transaction until no other one comes in its way. Raises StorageUnavailable."""
        for number in range(_ATTEMPTS):
            try:
                async with self.transaction() as connection:
                    if number:
                        await connection.execute(Q.queue_up, app_id)
                    return await attempt(connection)
            except _RACES:
                continue
        raise StorageUnavailable
