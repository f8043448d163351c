"""Tags, the predicate's newer fields, limits, and times that are touched, on PostgreSQL."""

import asyncio
import secrets
from collections.abc import Sequence
from datetime import datetime, timedelta

import pytest

from nuncio_registry.domain.limits import (
    MAX_ATTRIBUTE_BYTES,
    TOO_LARGE_ATTRIBUTES,
    TOO_MANY_TAGS,
    attribute_sizes,
)
from nuncio_registry.domain.model import (
    ChangeKind,
    Facts,
    FactsChange,
    Permission,
    Platform,
    Touch,
    Value,
    Version,
)
from nuncio_registry.domain.ports.registration import Known, Plan
from nuncio_registry.domain.predicate import Comparison, Field, NoneOf, Operator, Predicate
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_runtime.errors import InvalidField
from tests.storage.registry.registering import register
from tests.storage.registry.surveying import listed, those
from tests.unit.registry.builders import APP, NOW, hex_token, key, registration

LATER = NOW + timedelta(hours=1)
LATEST = NOW + timedelta(hours=2)
IN, HAS, PRESENT = Operator.IN, Operator.HAS, Operator.PRESENT

PEOPLE = [
    registration(1, facts=Facts(tags=("beta", "vip"), sdk_version="4.2-rc1")),
    registration(2, platform=Platform.ANDROID, facts=Facts(tags=("vip",), sdk_version="4.2")),
    registration(3, facts=Facts()),
]
MATCHES: list[tuple[Predicate, set[int]]] = [
    (Comparison(Field.TAGS, HAS, ("beta", "staff")), {1}),
    (Comparison(Field.TAGS, HAS, ("vip",)), {1, 2}),
    (Comparison(Field.TAGS, PRESENT), {1, 2}),
    (NoneOf(Comparison(Field.TAGS, HAS, ("vip",))), {3}),
    (Comparison(Field.PROVIDER, IN, ("fcm", "web_push")), {2}),
    (Comparison(Field.SDK_VERSION, IN, ("4.2",)), {2}),
    (Comparison(Field.SDK_VERSION, PRESENT), {1, 2}),
    (Comparison(Field.TOKEN_STATE, IN, ("replaced",)), {3}),
    (Comparison(Field.TOKEN_STATE, IN, ("active",)), {1, 2}),
]


async def permission_events(pool: Pool) -> list[tuple[int, int, int]]:
    """Of the feed: installation, platform and permission."""
    query = "SELECT installation_id, platform, value FROM change WHERE kind = $1 ORDER BY change_id"
    found = await pool.fetch(query, ChangeKind.PERMISSION_CHANGED)
    return [(row[0].int, row[1], row[2]) for row in found]


async def test_predicates_find_whom_the_newer_fields_describe(pool: Pool) -> None:
    token = hex_token()
    await register(pool, [*PEOPLE[:2], registration(3, token, facts=Facts())])
    await register(pool, [registration(4, token, facts=Facts())])  # 3 is REPLACED
    for predicate, expected in MATCHES:
        found = await listed(pool, those(predicate))
        assert {row.installation_id.int for row in found} - {4} == expected, predicate


async def test_tags_stay_until_they_are_told_again(
    pool: Pool, installations: PostgresInstallations
) -> None:
    async def tags_after(facts: Facts) -> tuple[str, ...] | None:
        await register(pool, [registration(1, facts=facts)])
        stored = await installations.get(APP, key(1))
        return stored.facts.tags if stored else None

    assert await tags_after(Facts(tags=("a", "b"))) == ("a", "b")
    assert await tags_after(Facts()) == ("a", "b")
    assert await tags_after(Facts(tags=("c",))) == ("c",)
    assert await tags_after(Facts(tags=())) == ()


async def test_tags_are_set_then_added_then_taken_away(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1, facts=Facts(tags=("old",), topics=("news",)))])
    change = FactsChange(
        facts=Facts(tags=("b", "c")), add_tags=("a", "d", "b"), remove_tags=("c", "d", "x")
    )
    updated = await installations.update(APP, key(1), change, now=NOW)
    assert updated is not None
    assert (updated.facts.tags, updated.facts.topics) == (("a", "b"), ("news",))


async def test_an_update_that_leaves_too_much_names_it_and_changes_nothing(
    pool: Pool, installations: PostgresInstallations
) -> None:
    tags = tuple(sorted(f"t{number}" for number in range(200)))
    half: dict[str, Value] = {f"a{number}": "x" * 500 for number in range(16)}
    other: dict[str, Value] = {f"b{number}": "x" * 500 for number in range(17)}
    await register(pool, [registration(1, facts=Facts(tags=tags, attributes=half))])
    before = await installations.get(APP, key(1))
    for change, rule in (
        (FactsChange(add_tags=("more",)), TOO_MANY_TAGS),
        (FactsChange(facts=Facts(attributes=other)), TOO_LARGE_ATTRIBUTES),
    ):
        with pytest.raises(InvalidField) as refused:
            await installations.update(APP, key(1), change, now=NOW)
        assert refused.value.violations == (rule,)
    assert await installations.get(APP, key(1)) == before


