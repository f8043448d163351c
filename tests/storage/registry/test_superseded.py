"""A token that another installation has had since is not restored, whatever became of that one."""

import asyncio
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import TypeAlias
from uuid import uuid4

import asyncpg
import pytest

from nuncio_registry.domain.model import (
    DeadToken,
    Environment,
    Registration,
    TokenState,
)
from nuncio_registry.domain.ports.lifecycle import RestoreOutcome, Window
from nuncio_registry.domain.ports.privacy import Erasure, ErasureSubject
from nuncio_registry.domain.sealing import TOKEN_REF_BYTES
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.hygiene import PostgresHygiene
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_registry.storage.ownership import Ownership, release, take
from nuncio_registry.storage.privacy import PostgresPersonalData
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, hex_token, key, key_ring, registration

RESTORED, REGISTERED_AGAIN, OWNED_BY_ANOTHER, GONE = RestoreOutcome
SECOND = timedelta(seconds=1)
DIED = NOW + 60 * SECOND
TAKEN = NOW + 120 * SECOND
LOST = NOW + 180 * SECOND
AT_LAST = NOW + timedelta(hours=1)
FORMER, OWNER = 2, 1

BLOCKED = """
    SELECT EXISTS (SELECT FROM pg_locks WHERE NOT granted AND $1 = ANY (pg_blocking_pids(pid)))
"""

# So many deaths of as many installations, which are there no more.
MANY_DEAD = """
    INSERT INTO invalidation (
             app_id, installation_id, token_hash, dead_since, invalidated_at, reason)
    SELECT $1, gen_random_uuid(), sha256(n::text::bytea), $3, $3, 'Gone'
      FROM generate_series(1, $2::int) AS n
"""

READ = """
    SELECT sum(t.seq_scan) AS scans, sum(t.idx_tup_fetch) AS rows
      FROM pg_stat_user_tables AS t
     WHERE t.relname ~ '^invalidation_[0-9]+$'
"""

Losing: TypeAlias = Callable[[Pool, Registration], Awaitable[object]]


async def die(pool: Pool, row: Registration, *, reason: str) -> None:
    """The row's installation loses its token to a provider's answer."""
    token_ref = key_ring().hash(row.provider, row.token)[:TOKEN_REF_BYTES]
    report = DeadToken(row.installation_id, token_ref, LOST, reason)
    await PostgresLifecycle(pool).invalidate(APP, [report], now=LOST)


async def restore(
    pool: Pool, *reasons: str, dry_run: bool = False, limit: int = 100
) -> list[RestoreOutcome]:
    """What comes of the deaths for these reasons, by default of all, the newest first."""
    window = Window(NOW, AT_LAST, reasons)
    batch = await PostgresLifecycle(pool).restore(
        APP, window, after=None, limit=limit, now=AT_LAST, dry_run=dry_run
    )
    return list(batch.outcomes)


async def state(pool: Pool, number: int) -> TokenState:
    stored = await PostgresInstallations(pool).get(APP, key(number))
    assert stored is not None
    return stored.token_state


async def dies_too(pool: Pool, owner: Registration) -> None:
    await die(pool, owner, reason="BadDeviceToken")


async def rotates(pool: Pool, owner: Registration) -> None:
    await register(pool, [owner._replace(token=registration().token)], now=LOST)


async def moves_to_the_other_environment(pool: Pool, owner: Registration) -> None:
    await register(pool, [owner._replace(environment=Environment.SANDBOX)], now=LOST)


async def loses_it_to_a_third_that_rotates(pool: Pool, owner: Registration) -> None:
    third = owner._replace(installation_id=key(3))
    await register(pool, [third], now=LOST)
    await rotates(pool, third)


async def expires(pool: Pool, owner: Registration) -> None:
    ids = [owner.installation_id]
    assert await PostgresHygiene(pool).expire(APP, ids, before=AT_LAST, now=LOST) == 1


