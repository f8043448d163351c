"""Selection on PostgreSQL: how far it reads ahead, and what it holds on to."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.keys import KeySpan
from nuncio_registry.domain.ports import SelectedRows, Selection
from nuncio_registry.domain.select import Select
from nuncio_registry.storage.postgres import Pool, PostgresApps, PostgresInstallations
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, key_ring, registration


class Watched(PostgresInstallations):
    """Tells how many pages were read."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.read = asyncio.Semaphore(0)
        self.pages = 0

    async def select(self, selection: Selection, *, limit: int) -> SelectedRows | None:
        page = await super().select(selection, limit=limit)
        self.pages += 1
        self.read.release()
        return page


async def test_one_page_is_read_ahead_and_never_two(pool: Pool) -> None:
    await register(pool, [registration(number) for number in range(1, 6)])
    watched = Watched(pool)
    clock = ManualClock(NOW + timedelta(seconds=1))
    select = Select(watched, Apps(PostgresApps(pool), clock), keys=key_ring(), clock=clock)
    pages = select.pages(APP, None, purpose="", span=KeySpan(), page_size=1)
    async with aclosing(pages):
        for taken in (1, 2, 3):
            await anext(pages)
            # The page itself was awaited; the one ahead comes by itself, and then nothing does.
            async with asyncio.timeout(5):
                while watched.pages < taken + 1:
                    await watched.read.acquire()
            await pool.fetchval("SELECT 1")
            assert watched.pages == taken + 1
    assert pool.get_idle_size() == pool.get_size()
