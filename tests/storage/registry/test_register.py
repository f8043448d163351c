"""The contract of Installations.register, on PostgreSQL."""

import asyncio
from datetime import timedelta

import pytest

from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentState,
    Facts,
    RegistrationOutcome,
    TokenState,
)
from nuncio_registry.domain.sealing import bound_to
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_runtime.postgres import StorageUnavailable
from tests.storage.registry.registering import register
from tests.storage.registry.surveying import listed, those
from tests.unit.registry.builders import APP, NOW, hex_token, key, key_ring, registration

CREATED, REFRESHED, ROTATED, REASSIGNED, STALE = RegistrationOutcome
LATER = NOW + timedelta(hours=1)
LIVE_OWNERS = """
    SELECT token_hash, count(*) AS owners FROM installation WHERE token_state = 1
     GROUP BY token_hash
"""


async def test_a_refreshed_token_keeps_the_time_of_its_change(
    pool: Pool, installations: PostgresInstallations
) -> None:
    row = registration()
    await register(pool, [row])
    assert await register(pool, [row], now=LATER) == [REFRESHED]
    stored = await installations.get(APP, key(1))
    assert stored is not None
    assert (stored.created_at, stored.registered_at) == (NOW, LATER)
    assert stored.token_changed_at == NOW


async def test_a_rotated_token_has_changed(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration()])
    assert await register(pool, [registration()], now=LATER) == [ROTATED]
    stored = await installations.get(APP, key(1))
    assert stored is not None
    assert stored.token_changed_at == LATER


async def test_a_replaced_owner_keeps_its_user_and_loses_its_token(pool: Pool) -> None:
    token = hex_token()
    await register(pool, [registration(1, token, user_id="ada")])
    assert await register(pool, [registration(2, token)], now=LATER) == [REASSIGNED]
    one, two = await listed(pool, those())
    assert (one.token_state, one.user_id) == (TokenState.REPLACED, "ada")
    assert (two.token_state, two.user_id) == (TokenState.ACTIVE, "")


async def test_tokens_swap_within_a_page(pool: Pool) -> None:
    one, two = hex_token(), hex_token()
    await register(pool, [registration(1, one), registration(2, two)])
    swapped = [registration(1, two), registration(2, one)]
    assert await register(pool, swapped) == [REASSIGNED, ROTATED]
    assert await register(pool, swapped) == [REFRESHED, REFRESHED]


async def test_rows_of_one_installation_add_up(
    pool: Pool, installations: PostgresInstallations
) -> None:
    token = hex_token()
    page = [
        registration(1, token, facts=Facts(language="de")),
        registration(1, token, facts=Facts(country="CH", attributes={"a": 1.0})),
        registration(1, token, facts=Facts(attributes={"b": True}), user_id="ada"),
    ]
    assert await register(pool, page) == [CREATED, REFRESHED, REFRESHED]
    stored = await installations.get(APP, key(1))
    assert stored is not None
    assert (stored.facts.language, stored.facts.country, stored.user_id) == ("de", "CH", "ada")
    assert stored.facts.attributes == {"a": 1.0, "b": True}


