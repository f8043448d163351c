"""The change feed on PostgreSQL: in order, without gaps, deleted from its old end only.

Tests of other processes share the server, and their transactions hold the feed back: what was
committed is waited for, and what must not come yet never comes by their doing.
"""

import asyncio
from datetime import datetime, timedelta

import pytest

from nuncio_registry.domain.model import Change, ChangeKind, Platform
from nuncio_registry.domain.ports.feed import FeedEvent, FeedPage, Position
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Connection, Pool
from nuncio_registry.storage.feed import PostgresChangeFeed, Q
from nuncio_registry.storage.history import record_changes
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, app, key, registration

# The feed waits for the oldest transaction of the server, and so for those of other tests.
pytestmark = pytest.mark.timeout(60)

OTHER_APP = "com.example.other"
PAGE = 1000
HOUR = timedelta(hours=1)


@pytest.fixture
def feed(pool: Pool) -> PostgresChangeFeed:
    """The port under test."""
    return PostgresChangeFeed(pool)


async def add(connection: Connection, *numbers: int, app_id: str = APP, at: datetime = NOW) -> None:
    """Append an event of each installation."""
    changes = [Change(key(number), ChangeKind.ROTATED, Platform.IOS) for number in numbers]
    await record_changes(connection, app_id, changes, now=at)


async def commit(pool: Pool, *numbers: int, app_id: str = APP, at: datetime = NOW) -> None:
    """The same, in a transaction of its own."""
    async with pool.acquire() as connection, connection.transaction():
        await add(connection, *numbers, app_id=app_id, at=at)


async def page_of(
    feed: PostgresChangeFeed, after: Position | None = None, *, limit: int = PAGE
) -> FeedPage:
    """A page that there has to be."""
    page = await feed.read(APP, after=after, limit=limit)
    assert page is not None
    return page


async def committed(
    feed: PostgresChangeFeed, count: int, after: Position | None = None
) -> list[FeedEvent]:
    """The events after the position, once there are so many."""
    async with asyncio.timeout(8):
        while len((page := await page_of(feed, after)).events) < count:
            pass
    return list(page.events)


def numbers(events: list[FeedEvent]) -> list[int]:
    return [event.installation_id.int for event in events]


