"""The contract of AppStore, on PostgreSQL; and what deleting an app leaves behind."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from nuncio_registry.domain.apps import CLEARED_AT_ONCE, TRUSTED_FOR, Apps, Policies
from nuncio_registry.domain.errors import AppExists, AppNotEmpty, AppNotFound
from nuncio_registry.domain.model import App, ConsentChange, ConsentState, Facts
from nuncio_registry.domain.ports.apps import Deletion
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.statistics import PostgresStatistics
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.errors import InvalidField
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, app, registration
from tests.unit.registry.test_tally import tally_of

DAY = timedelta(days=1)
TABLES = ("installation", "live_token", "consent_event", "change", "invalidation", "stock", "flow")


async def rows_left(pool: Pool) -> dict[str, int]:
    """The tables that have rows of the app, and how many."""
    counts = {
        table: await pool.fetchval(
            f"SELECT count(*) FROM {table} WHERE app_id = $1",  # noqa: S608 - our own tables
            APP,
        )
        for table in TABLES
    }
    return {table: count for table, count in counts.items() if count}


async def empty(pool: Pool) -> None:
    """The app's installations go, and what hangs on them stays."""
    await pool.execute("DELETE FROM installation")


async def test_an_app_keeps_its_policies(pool: Pool) -> None:
    store = PostgresApps(pool)
    shop = replace(
        app("shop"), stale_after=DAY, expire_after=2 * DAY, retention=3 * DAY, display_name="S"
    )
    assert await store.create(shop) == shop
    assert await store.get("shop") == shop
    assert shop in await store.page(after="", limit=10)
    assert await store.create(replace(shop, retention=4 * DAY)) == shop


async def test_an_update_sees_what_another_one_stored(pool: Pool) -> None:
    store = PostgresApps(pool)

    def longer(old: App) -> App:
        return replace(old, retention=old.retention + DAY)

    await asyncio.gather(*(store.update(APP, longer) for _ in range(10)))
    stored = await store.get(APP)
    assert stored == replace(app(), retention=app().retention + 10 * DAY)


async def test_a_refused_update_changes_nothing(pool: Pool) -> None:
    apps = Apps(PostgresApps(pool), ManualClock(NOW))
    with pytest.raises(InvalidField):
        await apps.update(APP, display_name="New", policies=Policies(stale_after=300 * DAY))
    assert await apps.get(APP) == app()


async def test_an_unknown_app_is_not_updated(pool: Pool) -> None:
    assert await PostgresApps(pool).update("nobody", lambda old: old) is None


async def test_an_app_with_installations_is_not_deleted(pool: Pool) -> None:
    await register(pool, [registration()])
    assert await PostgresApps(pool).delete(APP) is Deletion.NOT_EMPTY
    with pytest.raises(AppNotEmpty):
        await Apps(PostgresApps(pool), ManualClock(NOW)).delete(APP)
    assert await rows_left(pool) == {"installation": 1, "live_token": 1, "change": 1}


async def test_a_deleted_app_takes_everything_with_it(pool: Pool) -> None:
    statistics = PostgresStatistics(pool)
    apps = Apps(PostgresApps(pool), ManualClock(NOW))
    consents = (ConsentChange("news", ConsentState.GRANTED),)
    await register(pool, [registration(n, consents=consents) for n in range(3)])
    await statistics.roll_up(APP, limit=10)
    await statistics.put_stock(APP, NOW.date(), tally_of([]).stock(NOW))
    await empty(pool)
    assert await apps.delete(APP) is True
    assert await rows_left(pool) == {}
    assert await pool.fetchval("SELECT count(*) FROM bookmark WHERE name = 'flow'") == 0
    assert await apps.delete(APP) is False
    with pytest.raises(AppNotFound):
        await apps.require(APP)


async def test_clearing_is_done_in_batches(pool: Pool) -> None:
    store = PostgresApps(pool)
    await register(pool, [registration(n, facts=Facts()) for n in range(5)])
    await empty(pool)
    await store.delete(APP)
    # Five changes, and five tokens whose owners are gone.
    assert [await store.clear(APP, limit=2) for _ in range(4)] == [4, 4, 2, 0]


async def test_an_app_that_is_there_is_never_cleared(pool: Pool) -> None:
    store = PostgresApps(pool)
    await register(pool, [registration()])
    assert await store.clear(APP, limit=CLEARED_AT_ONCE) == 0
    assert await rows_left(pool) == {"installation": 1, "live_token": 1, "change": 1}


async def test_what_came_in_on_trust_can_be_cleared_until_the_app_is_back(pool: Pool) -> None:
    store = PostgresApps(pool)
    await store.delete(APP)
    assert await store.deleted() == [APP]
    await pool.execute(
        "INSERT INTO change SELECT $1, '1', 1, gen_random_uuid(), 1, 1, 0, '', $2", APP, NOW
    )
    assert await store.clear(APP, limit=10) == 1
    await store.create(app())
    assert await store.deleted() == []


async def test_an_app_is_trusted_for_half_a_minute(pool: Pool) -> None:
    clock = ManualClock(NOW)
    here, elsewhere = Apps(PostgresApps(pool), clock), Apps(PostgresApps(pool), clock)
    await here.require(APP)
    await elsewhere.require(APP)
    await here.delete(APP)
    with pytest.raises(AppNotFound):
        await here.require(APP)
    clock.advance(TRUSTED_FOR)
    await elsewhere.require(APP)
    clock.advance(1)
    with pytest.raises(AppNotFound):
        await elsewhere.require(APP)


async def test_policies_are_content(pool: Pool) -> None:
    apps = Apps(PostgresApps(pool), ManualClock(NOW))
    await apps.create(app_id="shop", display_name="", policies=Policies())
    await apps.create(app_id="shop", display_name="", policies=Policies(retention=90 * DAY))
    with pytest.raises(AppExists):
        await apps.create(app_id="shop", display_name="", policies=Policies(retention=DAY))
