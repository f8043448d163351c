"""Selection on PostgreSQL: how far it reads ahead, what it holds on to, which tokens are lost."""

import asyncio
from contextlib import aclosing
from datetime import timedelta

from structlog.testing import capture_logs

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.keys import KeySpan
from nuncio_registry.domain.model import Suppression
from nuncio_registry.domain.ports.selection import SelectedRows, Selection
from nuncio_registry.domain.sealing import KeyRing
from nuncio_registry.domain.select import Select, TargetPage
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.selection import PostgresSelections
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, key, key_ring, registration


class Watched(PostgresSelections):
    """Tells how many pages were read."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.read = asyncio.Semaphore(0)
        self.pages = 0

    async def scan(self, selection: Selection, *, limit: int, keys: int) -> SelectedRows:
        page = await super().scan(selection, limit=limit, keys=keys)
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


async def pages_of(pool: Pool, keys: KeyRing, *, page_size: int) -> list[TargetPage]:
    clock = ManualClock(NOW + timedelta(seconds=1))
    apps = Apps(PostgresApps(pool), clock)
    select = Select(PostgresSelections(pool), apps, keys=keys, clock=clock)
    pages = select.pages(APP, None, purpose="", span=KeySpan(), page_size=page_size)
    return [page async for page in pages]


DAMAGE = """
UPDATE installation
   SET token_sealed = set_byte(token_sealed, 20, 255 - get_byte(token_sealed, 20))
 WHERE installation_id = $1
"""


async def test_a_damaged_token_counts_as_inactive_and_the_others_are_targets(pool: Pool) -> None:
    rows = [registration(number, f"{number:02x}" * 32) for number in range(1, 6)]
    await register(pool, rows)
    await pool.execute(DAMAGE, key(2))
    await pool.execute(DAMAGE, key(3))
    with capture_logs() as logs:
        first, second = await pages_of(pool, key_ring(), page_size=4)
    assert first.installation_ids == key(1).bytes + key(4).bytes
    assert first.tokens == [b"01" * 32, b"04" * 32]
    assert len(first.token_refs) == 32
    assert len(first.platforms) == len(first.providers) == len(first.environments) == 2
    assert len(first.registered_at) == 2
    assert first.suppressed == {Suppression.INACTIVE_TOKEN: 2}
    assert (first.unreadable, second.unreadable) == (2, 0)
    assert second.tokens == [b"05" * 32]
    (event,) = logs
    assert (event["event"], event["log_level"]) == ("tokens_unreadable", "error")
    assert (event["count"], event["key_ids"]) == (2, [1])


async def test_tokens_whose_key_is_lost_count_as_inactive_until_they_register(pool: Pool) -> None:
    rows = [registration(number) for number in range(1, 4)]
    await register(pool, rows)
    (page,) = await pages_of(pool, key_ring(2), page_size=3)
    assert (page.tokens, page.suppressed) == ([], {Suppression.INACTIVE_TOKEN: 3})
    await register(pool, rows[:2], keys=key_ring(2))
    (page,) = await pages_of(pool, key_ring(2), page_size=3)
    assert page.installation_ids == key(1).bytes + key(2).bytes
    assert page.suppressed == {Suppression.INACTIVE_TOKEN: 1}
