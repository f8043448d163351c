"""Login, logout, merge and reachability, on PostgreSQL."""

import asyncio
from datetime import datetime, timedelta
from itertools import product

from nuncio_registry.domain.keys import FIRST_KEY, LAST_KEY
from nuncio_registry.domain.model import (
    ChangeKind,
    ConsentChange,
    ConsentState,
    Facts,
    Permission,
    Platform,
    Provider,
    Registration,
    Suppression,
)
from nuncio_registry.domain.ports.installations import ReachCount
from nuncio_registry.domain.ports.selection import Selection
from nuncio_registry.domain.predicate import Comparison, Field, Operator
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.installations import PostgresInstallations
from tests.storage.registry.registering import register
from tests.storage.registry.surveying import counted
from tests.unit.registry.builders import APP, NOW, hex_token, key, registration

STALE_BEFORE = NOW - timedelta(days=30)


async def identified(pool: Pool) -> list[int]:
    """Who is another user's, by the feed, in order."""
    query = "SELECT installation_id FROM change WHERE kind = $1 ORDER BY change_id"
    return [row[0].int for row in await pool.fetch(query, ChangeKind.IDENTIFIED)]


async def owner(installations: PostgresInstallations, number: int) -> str:
    stored = await installations.get(APP, key(number))
    assert stored is not None
    return stored.user_id


async def test_only_another_user_is_an_event(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    before = [
        await installations.set_user(APP, key(1), user, now=NOW)
        for user in ("", "ada", "ada", "bob", "", "")
    ]
    assert before == ["", "", "ada", "ada", "bob", ""]
    assert await identified(pool) == [1, 1, 1]


async def test_a_merge_moves_a_batch_in_key_order_and_nobody_elses(
    pool: Pool, installations: PostgresInstallations
) -> None:
    users = {1: "ada", 2: "old", 3: "old", 4: "bob", 5: "old"}
    await register(pool, [registration(number, user_id=user) for number, user in users.items()])
    await pool.execute("DELETE FROM change")

    async def merge() -> int:
        return await installations.merge_users(
            APP, from_user="old", into_user="ada", limit=2, now=NOW
        )

    assert [await merge(), await merge(), await merge()] == [2, 1, 0]
    assert [await owner(installations, n) for n in users] == ["ada", "ada", "ada", "bob", "ada"]
    assert await identified(pool) == [2, 3, 5]


async def test_merges_and_logins_at_the_same_time_lose_nobody(
    pool: Pool, installations: PostgresInstallations
) -> None:
    rows = [registration(number, user_id="old") for number in range(1, 41)]
    await register(pool, rows)
    await pool.execute("DELETE FROM change")
    moved = await asyncio.gather(
        *(
            installations.merge_users(APP, from_user="old", into_user="ada", limit=10, now=NOW)
            for _ in range(8)
        ),
        *(installations.set_user(APP, key(number), "bob", now=NOW) for number in (7, 23)),
        register(pool, [row._replace(user_id=None) for row in rows[::-1]]),
    )
    total = sum(result for result in moved if isinstance(result, int))
    # Batches that waited for each other may come out empty-handed; a caller goes on until one is.
    while batch := await installations.merge_users(
        APP, from_user="old", into_user="ada", limit=10, now=NOW
    ):
        total += batch
    owners = [await owner(installations, number) for number in range(1, 41)]
    assert [number for number, user in enumerate(owners, 1) if user == "bob"] == [7, 23]
    assert owners.count("ada") == 38
    assert len(await identified(pool)) == total + 2


def person(number: int, user: str, **told: object) -> Registration:
    return registration(number, user_id=user, **told)  # type: ignore[arg-type]


async def test_reachability_counts_by_user_channel_and_reason(
    pool: Pool, installations: PostgresInstallations
) -> None:
    agreed = (ConsentChange("news", ConsentState.GRANTED),)
    granted, old = Facts(permission=Permission.GRANTED), NOW - timedelta(days=31)
    android = Platform.ANDROID
    await register(
        pool,
        [
            person(1, "ada", consents=agreed),
            person(2, "ada", consents=agreed, facts=granted._replace(last_seen=old)),
            person(3, "ada"),
            person(4, "ada", platform=android, facts=Facts(), consents=agreed),
            person(5, "bob", facts=Facts(permission=Permission.DENIED)),
            person(6, "eve", consents=agreed),
        ],
    )
    found = await installations.reachability(
        APP, ["bob", "nobody", "ada"], purpose="news", stale_before=STALE_BEFORE
    )

    def count(
        user: str, platform: Platform, reason: Suppression | None, seen: datetime = NOW
    ) -> ReachCount:
        provider = Provider.FCM if platform == android else Provider.APNS
        return ReachCount(user, provider, platform, reason, 1, seen)

    assert found == [
        count("ada", Platform.IOS, None),
        count("ada", Platform.IOS, Suppression.NO_CONSENT),
        count("ada", Platform.IOS, Suppression.STALE, old),
        count("ada", android, None),
        count("bob", Platform.IOS, Suppression.NO_PERMISSION),
    ]


async def test_reachability_follows_the_rule_of_selection(
    pool: Pool, installations: PostgresInstallations
) -> None:
    taken = hex_token()
    rows = [
        registration(
            number,
            taken if number == 1 else None,
            platform=platform,
            user_id="ada",
            facts=Facts(permission=permission, last_seen=NOW - timedelta(days=days)),
            consents=(ConsentChange("news", state),) if state else (),
        )
        for number, (platform, permission, days, state) in enumerate(
            product((Platform.IOS, Platform.ANDROID), Permission, (1, 31), (None, *ConsentState)),
            start=1,
        )
    ]
    await register(pool, rows)
    await register(pool, [registration(1000, taken)])  # so 1 is REPLACED
    adas = Comparison(Field.USER_ID, Operator.IN, ("ada",))
    for purpose in ("", "news", "tips"):
        selection = Selection(APP, adas, purpose, STALE_BEFORE, FIRST_KEY, LAST_KEY)
        counts = await counted(pool, selection)
        found = await installations.reachability(
            APP, ["ada"], purpose=purpose, stale_before=STALE_BEFORE
        )
        for platform in (Platform.IOS, Platform.ANDROID):
            reachable = [f for f in found if f.platform == platform and f.reason is None]
            assert sum(f.installations for f in reachable) == counts.reachable.get(platform, 0)
        for reason in Suppression:
            suppressed = sum(f.installations for f in found if f.reason == reason)
            assert suppressed == counts.suppressed.get(reason, 0), (purpose, reason)
        assert sum(f.installations for f in found) == len(rows)
