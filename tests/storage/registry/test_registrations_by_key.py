"""Repeated and first registrations read the rows that they are asked for, and no others."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import NamedTuple

import pytest

from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.registration import Q
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.repeating import moved, repeat, told
from tests.storage.registry.roads import Pools, open_pools, road
from tests.unit.registry.builders import APP, NOW, app, hex_token, registration

ASKED = 30
SMALL, LARGE = 40, 2_000

# Of what registrations look at: rows of tables, and entries of the keys' indexes.
SCANS = r"""
    SELECT coalesce(sum(seq_scan), 0)::int AS seq_scans
      FROM pg_stat_user_tables WHERE relname ~ '^(installation|live_token)_\d+$'
"""
ENTRIES = r"""
    SELECT coalesce(sum(idx_scan), 0)::int AS idx_scans,
           coalesce(sum(idx_tup_read), 0)::int AS entries
      FROM pg_stat_user_indexes WHERE relname ~ '^(installation|live_token)_\d+$'
"""


class Reads(NamedTuple):
    """How often tables and indexes were read, and how many entries of indexes."""

    seq_scans: int
    idx_scans: int
    entries: int

    def since(self, before: "Reads") -> "Reads":
        return Reads(*(now - then for now, then in zip(self, before, strict=True)))


@pytest.fixture
async def pools() -> AsyncIterator[Pools]:
    """Connections to a database of its own that has the app of the tests."""
    async with open_pools() as opened:
        await PostgresApps(opened.main).create(app())
        yield opened


async def reads(pool: Pool) -> Reads:
    """So far, of this pool's one connection and of those that told theirs."""
    async with pool.acquire() as connection:
        await connection.execute("SELECT pg_stat_force_next_flush()")
        (seq_scans,) = await connection.fetchrow(SCANS) or (0,)
        idx_scans, entries = await connection.fetchrow(ENTRIES) or (0, 0)
    return Reads(seq_scans, idx_scans, entries)


async def fill(pools: Pools, count: int) -> None:
    """So many installations, which the pool under test did not see coming."""
    register = road(pools._replace(by_key=pools.main), ManualClock(NOW)).register
    for start in range(1, count + 1, 1000):
        page = [told(number) for number in range(start, min(start + 1000, count + 1))]
        assert len(await register.page(APP, page)) == len(page)
    await reads(pools.main)


async def repeat_some(pools: Pools) -> None:
    page = [repeat(number) for number in range(1, ASKED + 1)]
    assert len(await moved(pools.by_key, *page)) == ASKED


async def repeat_unknown(pools: Pools) -> None:
    page = [repeat(number) for number in range(100_001, 100_001 + ASKED)]
    assert await moved(pools.by_key, *page) == {}


async def register_new(pools: Pools) -> None:
    register = road(pools._replace(main=pools.by_key), ManualClock(NOW)).register
    page = [registration(number, hex_token()) for number in range(200_001, 200_001 + ASKED)]
    await register.page(APP, page)


@pytest.mark.parametrize("is_planned_before", [True, False])
@pytest.mark.parametrize("stored", [SMALL, LARGE])
@pytest.mark.parametrize(
    ("ask", "idx_scans", "entries"),
    [(repeat_some, ASKED, ASKED), (repeat_unknown, ASKED, 0), (register_new, 2 * ASKED, 0)],
)
async def test_only_what_is_asked_for_is_read(
    pools: Pools,
    ask: Callable[[Pools], Awaitable[None]],
    idx_scans: int,
    entries: int,
    *,
    stored: int,
    is_planned_before: bool,
) -> None:
    """Each row leads to one entry, whatever the planner thought when the statement was new."""
    if is_planned_before:
        await plan_on_empty_tables(pools)
    await fill(pools, stored)
    if not is_planned_before and stored > SMALL:
        # As the server does, which leaves smaller tables alone.
        await pools.main.execute("ANALYZE installation, live_token")
    before = await reads(pools.by_key)
    await ask(pools)
    assert (await reads(pools.by_key)).since(before) == Reads(0, idx_scans, entries)


async def plan_on_empty_tables(pools: Pools) -> None:
    """Often enough for the server to keep a plan."""
    for _ in range(6):
        await repeat_unknown(pools)
    for _ in range(6):
        assert (
            await pools.by_key.fetch(Q.create_installations, APP, NOW, (), (), (), (), 1, ()) == []
        )