@pytest.mark.parametrize("long", [0, 5_000])  # Few are read as they are, many are counted.
async def test_the_database_counts_bytes_as_the_domain_does(pool: Pool, long: int) -> None:
    attributes: dict[str, Value] = {
        "long": secrets.token_hex(long),
        "text": 'ä\U0001f514\\"',
        "empty": "",
        "number": 1e300,
        "flag": False,
        "time": NOW,
        "version": Version("1.20.0"),
    }
    row = registration(1, facts=Facts(attributes=attributes))
    await register(pool, [row])
    seen: list[Known] = []

    def look(known: Sequence[Known]) -> Plan:
        seen.extend(known)
        return Plan([], [], [], [])

    await PostgresRegistrations(pool).register(APP, [row], hashes=[b"h"], now=NOW, plan=look)
    assert [known.attributes for known in seen] == [attribute_sizes(attributes)]


async def test_registrations_add_up_to_the_limit_and_not_beyond(
    pool: Pool, installations: PostgresInstallations
) -> None:
    size = len("a00") + 500
    full: dict[str, Value] = {
        f"a{number:02}": "x" * 500 for number in range(MAX_ATTRIBUTE_BYTES // size)
    }
    await register(pool, [registration(1, facts=Facts(attributes=full))])
    # The same names again replace what they had.
    await register(pool, [registration(1, facts=Facts(attributes=full))])
    with pytest.raises(AssertionError):  # the row is refused
        await register(pool, [registration(1, facts=Facts(attributes={"b": "x" * 500}))])
    stored = await installations.get(APP, key(1))
    assert stored is not None
    assert stored.facts.attributes == full


async def test_another_permission_is_an_event_and_the_same_one_is_none(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1, facts=Facts(permission=Permission.GRANTED))])
    await pool.execute("DELETE FROM change")
    for permission in (None, Permission.GRANTED, Permission.DENIED, Permission.DENIED):
        change = FactsChange(facts=Facts(permission=permission, country="CH"))
        await installations.update(APP, key(1), change, now=NOW)
    assert await permission_events(pool) == [(1, Platform.IOS, Permission.DENIED)]


async def test_of_updates_at_the_same_time_each_change_of_permission_is_one_event(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1, facts=Facts(permission=Permission.GRANTED))])
    await pool.execute("DELETE FROM change")
    denied = FactsChange(facts=Facts(permission=Permission.DENIED))
    await asyncio.gather(*(installations.update(APP, key(1), denied, now=NOW) for _ in range(10)))
    assert len(await permission_events(pool)) == 1


async def times(
    installations: PostgresInstallations, number: int = 1
) -> tuple[datetime | None, datetime | None]:
    stored = await installations.get(APP, key(number))
    assert stored is not None
    return stored.facts.last_seen, stored.last_opened_at


async def test_a_touch_moves_times_on_and_never_back(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    await pool.execute("DELETE FROM change")
    assert await times(installations) == (NOW, None)
    for seen, opened, expected in (
        (None, None, (NOW, None)),
        (LATER, None, (LATER, None)),
        (NOW, NOW, (LATER, NOW)),
        (None, LATER, (LATER, LATER)),
        (NOW, NOW, (LATER, LATER)),
        # One of them moves on, and the other one may not go back with it.
        (LATEST, NOW, (LATEST, LATER)),
        (NOW, LATEST, (LATEST, LATEST)),
    ):
        await installations.touch(APP, [Touch(key(1), seen, opened)])
        assert await times(installations) == expected
    assert await pool.fetchval("SELECT count(*) FROM change") == 0


async def test_touches_tell_who_exists_and_take_the_latest_of_each(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1), registration(2)])
    touches = [
        Touch(key(2), LATER, None),
        Touch(key(9), LATER, LATER),
        Touch(key(1), NOW - timedelta(days=1), None),
        Touch(key(2), NOW, NOW),
    ]
    assert await installations.touch(APP, touches) == {key(1), key(2)}
    assert await times(installations, 1) == (NOW, None)
    assert await times(installations, 2) == (LATER, NOW)
    assert await installations.touch("other", touches) == set()


async def test_a_touch_that_repeats_writes_nothing(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    touches = [Touch(key(1), LATER, LATER)]
    await installations.touch(APP, touches)
    before = await pool.fetchval("SELECT xmin FROM installation")
    await installations.touch(APP, touches)
    assert await pool.fetchval("SELECT xmin FROM installation") == before


async def test_touches_and_registrations_at_the_same_time_all_end(
    pool: Pool, installations: PostgresInstallations
) -> None:
    rows = [registration(number) for number in range(1, 31)]
    await register(pool, rows)
    moments = [NOW + timedelta(seconds=second) for second in range(1, 11)]
    await asyncio.gather(
        *(
            installations.touch(APP, [Touch(row.installation_id, at, at) for row in order])
            for at in moments
            for order in (rows, rows[::-1])
        ),
        *(register(pool, rows[::-1], now=NOW) for _ in range(3)),
    )
    for number in (1, 30):
        assert await times(installations, number) == (moments[-1], moments[-1])
