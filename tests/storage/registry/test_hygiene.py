"""The contract of Scans and HygieneStore, and whole runs, on PostgreSQL."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from nuncio_registry.domain.apps import Apps, Policies
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.hygiene import (
    LOOKED_AT,
    REST_SECONDS,
    Hygiene,
    Rhythm,
    cutoffs_of,
)
from nuncio_registry.domain.model import (
    ChangeKind,
    ConsentChange,
    ConsentState,
    Facts,
    Permission,
    Platform,
    RegistrationOutcome,
    TokenState,
)
from nuncio_registry.domain.ports.hygiene import Fate, Removed
from nuncio_registry.domain.preview import HygieneCounts, Preview
from nuncio_registry.domain.register import Register
from nuncio_registry.metrics import PrometheusMeter
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.hygiene import PostgresHygiene, PostgresScans, Q
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_registry.storage.statistics import PostgresStatistics, PostgresStockScans
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.metrics import REGISTRY
from tests.storage.registry.registering import register
from tests.unit.registry.builders import (
    APP,
    NOW,
    app,
    hex_token,
    key,
    key_ring,
    registration,
)

# The feed waits for the oldest transaction of the server, and so for those of other tests.
pytestmark = pytest.mark.timeout(60)

DAY = timedelta(days=1)
KEPT, EXPIRING, DELETING = Fate
DISAGREEING = """
    SELECT count(*)
      FROM installation AS i
           FULL JOIN live_token AS o USING (app_id, installation_id, token_hash, environment)
     WHERE (i.token_state IS NOT DISTINCT FROM 1) <> (o.token_hash IS NOT NULL)
"""


# So many live installations, last seen at a time; without tokens of their own.
MANY = """
    INSERT INTO installation (
             app_id, installation_id, platform, provider, environment, token_state, token_key_id,
             permission, registered_at, token_changed_at, observed_at, created_at, last_seen_at,
             token_hash, token_sealed, topics, attributes, consents_granted, consents_denied)
    SELECT $1, gen_random_uuid(), 1, 1, 1, 1, 1, 2, $4, $4, $4, $4, $3,
           sha256(n::text::bytea), '', '{}', '{}', '{}', '{}'
      FROM generate_series(1, $2::int) AS n
