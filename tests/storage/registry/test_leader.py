"""The contract of Election, on PostgreSQL: one leader, and another one when it is gone."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import pytest
from pydantic import SecretStr
from structlog.testing import capture_logs

from nuncio_registry.domain.leader import ASK_SECONDS, Leader
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.leader import HEARTBEAT_SECONDS, PostgresElection
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.postgres import open_pool
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import NOW

HOLDER = """
    SELECT l.pid FROM pg_locks AS l JOIN pg_database AS d ON d.oid = l.database
     WHERE l.locktype = 'advisory' AND l.granted AND d.datname = current_database()
"""
END_LEADER = f"SELECT pg_terminate_backend(({HOLDER}))"


@pytest.fixture
async def database() -> AsyncIterator[DatabaseSettings]:
    """A database of its own."""
    async with fresh_database("nuncio_registry", "registry") as settings:
        yield settings


class Candidate:
    """A process that would lead, and what it does then."""

    def __init__(self, database: DatabaseSettings, clock: ManualClock) -> None:
        self.works = False
        self.begun = asyncio.Event()
        self.ended = asyncio.Event()
        self.shown: list[bool] = []
        election = PostgresElection(database, clock)
        self._leader = Leader(election, [self._work], clock=clock, meter=self)

    async def _work(self) -> None:
        self.works = True
        self.begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.works = False
            self.ended.set()

    def leads(self, leads: bool, /) -> None:
        self.shown.append(leads)

    def removed(self, what: object, rows: int) -> None:
        raise NotImplementedError

    def ran(self, *, seconds: float, at: object) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def running(self) -> AsyncIterator[asyncio.Task[None]]:
        """As a task of its own."""
        task = asyncio.create_task(self._leader.keep_leading())
        try:
            yield task
        finally:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)


async def until(clock: ManualClock, done: Callable[[], bool]) -> None:
    """Let time pass until it is so."""
    while not done():
        clock.advance(ASK_SECONDS)
        await asyncio.sleep(0.01)


async def test_exactly_one_works_and_the_next_one_follows(database: DatabaseSettings) -> None:
    clock = ManualClock(NOW)
    candidates = [Candidate(database, clock) for _ in range(3)]
    one, two, three = candidates
    async with two.running(), three.running():
        async with one.running():
            await until(clock, lambda: any(each.works for each in candidates))
            for _ in range(20):
                clock.advance(ASK_SECONDS)
                await asyncio.sleep(0.01)
                assert sum(each.works for each in candidates) == 1
        await until(clock, lambda: two.works or three.works)
        assert not one.works
    assert one.shown in ([True, False], [])


async def test_who_loses_the_connection_stops_at_once(database: DatabaseSettings) -> None:
    clock = ManualClock(NOW)
    one = Candidate(database, clock)
    async with open_pool(database) as pool, one.running():
        await one.begun.wait()
        await end_leader(pool)
        await one.ended.wait()  # No time has passed: nobody asked, the connection told.
        await until(clock, lambda: one.works)
        assert one.shown == [True, False, True]


async def test_when_the_leader_is_cut_off_still_only_one_works(database: DatabaseSettings) -> None:
    clock = ManualClock(NOW)
    candidates = [Candidate(database, clock) for _ in range(3)]
    one, two, three = candidates
    async with open_pool(database) as pool, one.running(), two.running(), three.running():
        for _ in range(3):
            await until(clock, lambda: any(each.works for each in candidates))
            assert sum(each.works for each in candidates) == 1
            (leader,) = [each for each in candidates if each.works]
            leader.ended.clear()
            await end_leader(pool)
            await leader.ended.wait()


async def end_leader(pool: Pool) -> None:
    """End the session that holds the lead, as a restart of the server does."""
    assert await pool.fetchval(END_LEADER)


async def test_a_connection_that_does_not_answer_is_given_up(database: DatabaseSettings) -> None:
    """As when a machine vanishes: nothing tells of it, and somebody else may lead already."""
    clock = ManualClock(NOW)
    async with open_pool(database) as pool, PostgresElection(database, clock).stand() as seat:
        assert await seat.take()
        holder = await pool.fetchval(HOLDER)
        os.kill(holder, signal.SIGSTOP)
        try:
            losing = asyncio.create_task(seat.lost())
            await asyncio.sleep(0.1)
            assert not losing.done()
            clock.advance(HEARTBEAT_SECONDS)
            await losing
        finally:
            os.kill(holder, signal.SIGCONT)


async def test_the_lead_is_free_as_soon_as_it_is_given_up(database: DatabaseSettings) -> None:
    clock = ManualClock(NOW)
    for _ in range(3):
        async with PostgresElection(database, clock).stand() as seat:
            while not await seat.take():  # noqa: ASYNC110 - the server ends a session after us
                await asyncio.sleep(0.01)


async def test_another_schema_has_a_leader_of_its_own(database: DatabaseSettings) -> None:
    clock = ManualClock(NOW)
    other = database.model_copy(update={"schema": "public"})
    async with (
        PostgresElection(database, clock).stand() as here,
        PostgresElection(other, clock).stand() as there,
    ):
        assert await here.take()
        assert await there.take()


async def test_an_outage_is_waited_out(database: DatabaseSettings) -> None:
    clock = ManualClock(NOW)
    nowhere = database.model_copy(update={"dsn": SecretStr("postgresql://127.0.0.1:1/nobody")})
    candidate = Candidate(nowhere, clock)
    with capture_logs() as logs:
        async with candidate.running() as task:
            await until(clock, lambda: len(logs) > 2)
            assert not task.done()
    assert {line["event"] for line in logs} == {"election_postponed"}
    assert candidate.shown == []
