"""The contract of Registrations.create: in one statement, what the slow road does in many."""

import asyncio
from collections.abc import AsyncIterator, Collection
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from nuncio_registry.domain.model import (
    ChangeKind,
    ConsentChange,
    ConsentState,
    DeadToken,
    Environment,
    Facts,
    Permission,
    Platform,
    Provider,
    Registration,
    RegistrationOutcome,
    Value,
    Version,
)
from nuncio_registry.domain.ports.registration import Registered
from nuncio_registry.domain.tokens import subscription_token
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.creating import KEYS, begin, new_rows, until_somebody_waits
from tests.storage.registry.registering import register
from tests.storage.registry.roads import Pools, open_pools, road, tables_of
from tests.unit.registry.builders import APP, NOW, app, hex_token, key, registration

CREATED, REFRESHED, ROTATED, REASSIGNED, STALE = RegistrationOutcome
EARLIER = NOW - timedelta(days=1)
TYPED: dict[str, Value] = {
    "a": "text", "b": 1.5, "c": False, "d": datetime(2020, 2, 29, tzinfo=UTC), "e": Version("1.2"),
}  # fmt: skip
FULL = Facts(
    Permission.PROVISIONAL, "de-CH", "CH", "Europe/Zurich", "2.10.0-rc1", "17.1", "Model A", "3.1",
    ("a", "b"),
    TYPED,
    EARLIER,
    ("x", "y"),
)  # fmt: skip
CONSENTS = (
    ConsentChange("news", ConsentState.GRANTED, "start", "pre_prompt", "v1", "person"),
    ConsentChange("offers", ConsentState.DENIED),
    ConsentChange("alerts", ConsentState.GRANTED, actor="support"),
)
SUBSCRIPTION = Registration(
    key(8),
    Platform.WEB,
    Provider.WEB_PUSH,
    Environment.PRODUCTION,
    subscription_token(endpoint="https://push.example.com/8", p256dh=b"p" * 65, auth=b"a" * 16),
    "vapid-1",
)
ALL_KINDS = [
    registration(1, facts=Facts()),
    registration(2, facts=FULL, user_id="ada", consents=CONSENTS, observed_at=EARLIER),
    registration(3, facts=Facts(device_model="", sdk_version="", topics=(), tags=())),
    registration(4, environment=Environment.SANDBOX)._replace(content_hash=b"h" * 16),
    registration(5, platform=Platform.ANDROID, user_id="ada", consents=CONSENTS[1:2]),
    registration(6, facts=Facts(last_seen=NOW + timedelta(minutes=5), attributes={"a": "\u20ac"})),
    registration(7, facts=FULL._replace(permission=Permission.DENIED)),
    SUBSCRIPTION,
]


@pytest.fixture
async def pools() -> AsyncIterator[Pools]:
    """Connections to a database of its own that has the app of the tests."""
    async with open_pools() as opened:
        await PostgresApps(opened.main).create(app())
        yield opened


async def create(pools: Pools, *rows: Registration) -> Collection[UUID]:
    registrations = PostgresRegistrations(pools.main, by_key=pools.by_key)
    new, hashes = new_rows(rows)
    created, _ = await registrations.create(
        APP, rows, new, hashes=hashes, beside=(), key_id=KEYS.newest, now=NOW
    )
    return created


async def numbers(pools: Pools) -> list[int]:
    """Who is stored."""
    return [
        row["installation_id"].int for row in (await tables_of(pools.main, APP))["installation"]
    ]


async def assert_one_owner_each(pools: Pools) -> None:
    tables = await tables_of(pools.main, APP)
    active = [row for row in tables["installation"] if row["token_state"] == 1]
    owners = {(row["token_hash"], row["environment"], row["installation_id"]) for row in active}
    owned = {
        tuple(row[name] for name in ("token_hash", "environment", "installation_id"))
        for row in tables["live_token"]
    }
    assert owned == owners
    assert len(active) == len(tables["live_token"])


async def test_all_tables_are_as_the_slow_road_leaves_them(pools: Pools) -> None:
    clock = ManualClock(NOW)
    for app_id, slow in (("fast", False), ("slow", True)):
        await PostgresApps(pools.main).create(app(app_id))
        results = await road(pools, clock, slow=slow).register.page(app_id, ALL_KINDS)
        assert results == [Registered(CREATED, NOW)] * len(ALL_KINDS)
    fast, slowly = [await tables_of(pools.main, app_id) for app_id in ("fast", "slow")]
    assert fast == slowly
    lengths = {table: len(rows) for table, rows in fast.items()}
    assert lengths == {
        "installation": 8, "live_token": 8, "consent_event": 4, "change": 12, "invalidation": 0,
    }  # fmt: skip


async def test_all_that_is_new_is_created_at_once(pools: Pools) -> None:
    assert set(await create(pools, *ALL_KINDS)) == {row.installation_id for row in ALL_KINDS}
    assert await numbers(pools) == [1, 2, 3, 4, 5, 6, 7, 8]


async def test_who_is_known_is_left_alone(pools: Pools) -> None:
    """Whatever it comes with, and whether its own token lives or not."""
    await register(pools.main, [registration(1), registration(2)])
    await die(pools, 2)
    before = await tables_of(pools.main, APP)
    assert await create(pools, registration(1), registration(2, consents=CONSENTS)) == set()
    assert await tables_of(pools.main, APP) == before


