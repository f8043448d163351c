"""An app in which much has happened is counted again soon, not only in its turn."""

import asyncio
from datetime import datetime, timedelta

import pytest

from nuncio_registry.domain.hygiene import LOOK_SECONDS, Hygiene, Rhythm
from nuncio_registry.domain.model import Facts
from nuncio_registry.domain.ports.statistics import Recount
from nuncio_registry.domain.recount import SOONEST
from nuncio_registry.domain.tally import Tally
from nuncio_registry.metrics import PrometheusMeter
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.hygiene import PostgresHygiene, PostgresScans, Q
from nuncio_registry.storage.statistics import PostgresStatistics, PostgresStockScans
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.registering import changes_in_sight, register
from tests.unit.registry.builders import APP, NOW, app, registration

# The feed waits for the oldest transaction of the server, and so for those of other tests.
pytestmark = pytest.mark.timeout(60)

DAY = timedelta(days=1)
EVERY = timedelta(hours=1)


class RestClock(ManualClock):
    """A clock that tells when its one user rests."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self._rests = asyncio.Event()

    async def sleep(self, seconds: float) -> None:
        if seconds > 0:
            self._rests.set()
        await super().sleep(seconds)

    async def rest(self, seconds: float = 0) -> None:
        """Let so many seconds of its rest go by, and return when it rests again."""
        if seconds:
            self._rests.clear()
            self.advance(seconds)
        await self._rests.wait()


class Leading:
    """The app of the tests, what counts it, and a clock."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.clock = RestClock()
        self.store = PostgresHygiene(pool)
        self.scans = PostgresStockScans(pool)
        self.statistics = PostgresStatistics(pool)
        self.hygiene = Hygiene(
            self.store,
            PostgresScans(pool),
            self.scans,
            apps=PostgresApps(pool),
            statistics=self.statistics,
            clock=self.clock,
            rhythm=Rhythm(
                every=EVERY,
                grace=timedelta(minutes=10),
                batch=100,
                pause=timedelta(0),
                changes_kept=7 * DAY,
                audit_kept=400 * DAY,
            ),
            meter=PrometheusMeter(),
        )

    async def registered(self, *numbers: int, now: datetime | None = None) -> None:
        """So many installations more, and all changes rolled up."""
        rows = [registration(n, facts=Facts()) for n in numbers]
        await register(self.pool, rows, now=now or self.clock.now())
        await changes_in_sight(self.pool)
        while await self.statistics.roll_up(APP, limit=1_000):
            pass

    async def is_due(self) -> bool:
        now = self.clock.now()
        due = await self.store.due(counted_before=now - EVERY, now=now, after="", limit=9)
        return [each.app_id for each in due] == [APP]

    async def counted(self) -> int:
        """What the latest count found."""
        stock = await self.statistics.latest_stock(APP)
        assert stock is not None
        return stock.installations


@pytest.fixture
def leading(pool: Pool) -> Leading:
    return Leading(pool)


async def test_an_app_that_was_counted_while_it_was_empty_is_counted_again(
    leading: Leading,
) -> None:
    await leading.hygiene.count(app())
    leading.clock.advance(SOONEST.total_seconds())
    assert not await leading.is_due()
    await leading.registered(1)
    assert await leading.is_due()
    await leading.hygiene.count(app())
    assert await leading.counted() == 1
    leading.clock.advance(SOONEST.total_seconds())
    assert not await leading.is_due()


async def test_it_takes_a_tenth_of_the_stock(leading: Leading) -> None:
    await leading.registered(*range(30))
    await leading.hygiene.run(app())
    leading.clock.advance(SOONEST.total_seconds())
    await leading.registered(30, 31)
    assert not await leading.is_due()
    await leading.registered(32)
    assert await leading.is_due()


async def test_it_takes_some_time(leading: Leading) -> None:
    await leading.hygiene.count(app())
    await leading.registered(1)
    leading.clock.advance(SOONEST.total_seconds() - 1)
    assert not await leading.is_due()
    leading.clock.advance(1)
    assert await leading.is_due()


async def test_changes_before_and_after_midnight_are_told_apart_from_older_ones(
    leading: Leading,
) -> None:
    await leading.registered(*range(9), now=NOW - 2 * DAY)
    await leading.registered(9, now=NOW - DAY)
    today = NOW.date()
    assert await leading.scans.changes(APP, since=today) == 0
    assert await leading.scans.changes(APP, since=today - DAY) == 1
    assert await leading.scans.changes(APP, since=today - 2 * DAY) == 10
    await leading.hygiene.count(app())
    leading.clock.advance(SOONEST.total_seconds())
    assert not await leading.is_due()
    await leading.registered(10, now=NOW + DAY)
    assert await leading.is_due()


async def test_the_last_word_is_of_the_last_count(leading: Leading) -> None:
    await leading.registered(1)
    stock, today = Tally().stock(NOW), NOW.date()
    at_once = Recount(NOW, today, 1)
    await leading.statistics.put_stock(APP, today, stock, at_once)
    assert await leading.is_due()
    await leading.statistics.put_stock(APP, today, stock, at_once._replace(changes=2))
    assert not await leading.is_due()
    await leading.statistics.put_stock(APP, today, stock)
    assert not await leading.is_due()


async def test_a_leader_counts_an_import_long_before_its_turn(leading: Leading) -> None:
    running = asyncio.create_task(leading.hygiene.keep_running())
    await leading.clock.rest()
    assert await leading.counted() == 0
    await leading.registered(*range(200))
    while await leading.counted() < 200:
        await leading.clock.rest(LOOK_SECONDS)
    assert leading.clock.now() - NOW < EVERY
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_the_look_for_apps_that_are_due_reads_by_key(pool: Pool) -> None:
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SET LOCAL enable_seqscan = off")
        lines = await connection.fetch("EXPLAIN " + Q.due_apps, NOW, "", 100, NOW)
    plan = "\n".join(line[0] for line in lines)
    assert plan.count("Index Cond: ((app_id = ") + plan.count("Index Cond: (app_id = ") == 2, plan
