"""How far the change feed and what is counted of it are behind, and how the leader shows it."""

import asyncio
from datetime import timedelta

import pytest

from nuncio_registry.domain.statistics import RollUp
from nuncio_registry.metrics import PrometheusMeter
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.statistics import PostgresStatistics, Q
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.metrics import REGISTRY
from tests.storage.registry.registering import changes_in_sight, register
from tests.unit.registry.builders import APP, NOW, app, registration

MINUTE = timedelta(minutes=1)


class House:
    """The leader's count, at the time NOW."""

    def __init__(self, pool: Pool) -> None:
        self.statistics = PostgresStatistics(pool)
        self.roll_up = RollUp(
            self.statistics,
            PostgresApps(pool),
            ManualClock(NOW),
            every=timedelta(seconds=5),
            gauge=PrometheusMeter(),
        )


@pytest.fixture
def house(pool: Pool) -> House:
    return House(pool)


def shown() -> tuple[float | None, float | None]:
    """Seconds: not counted, and held back."""
    return (
        REGISTRY.get_sample_value("registry_statistics_behind_seconds"),
        REGISTRY.get_sample_value("registry_feed_held_back_seconds"),
    )


async def test_what_is_committed_and_not_counted_waits_for_the_count(
    pool: Pool, house: House
) -> None:
    assert await house.statistics.waiting(APP) == (None, None)
    await register(pool, [registration(1)], now=NOW - 3 * MINUTE)
    await register(pool, [registration(2)], now=NOW - MINUTE)
    await changes_in_sight(pool)
    assert await house.statistics.waiting(APP) == (NOW - 3 * MINUTE, None)
    assert await house.statistics.roll_up(APP, limit=1) == 1
    assert await house.statistics.waiting(APP) == (NOW - MINUTE, None)
    assert await house.statistics.roll_up(APP, limit=1) == 1
    assert await house.statistics.waiting(APP) == (None, None)


async def test_what_an_open_transaction_holds_back_waits_for_its_end(
    pool: Pool, house: House
) -> None:
    await register(pool, [registration(1)], now=NOW - 9 * MINUTE)
    await changes_in_sight(pool)
    async with pool.acquire() as forgotten, forgotten.transaction():
        await forgotten.execute("SELECT pg_current_xact_id()")
        await register(pool, [registration(2)], now=NOW - 5 * MINUTE)
        await register(pool, [registration(3)], now=NOW - MINUTE)
        waiting = await house.statistics.waiting(APP)
        assert waiting == (NOW - 9 * MINUTE, NOW - 5 * MINUTE)
        while await house.statistics.roll_up(APP, limit=100):
            pass
        waiting = await house.statistics.waiting(APP)
        assert waiting == (NOW - 5 * MINUTE, NOW - 5 * MINUTE)
    await changes_in_sight(pool)
    assert await house.statistics.waiting(APP) == (NOW - 5 * MINUTE, None)


async def test_the_leader_shows_the_worst_of_all_apps(pool: Pool, house: House) -> None:
    for quiet in ("a", "z"):  # They come before it, and after it.
        await PostgresApps(pool).create(app(quiet))
    await register(pool, [registration(1)], now=NOW - 9 * MINUTE)
    await changes_in_sight(pool)
    async with pool.acquire() as forgotten, forgotten.transaction():
        await forgotten.execute("SELECT pg_current_xact_id()")
        await register(pool, [registration(2)], now=NOW - 5 * MINUTE)
        assert await house.roll_up.count()
        assert shown() == (9 * 60, 5 * 60)
        assert await house.roll_up.count()
        assert shown() == (5 * 60, 5 * 60)
    await changes_in_sight(pool)
    assert await house.roll_up.count()  # It shows what there was before it counted.
    assert await house.roll_up.count()
    assert shown() == (0, 0)


async def test_who_gives_up_the_lead_shows_nothing(pool: Pool, house: House) -> None:
    async with pool.acquire() as forgotten, forgotten.transaction():
        await forgotten.execute("SELECT pg_current_xact_id()")
        await register(pool, [registration(1)], now=NOW - MINUTE)
        leading = asyncio.create_task(house.roll_up.keep_counting())
        while shown() != (60, 60):  # noqa: ASYNC110 - only the metric tells
            await asyncio.sleep(0.01)
        leading.cancel()
        await asyncio.gather(leading, return_exceptions=True)
    assert shown() == (0, 0)


async def test_asking_is_a_look_into_an_index(pool: Pool) -> None:
    await register(pool, [registration(n) for n in range(500)])
    await pool.execute("ANALYZE change")
    found = await pool.fetch(f"EXPLAIN (COSTS OFF) {Q.waiting}", APP)
    plan = "\n".join(row[0] for row in found)
    assert "Seq Scan on change" not in plan, plan
    assert "Sort\n" not in plan, plan
