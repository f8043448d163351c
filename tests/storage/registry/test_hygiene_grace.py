"""A new leader only counts: nothing expires and nothing is deleted until its grace is over."""

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import pytest
from structlog.testing import capture_logs

from nuncio_registry.domain.hygiene import LOOK_SECONDS, Hygiene, Rhythm
from nuncio_registry.domain.model import Facts, TokenState
from nuncio_registry.metrics import PrometheusMeter
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.hygiene import PostgresHygiene, PostgresScans
from nuncio_registry.storage.statistics import PostgresStatistics, PostgresStockScans
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, app, key, registration

DAY = timedelta(days=1)
GRACE = timedelta(minutes=10)
LONG_AGO = 300 * DAY


class House:
    """An app with one installation to expire and one to delete, and a leader that runs."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.clock = ManualClock(NOW)
        self.hygiene = Hygiene(
            PostgresHygiene(pool),
            PostgresScans(pool),
            PostgresStockScans(pool),
            apps=PostgresApps(pool),
            statistics=PostgresStatistics(pool),
            clock=self.clock,
            rhythm=Rhythm(
                every=timedelta(hours=1),
                grace=GRACE,
                batch=100,
                pause=timedelta(0),
                changes_kept=7 * DAY,
                audit_kept=400 * DAY,
            ),
            meter=PrometheusMeter(),
        )

    async def states(self) -> dict[int, int]:
        """The installations, and the states of their tokens."""
        found = await self.pool.fetch("SELECT installation_id, token_state FROM installation")
        return {row[0].int: row[1] for row in found}

    async def counted_since(self, minutes: float) -> None:
        """Until the app's stock was counted so late; the clock goes on meanwhile."""
        query = "SELECT max(counted_at) FROM stock WHERE app_id = $1"
        while (at := await self.pool.fetchval(query, APP)) is None or at < NOW + timedelta(
            minutes=minutes
        ):
            self.clock.advance(LOOK_SECONDS)
            await asyncio.sleep(0.01)

    @asynccontextmanager
    async def leading(self) -> AsyncIterator[None]:
        """While the leader does its work."""
        running = asyncio.create_task(self.hygiene.keep_running())
        yield
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


@pytest.fixture
async def house(pool: Pool) -> House:
    await register(pool, [registration(n, facts=Facts(last_seen=NOW - LONG_AGO)) for n in (1, 2)])
    await register(pool, [registration(3)])
    await pool.execute(
        "UPDATE installation SET token_state = $2, died_at = $3 WHERE installation_id = $1",
        key(2),
        TokenState.INVALID,
        NOW - LONG_AGO,
    )
    await pool.execute("DELETE FROM live_token WHERE installation_id = $1", key(2))
    return House(pool)


AS_IT_WAS = {1: TokenState.ACTIVE, 2: TokenState.INVALID, 3: TokenState.ACTIVE}
CARRIED_OUT = {1: TokenState.EXPIRED, 3: TokenState.ACTIVE}


async def test_until_the_grace_is_over_nothing_changes_but_all_is_counted(house: House) -> None:
    with capture_logs() as logs:
        async with house.leading():
            await house.counted_since(0)
            assert house.clock.now() < NOW + GRACE
            assert await house.states() == AS_IT_WAS
    events = {event["event"]: event for event in logs}
    assert events["hygiene_only_counts"]["until"] == (NOW + GRACE).isoformat()
    assert (events["hygiene_counted"]["expiring"], events["hygiene_counted"]["deleting"]) == (1, 1)
    assert "hygiene_ran" not in events
    stock = await PostgresStatistics(house.pool).latest_stock(APP)
    assert stock is not None
    assert (stock.installations, stock.active, stock.expired) == (3, 2, 0)


async def test_after_it_every_app_is_due_once_and_then_in_its_turn(house: House) -> None:
    with capture_logs() as logs:
        async with house.leading():
            await house.counted_since(0)
            await house.counted_since(10)
            assert house.clock.now() < NOW + 2 * GRACE
            assert await house.states() == CARRIED_OUT
            for another in ("a", "b", "c"):  # Each is counted at a look of its own.
                await PostgresApps(house.pool).create(app(another))
                await ran(house, logs, another)
    assert house.clock.now() < NOW + timedelta(hours=1)
    assert [each["app_id"] for each in logs if each["event"] == "hygiene_ran"] == [APP, *"abc"]


async def ran(house: House, logs: Sequence[Mapping[str, Any]], app_id: str) -> None:
    """Until the app had its run; the clock goes on meanwhile."""
    while not any(e["event"] == "hygiene_ran" and e["app_id"] == app_id for e in logs):
        house.clock.advance(LOOK_SECONDS)
        await asyncio.sleep(0.01)


async def test_what_belongs_to_no_app_waits_too(house: House) -> None:
    old = "SELECT count(*) FROM stock WHERE app_id = 'gone'"
    day = NOW.date() - 401 * DAY
    await house.pool.execute("INSERT INTO stock VALUES ($1, $2, $3, '{}')", "gone", day, NOW)
    async with house.leading():
        await house.counted_since(0)
        assert await house.pool.fetchval(old) == 1
        await house.counted_since(10)
        while await house.pool.fetchval(old):  # noqa: ASYNC110 - only the row tells
            await asyncio.sleep(0.01)


async def test_without_grace_the_first_run_acts(house: House) -> None:
    await house.hygiene.run(app())
    assert await house.states() == CARRIED_OUT