async def test_a_transaction_that_commits_late_is_waited_for(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    await commit(pool, 1)
    (first,) = await committed(feed, 1)
    async with pool.acquire() as slow:
        late = slow.transaction()
        await late.start()
        await add(slow, 2, 3)
        await commit(pool, 4)
        assert await page_of(feed, first.position) == FeedPage((), first.position)
        assert numbers(list((await page_of(feed)).events)) == [1]
        assert await feed.newest(APP) == first.position
        await late.commit()
    assert numbers(await committed(feed, 3, first.position)) == [2, 3, 4]


async def test_a_transaction_that_is_rolled_back_holds_nothing_back(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    async with pool.acquire() as slow:
        late = slow.transaction()
        await late.start()
        await add(slow, 1)
        await commit(pool, 2)
        await late.rollback()
    assert numbers(await committed(feed, 1)) == [2]


async def test_a_reader_beside_many_writers_gets_each_event_once_and_in_order(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    writers, rounds, each = 6, 15, 3

    async def write(writer: int) -> None:
        for turn in range(rounds):
            async with pool.acquire() as connection, connection.transaction():
                for part in range(each):
                    await add(connection, (writer * rounds + turn) * each + part)
                    for _ in range((writer + turn + part) % 5):
                        await asyncio.sleep(0)

    async def read() -> list[FeedEvent]:
        seen: list[FeedEvent] = []
        position = None
        while len(seen) < writers * rounds * each:
            page = await page_of(feed, position, limit=7)
            seen += page.events
            position = page.position
        return seen

    async with asyncio.timeout(9), asyncio.TaskGroup() as group:
        reading = group.create_task(read())
        for writer in range(writers):
            group.create_task(write(writer))
    seen = reading.result()
    assert sorted(numbers(seen)) == list(range(writers * rounds * each))
    positions = [event.position for event in seen]
    assert positions == sorted(set(positions))


async def test_a_page_ends_where_its_limit_says_and_the_next_goes_on(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    await commit(pool, 1, 2, 3)
    await commit(pool, 4, 5)
    await committed(feed, 5)
    first = await page_of(feed, limit=2)
    second = await page_of(feed, first.position, limit=2)
    third = await page_of(feed, second.position, limit=2)
    pages = [numbers(list(page.events)) for page in (first, second, third)]
    assert pages == [[1, 2], [3, 4], [5]]


async def test_events_tell_what_happened_and_how_the_installation_is_now(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    await register(pool, [registration(1, user_id="ada"), registration(2)])
    await pool.execute("DELETE FROM installation WHERE installation_id = $1", key(2))
    changes = [
        Change(key(1), ChangeKind.CONSENT_CHANGED, Platform.IOS, 2, "news"),
        Change(key(2), ChangeKind.DELETED, Platform.IOS),
    ]
    async with pool.acquire() as connection:
        await record_changes(connection, APP, changes, now=NOW + HOUR)
    *_, consent, deleted = await committed(feed, 4)
    assert consent[1:6] == (key(1), ChangeKind.CONSENT_CHANGED, 2, "news", NOW + HOUR)
    assert consent.installation is not None
    assert consent.installation.user_id == "ada"
    assert (deleted.installation_id, deleted.installation) == (key(2), None)


async def test_an_app_has_a_feed_of_its_own(pool: Pool, feed: PostgresChangeFeed) -> None:
    await PostgresApps(pool).create(app(OTHER_APP))
    await commit(pool, 1, app_id=OTHER_APP)
    await commit(pool, 2)
    (event,) = await committed(feed, 1)
    assert event.installation_id == key(2)
    assert (await feed.newest(APP)) == event.position
    assert (await feed.newest("nobody")) == (0, 0)


async def count_up_to(pool: Pool, position: Position) -> None:
    """The statistics have counted so far."""
    await pool.execute(
        "INSERT INTO bookmark VALUES ($1, 'flow', $2, $3)"
        " ON CONFLICT (app_id, name) DO UPDATE SET transaction_id = $2, change_id = $3",
        APP,
        *position,
    )


async def test_what_is_old_and_counted_is_deleted_in_order(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    for hours in range(5):
        await commit(pool, hours, at=NOW + hours * HOUR)
    events = await committed(feed, 5)
    before = NOW + 4 * HOUR
    assert await feed.delete_before(APP, time=before, limit=PAGE) == 0
    await count_up_to(pool, events[2].position)
    assert await feed.delete_before(APP, time=before, limit=2) == 2
    assert await feed.delete_before(APP, time=before, limit=2) == 1
    assert await feed.delete_before(APP, time=before, limit=2) == 0
    await count_up_to(pool, events[4].position)
    assert await feed.delete_before(APP, time=before, limit=PAGE) == 1
    assert numbers(list((await page_of(feed)).events)) == [4]
    assert await feed.delete_before("nobody", time=before, limit=PAGE) == 0


async def test_what_comes_after_a_young_event_stays_with_it(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    for number, hours in enumerate((0, 2, 0)):
        await commit(pool, number, at=NOW + hours * HOUR)
    events = await committed(feed, 3)
    await count_up_to(pool, events[2].position)
    assert await feed.delete_before(APP, time=NOW + HOUR, limit=PAGE) == 1
    assert numbers(list((await page_of(feed)).events)) == [1, 2]


async def test_a_position_is_good_until_an_event_after_it_is_deleted(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    for hours in range(3):
        await commit(pool, hours, at=NOW + hours * HOUR)
    events = await committed(feed, 3)
    await count_up_to(pool, events[2].position)
    await feed.delete_before(APP, time=NOW + 2 * HOUR, limit=PAGE)
    assert await feed.read(APP, after=events[0].position, limit=PAGE) is None
    assert await feed.read(APP, after=Position(0, 0), limit=PAGE) is None
    assert numbers(list((await page_of(feed, events[1].position)).events)) == [2]
    await feed.delete_before(APP, time=NOW + 3 * HOUR, limit=PAGE)
    assert await page_of(feed) == FeedPage((), events[2].position)
    assert await feed.newest(APP) == events[2].position


async def test_a_position_of_another_life_of_the_database_is_not_good(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    await commit(pool, 1)
    (event,) = await committed(feed, 1)
    ahead = event.position.transaction_id + 1_000_000
    assert await feed.read(APP, after=Position(ahead, 1), limit=PAGE) is None


async def test_erasing_and_deleting_the_same_events_settle(
    pool: Pool, feed: PostgresChangeFeed
) -> None:
    await commit(pool, *range(200))
    events = await committed(feed, 200)
    await count_up_to(pool, events[-1].position)

    async def erase() -> None:
        for number in reversed(range(200)):
            await pool.execute("DELETE FROM change WHERE installation_id = $1", key(number))

    erasing = asyncio.create_task(erase())
    while await feed.delete_before(APP, time=NOW + HOUR, limit=20):
        pass
    await erasing
    assert await pool.fetchval("SELECT count(*) FROM change") == 0


FILL = """
INSERT INTO change (app_id, transaction_id, change_id, installation_id, kind, platform, happened_at)
SELECT CASE WHEN n % 2 = 0 THEN 'shop' ELSE 'other' END, (n / 4 + 3)::text::xid8, n,
       md5(n::text)::uuid, 1, 1, $1
  FROM generate_series(1, 40000) AS n
"""


QUERIES = [
    ("has_news", "'shop', '9000', 0"),
    ("read_changes", "'shop', '9000', 0, 100"),
    ("read_changes", "'shop', NULL, NULL, 100"),
    ("newest_change", "'shop'"),
    ("oldest_changes", "'shop', now(), 100"),
    ("delete_changes", "'shop', '0', 0, '100', 0"),
]


@pytest.mark.parametrize("mode", ["force_custom_plan", "force_generic_plan"])
async def test_no_read_and_no_deletion_scans_the_feed(pool: Pool, mode: str) -> None:
    await pool.execute(FILL, NOW)
    await pool.execute("ANALYZE change")
    async with pool.acquire() as connection:
        await connection.execute(f"SET plan_cache_mode = {mode}")
        for query, arguments in QUERIES:
            await connection.execute(f"PREPARE looked_at AS {getattr(Q, query)}")
            lines = await connection.fetch(f"EXPLAIN EXECUTE looked_at ({arguments})")
            await connection.execute("DEALLOCATE looked_at")
            plan = "\n".join(line[0] for line in lines)
            assert ("$1" in plan) is (mode == "force_generic_plan")
            assert "change_15_pkey" in plan
            assert "Seq Scan on change_" not in plan
