"""Transactions that come into each other's way: who was overtaken once is not overtaken again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from nuncio_registry.storage.connection import Connection, Overtaken, Pool, Storage
from nuncio_runtime.postgres import StorageUnavailable
from tests.storage.registry.creating import until_somebody_waits
from tests.unit.registry.builders import APP


class Attempts:
    """A transaction whose attempts end as they are told; the last one when the test lets it."""

    def __init__(self, pool: Pool, *ends: BaseException, app_id: str = APP) -> None:
        self._ends = list(ends)
        self._storage, self._app_id = Storage(pool), app_id
        self._may_end = asyncio.Event()
        self.number = 0
        self.is_last = asyncio.Event()
        self.connection: Connection | None = None
        self.task = asyncio.create_task(self._run())

    async def _run(self) -> int:
        return await self._storage.in_turn(self._app_id, self._attempt)

    async def _attempt(self, connection: Connection) -> int:
        self.number += 1
        self.connection = connection
        if self._ends:
            raise self._ends.pop(0)
        self.is_last.set()
        await self._may_end.wait()
        return self.number

    @property
    def the_connection(self) -> Connection:
        """Of the attempt that was made last."""
        assert self.connection is not None
        return self.connection

    async def end(self) -> int:
        self._may_end.set()
        return await self.task


@pytest.fixture
async def alone(pool: Pool) -> AsyncIterator[Attempts]:
    """A transaction that was overtaken, and is in its second attempt."""
    attempts = Attempts(pool, Overtaken())
    await attempts.is_last.wait()
    yield attempts
    assert await attempts.end() == 2


async def test_transactions_of_an_app_run_side_by_side(pool: Pool) -> None:
    first, second = Attempts(pool), Attempts(pool)
    await first.is_last.wait()
    await second.is_last.wait()
    assert (await first.end(), await second.end()) == (1, 1)


async def test_who_was_overtaken_runs_alone(pool: Pool, alone: Attempts) -> None:
    other = Attempts(pool)
    await until_somebody_waits(alone.the_connection)
    assert other.number == 0
    await alone.end()
    await other.is_last.wait()
    assert await other.end() == 1


async def test_other_apps_do_not_wait_for_that(pool: Pool, alone: Attempts) -> None:
    other = Attempts(pool, app_id="other")
    await other.is_last.wait()
    assert await other.end() == 1
    assert not alone.task.done()


async def test_who_is_overtaken_again_and_again_is_told(pool: Pool) -> None:
    attempts = Attempts(pool, *(Overtaken() for _ in range(10)))
    with pytest.raises(StorageUnavailable):
        await attempts.task
    assert attempts.number == 10


async def test_who_is_stuck_is_not_waited_for(pool: Pool) -> None:
    """Neither by the one that is to run alone, nor by those behind it."""
    stuck = Attempts(pool)
    await stuck.is_last.wait()
    overtaken = Attempts(pool, Overtaken())
    await until_somebody_waits(stuck.the_connection)
    other = Attempts(pool)
    await other.is_last.wait()
    assert await overtaken.end() == 2  # Its third one; in the second one it did not begin.
    assert (await other.end(), await stuck.end()) == (1, 1)
