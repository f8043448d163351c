"""An app that is created under the id of a deleted one inherits nothing from it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.model import ConsentChange, ConsentState, Registration
from nuncio_registry.domain.ports.apps import Deletion
from nuncio_registry.domain.register import Register
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.feed import PostgresChangeFeed
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.registering import changes_in_sight, register
from tests.storage.registry.test_apps import empty, rows_left
from tests.unit.registry.builders import APP, NOW, app, hex_token, key_ring, registration

Trusting = Callable[[Registration], Awaitable[object]]


@pytest.fixture
async def trusting(pool: Pool) -> Trusting:
    """Registers at another replica, which saw the app a moment ago."""
    clock = ManualClock(NOW)
    apps = Apps(PostgresApps(pool), clock)
    await apps.require(APP)
    registrations = PostgresRegistrations(pool)
    guard = EndpointGuard(hosts=())
    use_case = Register(registrations, apps, keys=key_ring(), guard=guard, clock=clock)
    return lambda row: use_case.page(APP, [row])


@pytest.fixture
async def store(pool: Pool, trusting: Trusting) -> PostgresApps:
    """Its app was deleted, and then five registrations came in at the other replica."""
    store = PostgresApps(pool)
    assert await store.delete(APP) is Deletion.DELETED
    consents = (ConsentChange("news", ConsentState.GRANTED),)
    for number in range(5):
        await trusting(registration(number, consents=consents))
    assert (await rows_left(pool))["installation"] == 5
    return store


async def test_a_new_app_has_nothing_of_the_deleted_one(pool: Pool, store: PostgresApps) -> None:
    assert await store.create(app()) == app()
    assert await rows_left(pool) == {}
    assert await store.deleted() == []


async def test_an_app_that_is_created_twice_keeps_what_it_has(
    pool: Pool, store: PostgresApps
) -> None:
    await store.create(app())
    await register(pool, [registration(1)])
    there = await rows_left(pool)
    await store.create(app())
    assert await rows_left(pool) == there


async def test_the_feed_of_a_first_app_begins_at_the_beginning(pool: Pool) -> None:
    await PostgresApps(pool).create(app("shop"))
    assert await pool.fetchval("SELECT count(*) FROM bookmark") == 0


async def test_positions_of_the_deleted_app_expire(pool: Pool) -> None:
    feed, store = PostgresChangeFeed(pool), PostgresApps(pool)
    await register(pool, [registration(1)])
    await changes_in_sight(pool)
    before = await feed.newest(APP)
    await empty(pool)
    await store.delete(APP)
    await store.create(app())
    assert await feed.read(APP, after=before, limit=10) is None
    start = await feed.newest(APP)
    await register(pool, [registration(2)])
    await changes_in_sight(pool)
    for position in (start, None):
        page = await feed.read(APP, after=position, limit=10)
        assert page is not None
        assert [event.installation_id.int for event in page.events] == [2]


async def test_a_new_position_holds_while_an_older_transaction_runs(
    pool: Pool, store: PostgresApps
) -> None:
    feed = PostgresChangeFeed(pool)
    async with pool.acquire() as connection, connection.transaction():
        await connection.execute("SELECT pg_current_xact_id()")
        await store.create(app())
        start = await feed.newest(APP)
        page = await feed.read(APP, after=start, limit=10)
        assert page is not None
        assert page == ((), start)


async def test_a_token_that_came_in_on_trust_is_free(
    pool: Pool, store: PostgresApps, trusting: Trusting
) -> None:
    token = hex_token()
    await trusting(registration(7, token))
    await store.create(app())
    await register(pool, [registration(8, token)])
    ids = await pool.fetch("SELECT installation_id FROM installation")
    assert [row["installation_id"].int for row in ids] == [8]


async def test_registrations_meanwhile_are_whole_or_gone(
    pool: Pool, store: PostgresApps, trusting: Trusting
) -> None:
    async with asyncio.TaskGroup() as group:
        for number in range(30):
            group.create_task(_ignore(trusting(registration(number))))
            if number == 10:
                group.create_task(_ignore(store.create(app())))
    left = await rows_left(pool)
    assert left.get("installation", 0) == left.get("live_token", 0)
    with_history = """SELECT count(DISTINCT c.installation_id)
                        FROM change AS c JOIN installation AS i USING (app_id, installation_id)"""
    assert await pool.fetchval(with_history) == left.get("installation", 0)


async def _ignore(done: Awaitable[object]) -> None:
    await done