async def test_a_stale_row_leaves_everything(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    before = await installations.get(APP, key(1))
    consents = (ConsentChange("news", ConsentState.GRANTED),)
    old = registration(1, user_id="ada", consents=consents, observed_at=NOW - timedelta(days=1))
    assert await register(pool, [old], now=LATER) == [STALE]
    assert await installations.get(APP, key(1)) == before
    assert await ledger(pool) == []


async def test_times_never_go_back_when_a_clock_does(
    pool: Pool, installations: PostgresInstallations
) -> None:
    row = registration()
    await register(pool, [row], now=LATER)
    await register(pool, [row], now=NOW)
    stored = await installations.get(APP, key(1))
    assert stored is not None
    assert (stored.registered_at, stored.facts.last_seen) == (LATER, LATER)


async def test_the_ledger_has_changes_only(pool: Pool) -> None:
    granted = ConsentChange("news", ConsentState.GRANTED, source="onboarding")
    denied = ConsentChange("news", ConsentState.DENIED, actor="support")
    token = hex_token()
    for change in (granted, granted, denied, granted):
        await register(pool, [registration(1, token, consents=(change,))])
    assert await ledger(pool) == [("news", 1), ("news", 2), ("news", 1)]


async def ledger(pool: Pool) -> list[tuple[str, int]]:
    rows = await pool.fetch("SELECT purpose, state FROM consent_event ORDER BY event_id")
    return [(row["purpose"], row["state"]) for row in rows]


async def test_tokens_are_sealed_for_their_row(pool: Pool) -> None:
    token = hex_token()
    await register(pool, [registration(1, token)])
    row = await pool.fetchrow("SELECT i.*, i::text AS text FROM installation AS i")
    assert row is not None
    assert token not in row["text"]
    assert token.encode().hex() not in row["text"]
    opened = key_ring().open(
        row["token_sealed"], key_id=row["token_key_id"], bound_to=bound_to(APP, key(1))
    )
    assert opened == token.encode()


async def test_a_new_key_seals_what_is_refreshed(pool: Pool) -> None:
    row = registration()
    await register(pool, [row])
    await register(pool, [row], keys=key_ring(1, 2))
    assert await pool.fetchval("SELECT token_key_id FROM installation") == 2


async def test_what_only_repeats_is_not_sealed_again(pool: Pool) -> None:
    row = registration()
    await register(pool, [row])
    before = await pool.fetchval("SELECT token_sealed FROM installation")
    await register(pool, [row], now=LATER)
    assert await pool.fetchval("SELECT token_sealed FROM installation") == before


@pytest.mark.timeout(60)
async def test_fifty_clients_that_fight_over_twenty_tokens_leave_one_owner_each(
    pool: Pool,
) -> None:
    tokens = [hex_token() for _ in range(20)]

    async def client(number: int) -> None:
        order = tokens[number % 20 :] + tokens[: number % 20]
        for turn, token in enumerate(order):
            await register(pool, [registration(number * 100 + turn, token)])

    await asyncio.gather(*(client(number) for number in range(50)))
    owners = [row["owners"] for row in await pool.fetch(LIVE_OWNERS)]
    assert owners == [1] * 20


@pytest.mark.timeout(60)
async def test_pages_that_fight_over_the_same_tokens_leave_one_owner_each(pool: Pool) -> None:
    tokens = [hex_token() for _ in range(20)]

    async def client(number: int) -> list[RegistrationOutcome]:
        # Odd ones in the other direction: pages that wait for each other in a circle.
        order = tokens[:: -1 if number % 2 else 1]
        rows = [registration(number * 100 + i, token) for i, token in enumerate(order)]
        return await register(pool, rows)

    await asyncio.gather(*(client(number) for number in range(8)))
    owners = [row["owners"] for row in await pool.fetch(LIVE_OWNERS)]
    assert owners == [1] * 20


async def test_clients_that_create_the_same_installation_leave_one(pool: Pool) -> None:
    rows = [registration(1, hex_token()) for _ in range(10)]
    outcomes = await asyncio.gather(*(register(pool, [row]) for row in rows))
    assert sum(outcome == [CREATED] for outcome in outcomes) == 1
    assert await pool.fetchval("SELECT count(*) FROM installation") == 1


async def test_a_cancellation_survives_an_outage(pool: Pool) -> None:
    await register(pool, [registration()])
    holder = await pool.acquire()
    await holder.execute("BEGIN; SELECT FROM installation FOR UPDATE")
    registering = asyncio.create_task(register(pool, [registration()]))
    while not await holder.fetchval("SELECT bool_or(NOT granted) FROM pg_locks"):
        pass
    pool.terminate()
    registering.cancel()
    with pytest.raises(asyncio.CancelledError):
        await registering


async def test_an_outage_is_told_from_a_mistake(pool: Pool) -> None:
    pool.terminate()
    with pytest.raises(StorageUnavailable):
        await register(pool, [registration()])
