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

# Pages find their rows by key. Left to itself, the planner reads all partitions to find thirty
# rows: it does not count that each row leads to one of them, nothing analyses partitioned tables
# as wholes, and what it planned for an empty table stays while that fills. So rows that are read
# are made dear, and pages free. One round trip begins the transaction and settles it.
# Statements without a transaction have a fence instead, LATERAL with OFFSET 0, or a pool that is
# settled as a whole (`selection.open_walks`), where the round trip itself would be dear.
BEGIN_BY_KEY: Final = (
    "BEGIN; SET LOCAL plan_cache_mode = force_generic_plan; SET LOCAL enable_hashjoin = off; "
    "SET LOCAL enable_mergejoin = off; SET LOCAL enable_seqscan = off; "
    "SET LOCAL cpu_tuple_cost = 1000; SET LOCAL random_page_cost = 0"
)

ACQUIRE_SECONDS: Final = 10.0

# After its first failure a transaction queues up, so only first attempts of others come between.
_ATTEMPTS: Final = 10


class Overtaken(Exception):
    """Another transaction has written a row that this one thought to be new."""


# Two new owners of one token at the same time, or two pages that wait for each other.
_RACES: Final = (asyncpg.UniqueViolationError, asyncpg.DeadlockDetectedError, Overtaken)


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

        Raises StorageUnavailable.
        """
        for number in range(_ATTEMPTS):
            try:
                async with self.transaction(BEGIN_BY_KEY) as connection:
                    if number:
                        await connection.execute(Q.queue_up, app_id)
                    return await attempt(connection)
            except _RACES:
                continue
        raise StorageUnavailable
