"""Repeats in the statement that stores first registrations: as they are without it."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from datetime import datetime
from uuid import UUID

import pytest

from nuncio_registry.domain.model import Registration
from nuncio_registry.domain.ports.registration import Repeat
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Q as Ownerships
from nuncio_registry.storage.registration import PostgresRegistrations, Q
from tests.storage.registry.creating import KEYS, begin, new_rows, until_somebody_waits
from tests.storage.registry.repeating import LATER, OTHER_HASH, repeat, told
from tests.storage.registry.roads import Pools, open_pools, tables_of
from tests.unit.registry.builders import APP, NOW, app, hex_token, key, registration


@pytest.fixture
async def pools() -> AsyncIterator[Pools]:
    """Connections to a database of its own that has the app of the tests."""
    async with open_pools() as opened:
        await PostgresApps(opened.main).create(app())
        yield opened


async def beside(
    pools: Pools, rows: Sequence[Registration], repeats: Sequence[Repeat], now: datetime = LATER
) -> tuple[Collection[UUID], Mapping[int, datetime]]:
    """Create the rows, with repeats beside them."""
    registrations = PostgresRegistrations(pools.main, by_key=pools.by_key)
    new, hashes = new_rows(rows)
    return await registrations.create(
        APP, rows, new, hashes=hashes, beside=repeats, key_id=KEYS.newest, now=now
    )


async def test_repeats_beside_first_registrations_move_on_in_the_same_statement(
    pools: Pools,
) -> None:
    assert await beside(pools, [told(3), told(1), told(2)], [], NOW) == (
        {key(1), key(2), key(3)},
        {},
    )
    repeats = [repeat(3), repeat(9), repeat(2, OTHER_HASH), repeat(1)]
    assert await beside(pools, [registration(4), told(2)], repeats) == (
        {key(4)},
        {0: LATER, 3: LATER},
    )
    stored = (await tables_of(pools.main, APP))["installation"]
    assert [row["registered_at"] for row in stored] == [LATER, NOW, LATER, LATER]


async def test_repeats_alone_beside_nothing_move_on(pools: Pools) -> None:
    await beside(pools, [told(1)], [], NOW)
    assert await beside(pools, [], [repeat(1)]) == (set(), {0: LATER})


async def test_nothing_beside_nothing_asks_nothing() -> None:
    async with open_pools() as pools:
        await pools.by_key.close()
        registrations = PostgresRegistrations(pools.main, by_key=pools.by_key)
        assert await registrations.create(APP, [], [], hashes=[], beside=[], key_id=1, now=NOW) == (
            (),
            {},
        )


async def test_a_first_registration_that_is_overtaken_holds_no_repeat_up(pools: Pools) -> None:
    token = hex_token()
    await beside(pools, [told(1)], [], NOW)
    async with pools.main.acquire() as connection:
        await begin(connection, registration(2, token))
        writing = asyncio.create_task(beside(pools, [registration(3, token)], [repeat(1)]))
        await until_somebody_waits(connection)
        await connection.execute("COMMIT")
    assert await writing == ((), {0: LATER})
    stored = (await tables_of(pools.main, APP))["installation"]
    assert [row["registered_at"] for row in stored] == [LATER, NOW]


async def test_while_somebody_runs_alone_repeats_go_on_and_first_registrations_are_left(
    pools: Pools,
) -> None:
    await beside(pools, [told(1)], [], NOW)
    async with pools.main.acquire() as connection, connection.transaction():
        await connection.execute(Ownerships.run_alone, APP)
        assert await beside(pools, [registration(2)], [repeat(1)]) == (set(), {0: LATER})
    assert await beside(pools, [registration(2)], []) == ({key(2)}, {})


async def test_who_is_to_run_alone_waits_for_the_first_registrations_under_way(
    pools: Pools,
) -> None:
    async with pools.main.acquire() as connection:
        await begin(connection, registration(1))
        alone = asyncio.create_task(pools.main.execute(Ownerships.run_alone, APP))
        await until_somebody_waits(connection)
        await connection.execute("COMMIT")
    await alone


def test_repeats_beside_others_are_told_apart_in_the_same_words() -> None:
    alone, beside_others = (
        " ".join(query.split()) for query in (Q.move_times_on, Q.create_installations)
    )
    assert f"WITH repeated AS ( {alone} )" in beside_others
