"""The contract of StockScans and StatisticsStore, on PostgreSQL."""

import asyncio
from collections import Counter
from datetime import timedelta

import pytest

from nuncio_registry.domain.model import ChangeKind, ConsentChange, ConsentState, Facts
from nuncio_registry.domain.ports.statistics import Answers, Flow, OptIns, Prompts, Stock
from nuncio_registry.domain.statistics import RollUp
from nuncio_registry.metrics import PrometheusMeter
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.statistics import PostgresStatistics, PostgresStockScans, Q
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.registering import changes_in_sight, register
from tests.unit.registry.builders import APP, NOW, app, hex_token, key, registration

# The feed waits for the oldest transaction of the server, and so for those of other tests.
pytestmark = pytest.mark.timeout(60)

DAY = timedelta(days=1)
TODAY = NOW.date()
REGISTERED, ROTATED = ChangeKind.REGISTERED, ChangeKind.ROTATED
GRANTED, DENIED = ConsentState
FIRST, LAST = key(0), key(2**128 - 1)


@pytest.fixture
def statistics(pool: Pool) -> PostgresStatistics:
    """The port under test."""
    return PostgresStatistics(pool)


@pytest.fixture
def scans(pool: Pool) -> PostgresStockScans:
    """The port under test."""
    return PostgresStockScans(pool)


def stock(active: int, *, hour: int = 0) -> Stock:
    return Stock(
        counted_at=NOW + timedelta(hours=hour),
        installations=9,
        active=active,
        invalid=1,
        expired=2,
        replaced=3,
        stale=4,
        opt_ins=[OptIns(platform=1, app_version="1.0", active=3, permitted=2)],  # type: ignore[arg-type]
        prompts=[Prompts("news", "banner", 5, 6)],
        users={1: 7, 5: 8},
    )


async def plain(pool: Pool, *numbers: int, user_id: str | None = None) -> None:
    """Register these with nothing to tell of."""
    await register(pool, [registration(n, facts=Facts(), user_id=user_id) for n in numbers])


async def count_all(pool: Pool, statistics: PostgresStatistics, limit: int = 100) -> int:
    """Roll up until nothing is left; how many there were."""
    await changes_in_sight(pool)
    total = 0
    while counted := await statistics.roll_up(APP, limit=limit):
        total += counted
    return total


async def test_the_latest_answer_of_each_purpose_counts(
    pool: Pool, scans: PostgresStockScans
) -> None:
    def said(purpose: str, state: ConsentState, strategy: str) -> ConsentChange:
        return ConsentChange(purpose, state, prompt_strategy=strategy)

    token = hex_token()
    for consents in (
        [said("news", GRANTED, "banner"), said("ads", DENIED, "banner")],
        [said("news", DENIED, "settings")],
    ):
        await register(pool, [registration(1, token, consents=tuple(consents))])
    await register(pool, [registration(2, consents=(said("ads", DENIED, "banner"),))])
    answers = await scans.answers(APP, first=FIRST, last=LAST)
    assert sorted(answers) == [
        Answers("ads", "banner", DENIED, 2),
        Answers("news", "settings", DENIED, 1),
    ]
    assert await scans.answers(APP, first=key(2), last=key(2)) == [
        Answers("ads", "banner", DENIED, 1)
    ]
    assert await scans.answers(APP, first=key(3), last=LAST) == []


@pytest.mark.parametrize("limit", [1, 2, 3, 5, 100])
async def test_each_user_is_in_one_part(pool: Pool, scans: PostgresStockScans, limit: int) -> None:
    await plain(pool, 1, user_id="ada")
    await plain(pool, 2, 3, user_id="bob")
    await plain(pool, 4, 5, user_id="cleo")
    await plain(pool, 6)
    await plain(pool, 7, user_id="")
    await pool.execute("UPDATE installation SET token_state = 2 WHERE installation_id = $1", key(5))
    counted: Counter[int] = Counter()
    after = ""
    while part := await scans.users(APP, after=after, limit=limit):
        counted.update(part.by_number)
        after = part.cursor
        if part.is_last:
            break
    if limit > 1:  # Of a user with more installations than that, only so many are looked at.
        assert counted == {1: 2, 2: 1}
    assert counted.total() == 3


async def test_five_installations_and_more_are_one_number(
    pool: Pool, scans: PostgresStockScans
) -> None:
    await plain(pool, *range(7), user_id="ada")
    part = await scans.users(APP, after="", limit=100)
    assert part is not None
    assert part.by_number == {5: 1}
    assert await scans.users(APP, after=part.cursor, limit=100) is None


async def test_the_last_stock_of_a_day_stays(statistics: PostgresStatistics) -> None:
    assert await statistics.latest_stock(APP) is None
    await statistics.put_stock(APP, TODAY - DAY, stock(1, hour=-24))
    await statistics.put_stock(APP, TODAY, stock(2, hour=2))
    await statistics.put_stock(APP, TODAY, stock(3, hour=1))
    assert await statistics.latest_stock(APP) == stock(2, hour=2)
    assert await statistics.active_by_day(APP, since=TODAY - DAY) == {TODAY - DAY: 1, TODAY: 2}
    assert await statistics.active_by_day(APP, since=TODAY) == {TODAY: 2}


