"""One leader at a time: a session's advisory lock, which goes when its connection goes."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any, Final

import asyncpg

from nuncio_registry.storage.connection import ACQUIRE_SECONDS, Connection
from nuncio_runtime.clock import Clock
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.postgres import StorageUnavailable, load_queries, open_pool, storage_faults

Q: Final = load_queries("nuncio_registry.storage", "leader.sql")

# A connection whose other end is silently gone is noticed after so long.
HEARTBEAT_SECONDS: Final = 5.0
ANSWER_SECONDS: Final = 3.0


class PostgresElection:
    """Keeps `Election`, on a connection of its own: one in a pool would be given to others."""

    def __init__(self, settings: DatabaseSettings, clock: Clock) -> None:
        self._settings = settings.model_copy(update={"pool_min": 1, "pool_max": 1})
        self._clock = clock

    @asynccontextmanager
    async def stand(self) -> AsyncIterator["PostgresSeat"]:
        async with open_pool(self._settings) as pool:
            with storage_faults():
                connection = await pool.acquire(timeout=ACQUIRE_SECONDS)
            seat = PostgresSeat(connection, self._clock)
            connection.add_termination_listener(seat.drop)
            try:
                yield seat
            finally:
                # Cut, not closed in good order: the other end may be gone.
                pool.terminate()


class PostgresSeat:
    """Keeps `Seat`."""

    def __init__(self, connection: Connection, clock: Clock) -> None:
        self._connection = connection
        self._clock = clock
        self._dropped = asyncio.Event()

    async def take(self) -> bool:
        try:
            with storage_faults():
                taken: bool = await self._connection.fetchval(Q.take_lead)
        except asyncpg.InterfaceError as error:  # The connection has gone, and its pool knows.
            raise StorageUnavailable from error
        return taken

    async def lost(self) -> None:
        beating = asyncio.create_task(self._beat())
        dropped = asyncio.create_task(self._dropped.wait())
        try:
            await asyncio.wait((beating, dropped), return_when=asyncio.FIRST_COMPLETED)
        finally:
            beating.cancel()
            dropped.cancel()
            await asyncio.gather(beating, dropped, return_exceptions=True)

    def drop(self, _: Any) -> None:
        """The connection is gone."""
        self._dropped.set()

    async def _beat(self) -> None:
        """Ask now and then; returns or fails when there is no answer."""
        while True:
            await self._clock.sleep(HEARTBEAT_SECONDS)
            await self._connection.fetchval(Q.is_there, timeout=ANSWER_SECONDS)