async def expires_and_is_deleted(pool: Pool, owner: Registration) -> None:
    await expires(pool, owner)
    ids = [owner.installation_id]
    assert await PostgresHygiene(pool).delete(APP, ids, before=AT_LAST, now=AT_LAST) == 1


def proof(subject: ErasureSubject) -> Erasure:
    return Erasure(uuid4(), APP, subject, b"h" * 16, {}, "operator", LOST)


async def user_is_erased(pool: Pool, _: Registration) -> None:
    erased = await PostgresPersonalData(pool).erase_user("eve", proof(ErasureSubject.USER))
    assert erased.removed["live_token"] == 1


async def dies_and_is_erased(pool: Pool, owner: Registration) -> None:
    await dies_too(pool, owner)
    erased = await PostgresPersonalData(pool).erase_installation(
        owner.installation_id, proof(ErasureSubject.INSTALLATION)
    )
    assert (erased.removed["live_token"], erased.removed["invalidation"]) == (0, 1)


async def had_one_after_the_other(
    pool: Pool, *, environment: Environment = Environment.PRODUCTION
) -> tuple[Registration, Registration]:
    """The former died of "Unregistered"; then the owner registered the token, there."""
    token = hex_token()
    former = registration(FORMER, token, user_id="ada")
    owner = registration(OWNER, token, user_id="eve", environment=environment)
    await register(pool, [former])
    await die(pool, former, reason="Unregistered")
    await register(pool, [owner], now=TAKEN)
    return former, owner


@pytest.mark.parametrize(
    "lose",
    [
        dies_too,
        rotates,
        moves_to_the_other_environment,
        loses_it_to_a_third_that_rotates,
        expires,
        expires_and_is_deleted,
        user_is_erased,
        dies_and_is_erased,
    ],
)
async def test_it_does_not_come_back_to_whom_it_left(pool: Pool, lose: Losing) -> None:
    _, owner = await had_one_after_the_other(pool)
    await lose(pool, owner)
    for dry_run in (True, False, False):
        assert await restore(pool, "Unregistered", dry_run=dry_run) == [OWNED_BY_ANOTHER]
    assert await state(pool, FORMER) == TokenState.INVALID


async def test_the_last_owner_gets_it_back_whichever_is_asked_for_first(pool: Pool) -> None:
    _, owner = await had_one_after_the_other(pool)
    await dies_too(pool, owner)
    assert await restore(pool, "Unregistered") == [OWNED_BY_ANOTHER]
    assert await restore(pool, dry_run=True) == [RESTORED, OWNED_BY_ANOTHER]
    assert await restore(pool, "BadDeviceToken") == [RESTORED]
    assert await state(pool, OWNER) == TokenState.ACTIVE
    await rotates(pool, owner)
    assert await restore(pool) == [REGISTERED_AGAIN, OWNED_BY_ANOTHER]


async def test_of_three_that_died_with_it_only_the_last_gets_it_back(pool: Pool) -> None:
    _, owner = await had_one_after_the_other(pool)
    third = owner._replace(installation_id=key(3))
    await dies_too(pool, owner)
    await register(pool, [third], now=LOST)
    await dies_too(pool, third)
    expected = [RESTORED, OWNED_BY_ANOTHER, OWNED_BY_ANOTHER]
    assert await restore(pool, dry_run=True) == expected
    assert await restore(pool) == expected
    assert await state(pool, 3) == TokenState.ACTIVE


async def test_the_former_that_registers_it_again_and_dies_is_restored(pool: Pool) -> None:
    former, _ = await had_one_after_the_other(pool)
    await register(pool, [former], now=LOST)
    await die(pool, former, reason="Gone")
    assert await restore(pool) == [RESTORED, REGISTERED_AGAIN]
    assert await state(pool, FORMER) == TokenState.ACTIVE


async def test_ones_own_deaths_with_it_do_not_count(pool: Pool) -> None:
    row = registration(1)
    for reason in ("Unregistered", "Gone"):
        await register(pool, [row], now=NOW)
        await die(pool, row, reason=reason)
    assert await restore(pool, "Gone") == [RESTORED]
    assert await state(pool, 1) == TokenState.ACTIVE


