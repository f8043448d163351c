"""What all tables share: connections whose faults callers know, and transactions in turn."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, Protocol, Self, TypeAlias, TypeVar

import asyncpg
from asyncpg.pool import PoolConnectionProxy

from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.postgres import StorageUnavailable, load_queries, open_pool, storage_faults

T = TypeVar("T")
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
Connection: TypeAlias = "PoolConnectionProxy[asyncpg.Record]"

Q: Final = load_queries("nuncio_registry.storage", "ownership.sql")

# Pages find their rows by key. Left to itself, the planner reads all partitions to find thirty
# rows: it does not count that each row leads to one of them, nothing analyses partitioned tables
# as wholes, and what it planned for an empty table stays while that fills. So rows that are read
# are made dear, and pages free. One round trip begins the transaction and settles it.
# Statements without a transaction have a fence instead, LATERAL with OFFSET 0, or a pool that is
# settled as a whole (`open_by_key`, `selection.open_walks`), where the trip itself would be dear.
_BY_KEY: Final = {
    "plan_cache_mode": "force_generic_plan",
    "enable_hashjoin": "off",
    "enable_mergejoin": "off",
    "enable_seqscan": "off",
    "cpu_tuple_cost": "1000",
    "random_page_cost": "0",
}
BEGIN_BY_KEY: Final = "; ".join(
    ("BEGIN", *(f"SET LOCAL {name} = {value}" for name, value in _BY_KEY.items()))
)

ACQUIRE_SECONDS: Final = 10.0

# Every second attempt is made alone, if those under way end soon: who waits for it holds up all who
# come later, so a transaction that is stuck must not be waited for.
_ATTEMPTS: Final = 10
_BEGIN_ALONE: Final = f"{BEGIN_BY_KEY}; SET LOCAL lock_timeout = '500ms'"


def open_by_key(settings: DatabaseSettings) -> AbstractAsyncContextManager[Pool]:
    """Connections whose statements find their rows by key, opened when they are needed."""
    return open_pool(settings.model_copy(update={"pool_min": 0}), planned=_BY_KEY)


class Fetching(Protocol):
    """Who runs statements that are transactions of their own: a pool, or `Held`."""

    async def fetch(self, query: str, /, *args: Any) -> list[asyncpg.Record]:
        """The rows of one statement."""


class Held:
    """Connections of a pool that stay borrowed between statements, as many as are used at once.

    To borrow one, and to give it back, costs as much as a statement for a few rows. Use it as an
    asynchronous context manager: leaving gives them back.
    """

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._idle: list[Connection] = []

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        while self._idle:
            await self._pool.release(self._idle.pop())

    async def fetch(self, query: str, /, *args: Any) -> list[asyncpg.Record]:
        """The rows of one statement, which is a transaction of its own."""
        connection = await self._borrow()
        try:
            found = await connection.fetch(query, *args)
        except BaseException:
            await self._pool.release(connection)  # Which may be of no use any more.
            raise
        self._idle.append(connection)
        return found

    async def _borrow(self) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_closed():
                return connection
            await self._pool.release(connection)
        return await self._pool.acquire(timeout=ACQUIRE_SECONDS)


class Overtaken(Exception):
    """Another transaction has written a row that this one thought to be new."""


# Two new owners of one token at the same time, or two pages that wait for each other.
RACES: Final = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError, Overtaken)


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
    async def transaction(self, begin: str = "BEGIN") -> AsyncIterator[Connection]:
        """A connection of the pool, in a transaction.

        begin: what begins it, with settings that hold for it alone.
        """
        async with self.connection() as connection:
            await connection.execute(begin)
            try:
                yield connection
            except BaseException:
                await connection.execute("ROLLBACK")
                raise
            await connection.execute("COMMIT")

    async def in_turn(
        self,
        app_id: str,
        attempt: Callable[[Connection], Awaitable[T]],
    ) -> T:
        """Run a transaction that finds its rows by key until no other one comes in its way.

        Those of an app run side by side; one that was overtaken runs alone, unless another one
        takes too long. Raises StorageUnavailable.
        """
        for number in range(_ATTEMPTS):
            alone = number % 2 == 1
            try:
                async with self.transaction(_BEGIN_ALONE if alone else BEGIN_BY_KEY) as connection:
                    if alone:
                        await connection.execute(Q.run_alone, app_id)
                        await connection.execute("SET LOCAL lock_timeout TO DEFAULT")
                    else:
                        await connection.execute(Q.run_with_others, app_id)
                    return await attempt(connection)
            except (*RACES, asyncpg.LockNotAvailableError):
                continue
        raise StorageUnavailable