"""


@pytest.fixture
def store(pool: Pool) -> PostgresHygiene:
    """The port under test."""
    return PostgresHygiene(pool)


@pytest.fixture
def scans(pool: Pool) -> PostgresScans:
    """The port under test."""
    return PostgresScans(pool)


def hygiene_of(pool: Pool, clock: ManualClock, *, batch: int = 100) -> Hygiene:
    return Hygiene(
        PostgresHygiene(pool),
        PostgresScans(pool),
        PostgresStockScans(pool),
        apps=PostgresApps(pool),
        statistics=PostgresStatistics(pool),
        clock=clock,
        rhythm=Rhythm(
            every=timedelta(hours=1),
            grace=timedelta(0),
            batch=batch,
            pause=timedelta(0),
            changes_kept=7 * DAY,
            audit_kept=400 * DAY,
        ),
        meter=PrometheusMeter(),
    )


async def run(pool: Pool, *, now: datetime = NOW, batch: int = 100) -> Counter[Removed]:
    """One run over the app of the tests."""
    return await hygiene_of(pool, ManualClock(now), batch=batch).run(app())


async def seen(pool: Pool, *numbers: int, ago: timedelta) -> None:
    """Register these as last seen so long ago, on iOS."""
    facts = Facts(permission=Permission.GRANTED, last_seen=NOW - ago, app_version="1.0")
    await register(pool, [registration(n, facts=facts) for n in numbers])


async def die(pool: Pool, *numbers: int, ago: timedelta, state: TokenState) -> None:
    """Let these be dead since so long ago."""
    ids = [key(n) for n in numbers]
    await pool.execute(
        "UPDATE installation SET token_state = $2, died_at = $3 WHERE installation_id = ANY ($1)",
        ids,
        state,
        NOW - ago,
    )
    await pool.execute("DELETE FROM live_token WHERE installation_id = ANY ($1)", ids)


async def states(pool: Pool) -> dict[int, TokenState]:
    rows = await pool.fetch("SELECT installation_id, token_state FROM installation ORDER BY 1")
    return {row["installation_id"].int: TokenState(row["token_state"]) for row in rows}


async def changes(pool: Pool, kind: ChangeKind) -> list[int]:
    rows = await pool.fetch(
        "SELECT installation_id FROM change WHERE kind = $1 ORDER BY change_id", kind
    )
    return [row["installation_id"].int for row in rows]


async def test_a_scan_tells_what_the_policies_have_for_each(
    pool: Pool, scans: PostgresScans
) -> None:
    await seen(pool, 1, 2, ago=DAY)
    await seen(pool, 3, ago=31 * DAY)
    await seen(pool, 4, 5, ago=271 * DAY)
    await seen(pool, 6, 7, ago=DAY)
    await die(pool, 6, ago=91 * DAY, state=TokenState.INVALID)
    await die(pool, 7, ago=89 * DAY, state=TokenState.REPLACED)
    part = await scans.part(APP, first=key(0), cutoffs=cutoffs_of(app(), NOW), limit=100)
    assert part is not None
    found = {
        (group.token_state, group.stale, group.fate): (group.installations, sorted(group.ids))
        for group in part.groups
    }
    assert found == {
        (TokenState.ACTIVE, False, KEPT): (2, []),
        (TokenState.ACTIVE, True, KEPT): (1, []),
        (TokenState.ACTIVE, True, EXPIRING): (2, [key(4), key(5)]),
        (TokenState.INVALID, False, DELETING): (1, [key(6)]),
        (TokenState.REPLACED, False, KEPT): (1, []),
    }
    assert (part.cursor, part.is_last) == (key(7), True)


async def test_a_scan_goes_part_by_part(pool: Pool, scans: PostgresScans) -> None:
    await seen(pool, *range(5), ago=DAY)
    cutoffs = cutoffs_of(app(), NOW)
    cursors, first = [], key(0)
    while part := await scans.part(APP, first=first, cutoffs=cutoffs, limit=2):
        cursors.append((part.cursor.int, part.is_last))
        first = UUID(int=part.cursor.int + 1)
    assert cursors == [(1, False), (3, False), (4, True)]


async def test_a_scan_reads_its_part_by_key_and_no_more(pool: Pool) -> None:
    await seen(pool, *range(2_000), ago=DAY)
    await pool.execute("ANALYZE installation")
    explain = f"EXPLAIN (ANALYZE, TIMING OFF, COSTS OFF) {Q.look_at_part}"
    plan = await pool.fetch(explain, APP, key(500), *cutoffs_of(app(), NOW), 100)
    text = "\n".join(row[0] for row in plan)
    assert "Merge Append (actual rows=100" in text, text
    assert "Seq Scan on installation" not in text, text


async def test_a_run_lets_tokens_expire(pool: Pool) -> None:
    await seen(pool, 1, 2, 3, ago=271 * DAY)
    await seen(pool, 4, ago=269 * DAY)
    before = rows_shown("expired")
    assert await run(pool, batch=2) == {Removed.EXPIRED: 3}
    expired = dict.fromkeys((1, 2, 3), TokenState.EXPIRED)
    assert await states(pool) == {**expired, 4: TokenState.ACTIVE}
    row = await pool.fetchrow("SELECT token_state_reason, died_at FROM installation LIMIT 1")
    assert row is not None
    assert tuple(row) == ("expired", NOW)
    assert await pool.fetchval(DISAGREEING) == 0
    assert await changes(pool, ChangeKind.EXPIRED) == [1, 2, 3]
    assert rows_shown("expired") - before == 3
    assert await run(pool) == {}


def rows_shown(action: str) -> float:
    shown = REGISTRY.get_sample_value("registry_hygiene_rows_total", {"action": action})
    return shown or 0.0


async def test_an_expired_token_comes_back_when_it_is_registered(pool: Pool) -> None:
    token = hex_token()
    facts = Facts(last_seen=NOW - 300 * DAY)
    await register(pool, [registration(1, token, facts=facts)])
    await run(pool)
    outcomes = await register(pool, [registration(1, token)], now=NOW + DAY)
    assert outcomes == [RegistrationOutcome.REFRESHED]
    assert await states(pool) == {1: TokenState.ACTIVE}
    assert await pool.fetchval(DISAGREEING) == 0


async def test_an_expired_token_can_be_taken_by_another_installation(pool: Pool) -> None:
    token = hex_token()
    facts = Facts(last_seen=NOW - 300 * DAY)
    await register(pool, [registration(1, token, facts=facts)])
    await run(pool)
    assert await register(pool, [registration(2, token)]) == [RegistrationOutcome.CREATED]
    assert await pool.fetchval(DISAGREEING) == 0


async def test_a_run_deletes_the_dead_with_their_history(pool: Pool) -> None:
    consents = (ConsentChange("news", ConsentState.GRANTED),)
    await register(pool, [registration(n, consents=consents) for n in (1, 2, 3)])
    await invalidated(pool, 1, 2, at=NOW - 91 * DAY)
    await die(pool, 1, 2, ago=91 * DAY, state=TokenState.INVALID)
    assert await run(pool, batch=1) == {Removed.DELETED: 2}
    assert await states(pool) == {3: TokenState.ACTIVE}
    left = await pool.fetch(
        """SELECT installation_id FROM consent_event
            UNION SELECT installation_id FROM invalidation
            UNION SELECT installation_id FROM live_token"""
    )
    assert [row["installation_id"].int for row in left] == [3]
    assert await changes(pool, ChangeKind.DELETED) == [1, 2]
    assert await changes(pool, ChangeKind.REGISTERED) == [1, 2, 3]


async def invalidated(pool: Pool, *numbers: int, at: datetime) -> None:
    """Invalidations that were told then."""
    await pool.executemany(
        """INSERT INTO invalidation (app_id, installation_id, token_hash, dead_since,
                                     invalidated_at, reason)
           VALUES ($1, $2, '', $3, $3, 'Unregistered')""",
        [(APP, key(n), at) for n in numbers],
    )


async def test_what_was_invalidated_lately_can_still_be_restored(pool: Pool) -> None:
    """A provider may tell today that a token has been dead for a year."""
    await seen(pool, 1, ago=DAY)
    await die(pool, 1, ago=365 * DAY, state=TokenState.INVALID)
    await invalidated(pool, 1, at=NOW - 89 * DAY)
    assert await run(pool) == {}
    assert await run(pool, now=NOW + 2 * DAY) == {Removed.DELETED: 1}


async def test_old_invalidations_of_the_living_go(pool: Pool) -> None:
    await seen(pool, 1, ago=DAY)
    await invalidated(pool, 1, 1, 1, at=NOW - 91 * DAY)
    await invalidated(pool, 1, at=NOW - 89 * DAY)
    assert await run(pool, batch=2) == {Removed.INVALIDATIONS: 3}


async def test_an_installation_that_registers_after_the_scan_stays(
    pool: Pool, store: PostgresHygiene
) -> None:
    token = hex_token()
    facts = Facts(last_seen=NOW - 300 * DAY)
    await register(pool, [registration(1, token, facts=facts)])
    await register(pool, [registration(1, token)])
    assert await store.expire(APP, [key(1)], before=NOW - 270 * DAY, now=NOW) == 0
    assert await states(pool) == {1: TokenState.ACTIVE}


async def test_a_batch_never_waits_for_a_registration(pool: Pool, store: PostgresHygiene) -> None:
    await seen(pool, 1, ago=300 * DAY)
    cutoff = NOW - 270 * DAY
    async with pool.acquire() as holder, holder.transaction():
        await holder.execute("SELECT FROM installation FOR UPDATE")
        assert await store.expire(APP, [key(1)], before=cutoff, now=NOW) == 0
    assert await states(pool) == {1: TokenState.ACTIVE}
    assert await store.expire(APP, [key(1)], before=cutoff, now=NOW) == 1


async def test_the_dead_that_registers_meanwhile_is_not_deleted(
    pool: Pool, store: PostgresHygiene
) -> None:
    token = hex_token()
    await register(pool, [registration(1, token)])
    await die(pool, 1, ago=91 * DAY, state=TokenState.EXPIRED)
    await register(pool, [registration(1, token)])
    assert await store.delete(APP, [key(1)], before=NOW - 90 * DAY, now=NOW) == 0
    assert await states(pool) == {1: TokenState.ACTIVE}


@pytest.mark.timeout(60)
async def test_runs_and_registrations_at_once_leave_owners_and_states_in_agreement(
    pool: Pool,
) -> None:
    tokens = [hex_token() for _ in range(40)]
    old = Facts(last_seen=NOW - 300 * DAY)

    async def client(number: int) -> None:
        for turn in range(5):
            facts = old if (number + turn) % 2 else Facts()
            rows = [registration(i, token, facts=facts) for i, token in enumerate(tokens)]
            await register(pool, rows[number % 7 :: 3])

    async def clean() -> None:
        for _ in range(5):
            await run(pool, batch=7)

    await asyncio.gather(*(client(number) for number in range(6)), clean(), clean())
    assert await pool.fetchval(DISAGREEING) == 0
    await run(pool)
    assert await pool.fetchval(DISAGREEING) == 0


PREVIEWED = (None, Policies(expire_after=100 * DAY), Policies(retention=10 * DAY))


@pytest.mark.parametrize("tried", PREVIEWED)
async def test_a_preview_says_what_a_run_does(pool: Pool, tried: Policies | None) -> None:
    clock = ManualClock(NOW)
    await seen(pool, 1, 2, ago=DAY)
    await seen(pool, 3, ago=101 * DAY)
    await seen(pool, 4, ago=271 * DAY)
    await register(pool, [registration(n, platform=Platform.ANDROID) for n in (5, 6, 7)])
    await die(pool, 5, ago=11 * DAY, state=TokenState.INVALID)
    await die(pool, 6, ago=91 * DAY, state=TokenState.EXPIRED)
    apps = Apps(PostgresApps(pool), clock)
    preview = Preview(PostgresScans(pool), apps, clock)
    before = await states(pool)
    counts = await preview.counts(APP, tried or Policies())
    assert await states(pool) == before
    if tried is None:
        assert counts == {
            Platform.IOS: HygieneCounts(active=4, stale=2, expiring=1, deleting=0),
            Platform.ANDROID: HygieneCounts(active=1, stale=0, expiring=0, deleting=1),
        }
    policies = tried or Policies()
    changed = await apps.update(APP, display_name=None, policies=policies)
    removed = await hygiene_of(pool, clock).run(changed)
    assert removed[Removed.EXPIRED] == sum(each.expiring for each in counts.values())
    assert removed[Removed.DELETED] == sum(each.deleting for each in counts.values())


async def test_a_run_counts_the_stock_as_it_leaves_it(pool: Pool) -> None:
    said = (ConsentChange("news", ConsentState.GRANTED, prompt_strategy="banner"),)
    await seen(pool, 1, ago=DAY)
    await seen(pool, 2, ago=31 * DAY)
    await seen(pool, 3, ago=271 * DAY)
    await register(pool, [registration(n, consents=said, user_id="ada") for n in (4, 5)])
    await die(pool, 5, ago=91 * DAY, state=TokenState.INVALID)
    await run(pool)
    stock = await PostgresStatistics(pool).latest_stock(APP)
    assert stock is not None
    assert (stock.installations, stock.active, stock.stale, stock.expired) == (4, 3, 1, 1)
    assert [each.granted for each in stock.prompts] == [1]
    assert stock.users == {1: 1}
    assert stock.counted_at == NOW


async def test_an_app_is_due_when_it_was_not_counted_for_long(
    pool: Pool, store: PostgresHygiene
) -> None:
    await PostgresApps(pool).create(app("another"))

    async def due(at: datetime, after: str = "") -> list[str]:
        found = await store.due(counted_before=at, now=NOW, after=after, limit=9)
        return [each.app_id for each in found]

    assert await due(NOW) == ["another", APP]
    await run(pool)
    assert await due(NOW - DAY) == ["another"]
    assert await due(NOW) == ["another", APP]
    assert await due(NOW, after="another") == [APP]


async def test_what_is_wrong_with_one_app_is_not_the_others_trouble(pool: Pool) -> None:
    await PostgresApps(pool).create(app("another"))
    await pool.execute("ALTER TABLE stock ADD CONSTRAINT broken CHECK (app_id <> 'another')")
    clock, statistics = ManualClock(NOW), PostgresStatistics(pool)
    running = asyncio.create_task(hygiene_of(pool, clock).keep_running())
    while await statistics.latest_stock(APP) is None:  # noqa: ASYNC110 - only the row tells
        await asyncio.sleep(0.01)
    assert not running.done()
    await pool.execute("ALTER TABLE stock DROP CONSTRAINT broken")
    while await statistics.latest_stock("another") is None:
        clock.advance(REST_SECONDS)
        await asyncio.sleep(0.01)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_days_go_after_four_hundred_of_them(pool: Pool, store: PostgresHygiene) -> None:
    await pool.execute(
        "INSERT INTO stock SELECT $1, d, now(), '{}' FROM unnest($2::date[]) AS d",
        APP,
        days := [NOW.date() - timedelta(days=ago) for ago in (0, 400, 401, 402)],
    )
    await pool.execute(
        "INSERT INTO flow SELECT $1, d, 1, 0, 1, 1 FROM unnest($2::date[]) AS d", APP, days
    )
    assert await hygiene_of(pool, ManualClock(NOW), batch=1).sweep() == {Removed.DAYS: 4}
    assert await pool.fetchval("SELECT count(*) FROM stock") == 2
    assert await store.delete_days(before=days[1], limit=10) == 0


async def test_a_sweep_clears_what_came_in_after_a_deletion(pool: Pool) -> None:
    apps = Apps(PostgresApps(pool), ManualClock(NOW))
    elsewhere = Apps(PostgresApps(pool), ManualClock(NOW))
    await elsewhere.require(APP)
    await apps.delete(APP)
    await straggler(pool, elsewhere, [1, 2])
    assert (await hygiene_of(pool, ManualClock(NOW)).sweep())[Removed.LEFTOVERS] > 0
    assert await states(pool) == {}
    assert await pool.fetchval(DISAGREEING) == 0


async def straggler(pool: Pool, trusting: Apps, numbers: Sequence[int]) -> None:
    """A registration by a replica that has not heard of the deletion."""
    use_case = Register(
        PostgresRegistrations(pool),
        trusting,
        keys=key_ring(),
        guard=EndpointGuard(hosts=()),
        clock=ManualClock(NOW),
    )
    await use_case.page(APP, [registration(n) for n in numbers])


async def test_a_walk_of_many_parts_sees_each_installation_once(pool: Pool) -> None:
    many = LOOKED_AT + 10
    await pool.execute(MANY, APP, many, NOW - 271 * DAY, NOW)
    assert await run(pool, batch=1_000) == {Removed.EXPIRED: many}
    stock = await PostgresStatistics(pool).latest_stock(APP)
    assert stock is not None
    assert (stock.installations, stock.active, stock.expired) == (many, 0, many)