async def test_the_same_token_of_another_environment_is_another(pool: Pool) -> None:
    _, owner = await had_one_after_the_other(pool, environment=Environment.SANDBOX)
    await rotates(pool, owner)
    assert await restore(pool) == [RESTORED]


async def test_other_tokens_and_apps_are_left_alone(pool: Pool) -> None:
    bystander = registration(7)
    await register(pool, [bystander])
    await die(pool, bystander, reason="Unregistered")
    _, owner = await had_one_after_the_other(pool)
    await pool.execute(
        "INSERT INTO invalidation (app_id, installation_id, token_hash, dead_since,"
        " invalidated_at, reason)"
        " SELECT 'elsewhere', installation_id, token_hash, dead_since, invalidated_at, reason"
        "   FROM invalidation"
    )
    await rotates(pool, owner)
    marked = await pool.fetch("SELECT app_id, installation_id FROM invalidation WHERE superseded")
    assert [tuple(row) for row in marked] == [(APP, key(FORMER))]
    assert Counter(await restore(pool)) == {RESTORED: 1, OWNED_BY_ANOTHER: 1}


async def test_nobody_takes_it_and_gives_it_up_between_looking_and_restoring(pool: Pool) -> None:
    former = registration(FORMER)
    await register(pool, [former])
    await die(pool, former, reason="Unregistered")
    token_hash = key_ring().hash(former.provider, former.token)
    owned = [Ownership(key(OWNER), token_hash, former.environment)]
    async with pool.acquire() as owner:
        transaction = owner.transaction()
        await transaction.start()
        await take(owner, APP, owned)
        restoring = asyncio.create_task(restore(pool))
        while not await pool.fetchval(BLOCKED, owner.get_server_pid()):
            assert not restoring.done()
        # Restoring saw a free token. One of both has to give way: they wait for each other.
        try:
            assert await release(owner, APP, owned) == 1
            await transaction.commit()
            expected = OWNED_BY_ANOTHER
        except asyncpg.DeadlockDetectedError:
            await transaction.rollback()
            expected = RESTORED
    assert await restoring == [expected]


async def test_what_was_taken_and_given_up_meanwhile_stays_away(pool: Pool) -> None:
    tokens = [hex_token() for _ in range(20)]
    formers = [registration(100 + n, token) for n, token in enumerate(tokens)]
    owners = [registration(n + 1, token) for n, token in enumerate(tokens)]
    await register(pool, formers)
    for row in formers:
        await die(pool, row, reason="Unregistered")
    await asyncio.gather(
        *(take_and_give_up(pool, owners[at::2]) for at in range(2)),
        *(restore(pool, limit=20) for _ in range(4)),
    )
    live = await pool.fetch("SELECT installation_id FROM installation WHERE token_state = 1")
    # Who was restored before the owner came has lost the token to the owner: REPLACED.
    assert {row["installation_id"] for row in live} == {row.installation_id for row in owners}


async def test_the_former_are_found_by_token(pool: Pool) -> None:
    await pool.execute(MANY_DEAD, APP, 2_000, NOW)
    _, owner = await had_one_after_the_other(pool)
    await pool.execute("ANALYZE")
    scans, rows = await invalidations_read(pool)
    await dies_too(pool, owner)
    scans_after, rows_after = await invalidations_read(pool)
    assert scans_after == scans
    assert rows_after < rows + 10  # Of 2,000.


async def invalidations_read(pool: Pool) -> tuple[int, int]:
    """How often they were read as a whole, and how many were read by an index."""
    await pool.execute("SELECT pg_stat_force_next_flush()")
    row = await pool.fetchrow(READ)
    assert row is not None
    return row["scans"], row["rows"]


async def take_and_give_up(pool: Pool, rows: list[Registration]) -> None:
    await register(pool, rows, now=TAKEN)
    await register(pool, [row._replace(token=registration().token) for row in rows], now=LOST)