async def test_a_deleted_app_gets_no_statistics(pool: Pool, statistics: PostgresStatistics) -> None:
    await PostgresApps(pool).delete(APP)
    await statistics.put_stock(APP, TODAY, stock(1))
    assert await statistics.latest_stock(APP) is None
    assert await statistics.roll_up(APP, limit=10) == 0
    assert await pool.fetchval("SELECT count(*) FROM bookmark WHERE name = 'flow'") == 0


async def test_changes_are_counted_into_their_days(
    pool: Pool, statistics: PostgresStatistics
) -> None:
    await register(pool, [registration(1, facts=Facts())], now=NOW - DAY)
    consents = (ConsentChange("news", GRANTED), ConsentChange("ads", DENIED))
    rows = [registration(n, facts=Facts(), consents=consents) for n in (1, 2)]
    await register(pool, rows)
    assert await count_all(pool, statistics, limit=2) == 7
    assert sorted(await statistics.flows(APP, since=TODAY)) == [
        Flow(TODAY, REGISTERED, 0, 1),
        Flow(TODAY, ROTATED, 0, 1),
        Flow(TODAY, ChangeKind.CONSENT_CHANGED, GRANTED, 2),
        Flow(TODAY, ChangeKind.CONSENT_CHANGED, DENIED, 2),
    ]
    assert Flow(TODAY - DAY, REGISTERED, 0, 1) in await statistics.flows(APP, since=TODAY - DAY)


async def test_a_day_ends_at_midnight_in_utc(pool: Pool, statistics: PostgresStatistics) -> None:
    midnight = NOW.replace(hour=0)
    async with pool.acquire() as connection:
        await connection.execute("SET TimeZone = 'Asia/Tokyo'")
    await register(pool, [registration(1, facts=Facts())], now=midnight - timedelta(seconds=1))
    await register(pool, [registration(2, facts=Facts())], now=midnight)
    await count_all(pool, statistics)
    assert [flow.day for flow in sorted(await statistics.flows(APP, since=TODAY - DAY))] == [
        TODAY - DAY,
        TODAY,
    ]


async def test_each_change_is_counted_once_whoever_counts(
    pool: Pool, statistics: PostgresStatistics
) -> None:
    async def write(start: int) -> None:
        for n in range(start, start + 20):
            await plain(pool, n)

    async def count() -> int:
        return sum([await statistics.roll_up(APP, limit=3) for _ in range(20)])

    counted = await asyncio.gather(count(), count(), count(), write(0), write(100))
    rest = await count_all(pool, statistics)
    assert sum(filter(None, counted)) + rest == 40
    assert await statistics.flows(APP, since=TODAY) == [Flow(TODAY, REGISTERED, 0, 40)]


async def test_a_change_that_is_committed_late_is_counted(
    pool: Pool, statistics: PostgresStatistics
) -> None:
    """A writer that began before others and ends after them holds the count up, and is in it."""
    async with pool.acquire() as slow, slow.transaction():
        await slow.execute(
            """INSERT INTO change (app_id, installation_id, kind, platform, happened_at)
                   VALUES ($1, $2, 1, 1, $3)""",
            APP,
            key(1),
            NOW,
        )
        await plain(pool, 2)
        assert await statistics.roll_up(APP, limit=100) == 0
    assert await count_all(pool, statistics) == 2


async def test_what_failed_is_not_counted(pool: Pool, statistics: PostgresStatistics) -> None:
    """The position and the counts are stored together, or neither of them."""
    await plain(pool, 1, 2)
    await changes_in_sight(pool)
    await pool.execute("ALTER TABLE flow ADD CONSTRAINT none CHECK (count < 0) NOT VALID")
    with pytest.raises(Exception, match="none"):
        await statistics.roll_up(APP, limit=10)
    await pool.execute("ALTER TABLE flow DROP CONSTRAINT none")
    assert await count_all(pool, statistics) == 2


async def test_counting_reads_what_is_new_and_no_more(
    pool: Pool, statistics: PostgresStatistics
) -> None:
    await plain(pool, *range(1_000))
    await count_all(pool, statistics, limit=1_000)
    await plain(pool, *range(2_000, 2_005))
    await changes_in_sight(pool)
    await pool.execute("ANALYZE change")
    plan = await pool.fetch(f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {Q.count_changes}", APP, 100)
    text = "\n".join(row[0] for row in plan)
    assert "Merge Append (actual rows=5" in text, text
    assert "Seq Scan on change" not in text, text


async def test_what_is_wrong_with_one_app_leaves_the_counts_of_others(
    pool: Pool, statistics: PostgresStatistics
) -> None:
    store = PostgresApps(pool)
    await store.create(app("another"))
    await pool.execute("ALTER TABLE bookmark ADD CONSTRAINT broken CHECK (app_id <> 'another')")
    await plain(pool, 1)
    await changes_in_sight(pool)
    every, gauge = timedelta(seconds=5), PrometheusMeter()
    roll_up = RollUp(statistics, store, ManualClock(NOW), every=every, gauge=gauge)
    assert await roll_up.count() is False
    assert await statistics.flows(APP, since=TODAY) == [Flow(TODAY, REGISTERED, 0, 1)]
    await pool.execute("ALTER TABLE bookmark DROP CONSTRAINT broken")
    assert await roll_up.count() is True
