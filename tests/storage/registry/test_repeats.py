"""The contract of Registrations.move_times_on."""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.hygiene import PostgresHygiene
from tests.storage.registry.registering import register
from tests.storage.registry.repeating import (
    HOUR,
    LATER,
    OTHER_HASH,
    die,
    moved,
    repeat,
    reseal,
    rows,
    told,
)
from tests.unit.registry.builders import APP, NOW, app, hex_token, key

# For the connection that asks.
WAITING = """
    SELECT EXISTS (
      SELECT FROM pg_locks
       WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
    )
"""


async def history(pool: Pool) -> tuple[int, int]:
    """How long ledger and feed are."""
    ledger = await pool.fetchval("SELECT count(*) FROM consent_event")
    return ledger, await pool.fetchval("SELECT count(*) FROM change")


async def test_what_repeats_moves_three_times_and_nothing_else(pool: Pool) -> None:
    await register(pool, [told(1), told(2)])
    before, history_before = await rows(pool), await history(pool)
    assert await moved(pool, repeat(1)) == {0: LATER}
    after = await rows(pool)
    times = dict.fromkeys(("registered_at", "observed_at", "last_seen_at"), LATER)
    assert after[1] == before[1] | times
    assert after[2] == before[2]
    assert await history(pool) == history_before


async def test_times_that_are_told_are_stored_as_told(pool: Pool) -> None:
    await register(pool, [told()])
    observed, seen = NOW + timedelta(minutes=1), NOW + timedelta(minutes=2)
    assert await moved(pool, repeat(observed=observed, seen=seen)) == {0: LATER}
    row = (await rows(pool))[1]
    assert (row["registered_at"], row["observed_at"], row["last_seen_at"]) == (
        LATER,
        observed,
        seen,
    )


async def test_who_was_observed_at_the_very_time_that_is_stored_is_not_late(pool: Pool) -> None:
    await register(pool, [told()])
    assert await moved(pool, repeat(observed=NOW)) == {0: LATER}


async def test_times_never_go_back(pool: Pool) -> None:
    """Neither for a replica whose clock is behind, nor for a client that tells of long ago."""
    await register(pool, [told()], now=LATER)
    before = await rows(pool)
    assert await moved(pool, repeat(seen=NOW - HOUR), now=NOW) == {0: LATER}
    assert await rows(pool) == before


async def expire(pool: Pool) -> None:
    assert await PostgresHygiene(pool).expire(APP, [key(1)], before=LATER, now=NOW) == 1


async def other_content(pool: Pool) -> None:
    await pool.execute("UPDATE installation SET content_hash = $1", OTHER_HASH)


async def unknown_content(pool: Pool) -> None:
    await pool.execute("UPDATE installation SET content_hash = NULL")


async def observe_later(pool: Pool) -> None:
    await pool.execute("UPDATE installation SET observed_at = $1", LATER)


@pytest.mark.parametrize(
    "spoil", [die, expire, reseal, other_content, unknown_content, observe_later]
)
async def test_what_does_not_only_repeat_is_left_alone(
    pool: Pool, spoil: Callable[[Pool], Awaitable[None]]
) -> None:
    await register(pool, [told(1)])
    await spoil(pool)
    before = await rows(pool)
    assert await moved(pool, repeat(1, observed=LATER - timedelta(microseconds=1))) == {}
    assert await rows(pool) == before


async def test_whose_token_moved_to_another_is_left_alone(pool: Pool) -> None:
    token = hex_token()
    await register(pool, [told(1, token)])
    await register(pool, [told(2, token)])
    before = await rows(pool)
    assert await moved(pool, repeat(1), repeat(2)) == {1: LATER}
    assert (await rows(pool))[1] == before[1]


async def test_others_are_left_alone(pool: Pool) -> None:
    """Those nobody knows, and those of another app."""
    await register(pool, [told(1)])
    await PostgresApps(pool).create(app("other"))
    before = await rows(pool)
    assert await moved(pool, repeat(9)) == {}
    assert await moved(pool, repeat(1), app_id="other") == {}
    assert await rows(pool) == before


async def test_an_empty_page_moves_nothing(pool: Pool) -> None:
    """As one is of which all rows are bad."""
    assert await moved(pool) == {}


async def test_each_position_is_answered_for_itself(pool: Pool) -> None:
    await register(pool, [told(number) for number in range(1, 6)])
    await register(pool, [told(4)], now=LATER + HOUR)
    page = [repeat(5), repeat(9), repeat(1, OTHER_HASH), repeat(3), repeat(4)]
    assert await moved(pool, *page) == {0: LATER, 3: LATER, 4: LATER + HOUR}
    registered = {number: row["registered_at"] for number, row in (await rows(pool)).items()}
    assert registered == {1: NOW, 2: NOW, 3: LATER, 4: LATER + HOUR, 5: LATER}


async def test_of_an_installation_that_is_named_twice_one_position_is_answered(pool: Pool) -> None:
    """The other one goes the whole way."""
    await register(pool, [told(1)])
    answered = await moved(pool, repeat(1), repeat(1))
    assert list(answered.values()) == [LATER]
    assert (await rows(pool))[1]["registered_at"] == LATER


async def test_a_change_that_is_committed_meanwhile_is_seen(pool: Pool) -> None:
    """The row was locked when it was found; what counts is what it is when the lock is gone."""
    await register(pool, [told(1)])
    async with pool.acquire() as other:
        await other.execute("BEGIN; UPDATE installation SET content_hash = NULL")
        moving = asyncio.create_task(moved(pool, repeat(1)))
        while not await other.fetchval(WAITING):
            pass
        await other.execute("COMMIT")
    assert await moving == {}
    assert (await rows(pool))[1]["registered_at"] == NOW


async def test_pages_in_each_others_way_fail_no_caller(pool: Pool) -> None:
    """Whoever is in a circle has moved nothing, and goes the whole way."""
    numbers = range(1, 201)
    await register(pool, [told(number) for number in numbers])
    pages = [[repeat(number) for number in numbers[:: -1 if n % 2 else 1]] for n in range(8)]
    answers = await asyncio.gather(*(moved(pool, *page) for page in pages))
    assert {len(answer) for answer in answers} <= {0, len(numbers)}
    assert any(answers)
