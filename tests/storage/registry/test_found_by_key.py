"""Pages find their rows by key, on tables so small that the planner would read them whole."""

from collections.abc import Awaitable, Callable
from datetime import timedelta
from uuid import uuid4

import pytest

from nuncio_registry.domain.model import ConsentChange, ConsentState, DeadToken
from nuncio_registry.domain.ports.lifecycle import Window
from nuncio_registry.domain.ports.privacy import Erasure, ErasureSubject
from nuncio_registry.domain.ports.sealed import Resealed
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.feed import PostgresChangeFeed
from nuncio_registry.storage.hygiene import PostgresHygiene
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_registry.storage.privacy import PostgresPersonalData
from nuncio_registry.storage.sealed import PostgresSealedTokens
from nuncio_registry.storage.statistics import PostgresStatistics
from tests.storage.registry.registering import changes_in_sight, register
from tests.unit.registry.builders import APP, NOW, hex_token, key, key_ring, registration

SECOND = timedelta(seconds=1)
LATER = NOW + timedelta(days=1)
IDS = [key(n) for n in range(1, 41)]
CONSENT = ConsentChange("news", ConsentState.GRANTED)
ROWS = [
    registration(n, hex_token(), user_id="ada" if n % 4 == 0 else None, consents=(CONSENT,))
    for n in range(1, 41)
]

# Of partitions alone: other tables are small for ever.
SCANS = r"SELECT relname, seq_scan FROM pg_stat_user_tables WHERE relname ~ '_\d+$'"


def proof() -> Erasure:
    return Erasure(uuid4(), APP, ErasureSubject.USER, b"h" * 16, {}, "operator", NOW)


async def scans(pool: Pool) -> dict[str, int]:
    """How often each partition was read as a whole."""
    await pool.execute("SELECT pg_stat_force_next_flush()")
    return {row["relname"]: row["seq_scan"] for row in await pool.fetch(SCANS)}


async def die(pool: Pool, *, number: int = 40) -> None:
    dead = [
        DeadToken(row.installation_id, key_ring().hash(row.provider, row.token)[:16], NOW, "Gone")
        for row in ROWS[:number]
    ]
    await PostgresLifecycle(pool).invalidate(APP, dead, now=NOW)


async def restore(pool: Pool) -> None:
    window = Window(NOW - SECOND, NOW + SECOND)
    await PostgresLifecycle(pool).restore(APP, window, after=None, limit=40, now=NOW, dry_run=False)


async def expire(pool: Pool) -> None:
    assert await PostgresHygiene(pool).expire(APP, IDS, before=LATER, now=LATER) == len(IDS) // 2


async def delete(pool: Pool) -> None:
    assert await PostgresHygiene(pool).delete(APP, IDS, before=LATER, now=LATER) == len(IDS) // 2


async def delete_invalidations(pool: Pool) -> None:
    hygiene = PostgresHygiene(pool)
    assert await hygiene.delete_invalidations(APP, before=LATER, limit=40) == len(IDS) // 2


async def erase_user(pool: Pool) -> None:
    erased = await PostgresPersonalData(pool).erase_user("ada", proof())
    assert erased.removed["installation"] == len(IDS) // 4


async def erase_installation(pool: Pool) -> None:
    erased = await PostgresPersonalData(pool).erase_installation(key(40), proof())
    assert erased.removed["installation"] == 1


async def merge(pool: Pool) -> None:
    installations = PostgresInstallations(pool)
    moved = await installations.merge_users(
        APP, from_user="ada", into_user="eve", limit=40, now=NOW
    )
    assert moved == len(IDS) // 4


async def reseal(pool: Pool) -> None:
    changed_since = [Resealed(APP, id_, b"before", b"anew") for id_ in IDS]
    assert await PostgresSealedTokens(pool).reseal(changed_since, key_id=2) == 0


async def delete_changes(pool: Pool) -> None:
    assert await PostgresChangeFeed(pool).delete_before(APP, time=LATER, limit=9) > 0


@pytest.mark.parametrize(
    "write",
    [
        die,
        restore,
        expire,
        delete,
        delete_invalidations,
        erase_user,
        erase_installation,
        merge,
        reseal,
        delete_changes,
    ],
)
async def test_a_page_reads_no_partition_as_a_whole(
    pool: Pool, write: Callable[[Pool], Awaitable[None]]
) -> None:
    await register(pool, ROWS)
    await die(pool, number=20)
    await changes_in_sight(pool)
    await PostgresStatistics(pool).roll_up(APP, limit=1000)
    await pool.execute("ANALYZE")
    before = await scans(pool)
    assert len(before) == 5 * 16
    await write(pool)
    assert await scans(pool) == before