async def test_a_token_that_somebody_has_is_left_alone(pools: Pools) -> None:
    token = hex_token()
    await register(pools.main, [registration(1, token)])
    before = await tables_of(pools.main, APP)
    assert await create(pools, registration(2, token)) == set()
    assert await tables_of(pools.main, APP) == before
    assert await create(pools, registration(3), registration(2, token)) == {key(3)}
    assert await numbers(pools) == [1, 3]


async def test_a_token_of_the_dead_or_of_another_world_is_free(pools: Pools) -> None:
    token, other = hex_token(), hex_token()
    await register(pools.main, [registration(1, token), registration(2, other)])
    await die(pools, 1)
    sandbox = registration(4, other, environment=Environment.SANDBOX)
    assert await create(pools, registration(3, token), sandbox) == {key(3), key(4)}
    await assert_one_owner_each(pools)


async def die(pools: Pools, number: int) -> None:
    query = "SELECT token_hash FROM installation WHERE installation_id = $1"
    token_hash = await pools.main.fetchval(query, key(number))
    dead = [DeadToken(key(number), token_hash[:16], NOW, "Gone")]
    await PostgresLifecycle(pools.main).invalidate(APP, dead, now=NOW)


async def test_in_the_feed_an_installation_is_there_before_it_says_anything(pools: Pools) -> None:
    rows = [registration(number, consents=CONSENTS) for number in (1, 2)]
    await create(pools, *rows)
    query = "SELECT installation_id, kind, detail FROM change ORDER BY transaction_id, change_id"
    found = await pools.main.fetch(query)
    for number in (1, 2):
        told = [(kind, detail) for id_, kind, detail in found if id_ == key(number)]
        assert told == [
            (ChangeKind.REGISTERED, ""),
            *((ChangeKind.CONSENT_CHANGED, change.purpose) for change in CONSENTS),
        ]
    ledger = await pools.main.fetch(
        "SELECT purpose FROM consent_event WHERE installation_id = $1 ORDER BY event_id", key(1)
    )
    assert [row["purpose"] for row in ledger] == [change.purpose for change in CONSENTS]


TOKEN, OTHER = hex_token(), hex_token()


@pytest.mark.parametrize("theirs", [registration(1, OTHER), registration(2, TOKEN)])
async def test_of_a_page_that_is_overtaken_nothing_is_stored(
    pools: Pools, theirs: Registration
) -> None:
    """Neither the row that met another one nor its neighbours, nor what they said."""
    page = [registration(1, TOKEN, consents=CONSENTS), registration(9, consents=CONSENTS)]
    async with pools.main.acquire() as other:
        await begin(other, theirs)
        creating = asyncio.create_task(create(pools, *page))
        await until_somebody_waits(other)
        await other.execute("COMMIT")
        assert not await creating
    assert await numbers(pools) == [theirs.installation_id.int]
    tables = await tables_of(pools.main, APP)
    assert [len(tables[name]) for name in ("live_token", "consent_event", "change")] == [1, 0, 1]


@pytest.mark.parametrize(
    ("theirs", "outcome"),
    [
        (registration(2, TOKEN), REASSIGNED),
        (registration(1, OTHER), ROTATED),
        (registration(1, TOKEN), REFRESHED),
        (registration(1, OTHER, observed_at=NOW), STALE),
    ],
)
async def test_a_registration_that_is_overtaken_ends_as_if_it_had_come_later(
    pools: Pools, theirs: Registration, outcome: RegistrationOutcome
) -> None:
    register_ = road(pools, ManualClock(NOW)).register
    observed_at = EARLIER if outcome is STALE else None
    page = [registration(1, TOKEN, observed_at=observed_at), registration(9)]
    async with pools.main.acquire() as other:
        await begin(other, theirs)
        registering = asyncio.create_task(register_.page(APP, page))
        await until_somebody_waits(other)
        assert not registering.done()
        await other.execute("COMMIT")
        results = await registering
    assert [result.outcome for result in results if isinstance(result, Registered)] == [
        outcome,
        CREATED,
    ]
    await assert_one_owner_each(pools)
    live = (await tables_of(pools.main, APP))["live_token"]
    owner = {row["token_hash"]: row["installation_id"] for row in live}
    if outcome is not STALE:
        assert owner[KEYS.hash(page[0].provider, page[0].token)] == key(1)


async def test_who_waited_for_a_transaction_that_is_rolled_back_comes_first(pools: Pools) -> None:
    async with pools.main.acquire() as other:
        await begin(other, registration(2, TOKEN))
        creating = asyncio.create_task(create(pools, registration(1, TOKEN)))
        await until_somebody_waits(other)
        await other.execute("ROLLBACK")
    assert await creating == {key(1)}
    assert await numbers(pools) == [1]


@pytest.mark.timeout(60)
async def test_pages_of_the_same_rows_in_whatever_order_leave_each_once(pools: Pools) -> None:
    register_ = road(pools, ManualClock(NOW)).register
    rows = [registration(number, consents=CONSENTS) for number in range(1, 41)]
    pages = [rows[:: -1 if n % 2 else 1] for n in range(8)]
    results = await asyncio.gather(*(register_.page(APP, page) for page in pages))
    outcomes = [
        [result.outcome for result in page if isinstance(result, Registered)] for page in results
    ]
    assert sum(page.count(CREATED) for page in outcomes) == len(rows)
    assert {outcome for page in outcomes for outcome in page} == {CREATED, REFRESHED}
    tables = await tables_of(pools.main, APP)
    assert [len(tables[name]) for name in ("installation", "consent_event", "change")] == [
        40, 40 * 3, 40 * 4,
    ]  # fmt: skip
    await assert_one_owner_each(pools)
