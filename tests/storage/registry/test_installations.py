"""The contract of Installations besides registration, and of AppStore, on PostgreSQL."""

import asyncio
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest

from nuncio_registry.domain.keys import FIRST_KEY, LAST_KEY
from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentState,
    DeadToken,
    Facts,
    FactsChange,
    InvalidationOutcome,
    Permission,
    Platform,
    Suppression,
    Version,
)
from nuncio_registry.domain.ports.selection import Selection
from nuncio_registry.domain.predicate import (
    AllOf,
    AnyOf,
    Comparison,
    Field,
    NoneOf,
    Operator,
    Predicate,
)
from nuncio_registry.domain.sealing import TOKEN_REF_BYTES
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_registry.storage.selection import PostgresSelections
from nuncio_runtime.errors import InvalidField
from nuncio_runtime.postgres import parse_queries
from tests.storage.registry.registering import register
from tests.storage.registry.surveying import counted, listed, those
from tests.unit.registry.builders import APP, NOW, app, hex_token, key, key_ring, registration
from tests.unit.registry.test_queries import FILES

GRANTED, DENIED = ConsentState


async def test_every_query_suits_the_schema(pool: Pool) -> None:
    async with pool.acquire() as connection:
        for file in FILES:
            queries = parse_queries(file.read_text(encoding="utf-8"))
            for name in queries:
                await connection.prepare(getattr(queries, name))


async def test_an_app_that_is_there_stays(pool: Pool) -> None:
    apps = PostgresApps(pool)
    later = app(stale_after=timedelta(days=1))
    assert await apps.create(later) == app()
    assert await apps.get(APP) == app()
    assert await apps.get("nobody") is None


async def test_an_update_that_goes_too_far_changes_nothing(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    before = await installations.get(APP, key(1))
    many = FactsChange(facts=Facts(attributes={f"a{n}": float(n) for n in range(101)}))
    with pytest.raises(InvalidField):
        await installations.update(APP, key(1), many, now=NOW)
    assert await installations.get(APP, key(1)) == before


async def test_users_change_one_after_the_other(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    names = [f"user{n}" for n in range(20)]
    before = await asyncio.gather(*(installations.set_user(APP, key(1), n, now=NOW) for n in names))
    stored = await installations.get(APP, key(1))
    assert stored is not None
    # Each saw the one before, so that together they are everybody but the last one.
    assert sorted([*(b or "" for b in before), stored.user_id]) == sorted(["", *names])


async def test_consents_change_one_after_the_other(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    changes = [[ConsentChange(f"p{n}", state) for n in range(5)] for state in (GRANTED, DENIED)]
    await asyncio.gather(
        *(installations.set_consent(APP, key(1), changes=c, now=NOW) for c in changes * 5)
    )
    stored = await installations.get(APP, key(1))
    assert stored is not None
    latest = """
        SELECT DISTINCT ON (purpose) purpose, state FROM consent_event
         ORDER BY purpose, event_id DESC
    """
    assert stored.consents == {row["purpose"]: row["state"] for row in await pool.fetch(latest)}


async def test_a_consent_that_repeats_is_recorded_once(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    for version in ("1", "1", "2"):
        change = ConsentChange("news", GRANTED, policy_version=version)
        await installations.set_consent(APP, key(1), changes=[change], now=NOW)
    assert await pool.fetchval("SELECT count(*) FROM consent_event") == 2


async def test_nobody_is_changed_where_there_is_nobody(
    installations: PostgresInstallations,
) -> None:
    assert await installations.get(APP, key(1)) is None
    assert await installations.update(APP, key(1), FactsChange(), now=NOW) is None
    assert await installations.set_user(APP, key(1), "ada", now=NOW) is None
    assert await installations.set_consent(APP, key(1), changes=[], now=NOW) is None


def selection(
    predicate: Predicate | None = None, *, first: UUID = FIRST_KEY, last: UUID = LAST_KEY
) -> Selection:
    return Selection(APP, predicate, "news", NOW - timedelta(days=30), first, last)


async def test_a_page_of_rows_counts_both_sorts(pool: Pool, selections: PostgresSelections) -> None:
    agreed = (ConsentChange("news", GRANTED),)
    rows = [registration(n, consents=agreed if n % 2 else ()) for n in range(1, 8)]
    await register(pool, rows)
    page = await selections.scan(selection(first=key(2)), limit=4, keys=100)
    assert page.ids == key(3).bytes + key(5).bytes
    assert page.cursor == key(5)
    assert page.suppressed == {Suppression.NO_CONSENT: 2}
    assert (await selections.scan(selection(first=key(8)), limit=4, keys=100)).is_empty
    counts = await counted(pool, selection(last=key(6)))
    assert counts.reachable == {Platform.IOS: 3}
    assert counts.suppressed == {Suppression.NO_CONSENT: 3}


async def test_a_death_report_and_a_registration_leave_the_newer_one(
    pool: Pool, lifecycle: PostgresLifecycle, selections: PostgresSelections
) -> None:
    token = hex_token()
    row = registration(1, token)
    ref = key_ring().hash(row.provider, row.token)[:TOKEN_REF_BYTES]
    dead = DeadToken(key(1), ref, NOW, "Unregistered")
    await register(pool, [row])
    later = NOW + timedelta(seconds=1)
    await asyncio.gather(
        *(lifecycle.invalidate(APP, [dead], now=later) for _ in range(5)),
        register(pool, [row], now=later),
        *(lifecycle.invalidate(APP, [dead], now=later) for _ in range(5)),
    )
    page = await selections.scan(selection(), limit=10, keys=100)
    assert page.suppressed == {Suppression.NO_CONSENT: 1}  # Which asks for a live token first.
    assert await lifecycle.invalidate(APP, [dead], now=later) == [InvalidationOutcome.KEPT_NEWER]


TIME = datetime(2026, 5, 1, tzinfo=UTC)
PEOPLE = [
    registration(
        1,
        user_id="ada",
        facts=Facts(
            permission=Permission.GRANTED,
            language="pt-BR",
            country="BR",
            time_zone="America/Sao_Paulo",
            app_version="2.3.0",
            os_version="17.1",
            device_model="A",
            topics=("news", "sport"),
            attributes={
                "plan": "free",
                "age": 7.0,
                "vip": True,
                "born": TIME,
                "build": Version("1.10"),
            },
            last_seen=TIME,
        ),
        consents=(ConsentChange("news", GRANTED), ConsentChange("tips", DENIED)),
    ),
    registration(
        2,
        platform=Platform.ANDROID,
        user_id="bob",
        facts=Facts(
            permission=Permission.DENIED,
            language="pt",
            country="PT",
            app_version="2.10-rc1",
            topics=("news",),
            attributes={"plan": 7.0, "age": "7", "build": Version("1.9.9")},
        ),
    ),
    registration(3, facts=Facts()),
]


def compare(field: Field, operator: Operator, *values: object, attribute: str = "") -> Comparison:
    return Comparison(field, operator, values, attribute)  # type: ignore[arg-type]


IN, LESS, LESS_OR_EQUAL, GREATER, GREATER_OR_EQUAL, HAS, PRESENT = Operator
ATTRIBUTE = Field.ATTRIBUTE
V = Version

MATCHES: list[tuple[Predicate, set[int]]] = [
    (AllOf(()), {1, 2, 3}),
    (compare(Field.INSTALLATION_ID, IN, str(key(1)), str(key(3))), {1, 3}),
    (compare(Field.USER_ID, IN, "ada", "eve"), {1}),
    (compare(Field.USER_ID, PRESENT), {1, 2}),
    (compare(Field.PLATFORM, IN, "ios"), {1, 3}),
    (compare(Field.ENVIRONMENT, IN, "production"), {1, 2, 3}),
    (compare(Field.ENVIRONMENT, IN, "sandbox"), set()),
    (compare(Field.LANGUAGE, IN, "pt"), {1, 2}),
    (compare(Field.LANGUAGE, IN, "PT_br"), {1}),
    (compare(Field.COUNTRY, IN, "BR", "PT"), {1, 2}),
    (compare(Field.TIME_ZONE, IN, "America/Sao_Paulo"), {1}),
    (compare(Field.APP_VERSION, IN, V("2.3"), V("9")), {1}),
    (compare(Field.APP_VERSION, GREATER, V("2.3.0")), {2}),
    (compare(Field.APP_VERSION, GREATER_OR_EQUAL, V("2.3")), {1, 2}),
    (compare(Field.APP_VERSION, LESS, V("2.10")), {1}),
    (compare(Field.OS_VERSION, LESS_OR_EQUAL, V("17.1.0")), {1}),
    (compare(Field.DEVICE_MODEL, IN, "A"), {1}),
    (compare(Field.PERMISSION, IN, "undetermined", "denied"), {2, 3}),
    (compare(Field.TOPICS, HAS, "sport", "music"), {1}),
    (compare(Field.TOPICS, PRESENT), {1, 2}),
    (compare(Field.CONSENTS, HAS, "news", "tips"), {1}),
    (compare(Field.LAST_SEEN, LESS, TIME + timedelta(seconds=1)), {1}),
    (compare(Field.LAST_SEEN, IN, TIME), {1}),
    (compare(Field.CREATED, GREATER_OR_EQUAL, NOW), {1, 2, 3}),
    (compare(Field.TOKEN_CHANGED, GREATER, NOW), set()),
    (compare(Field.LAST_OPENED, PRESENT), set()),
    (compare(ATTRIBUTE, IN, "free", "pro", attribute="plan"), {1}),
    (compare(ATTRIBUTE, IN, 7.0, attribute="plan"), {2}),
    (compare(ATTRIBUTE, IN, True, attribute="vip"), {1}),
    (compare(ATTRIBUTE, IN, TIME, attribute="born"), {1}),
    (compare(ATTRIBUTE, IN, V("1.10.0"), attribute="build"), {1}),
    (compare(ATTRIBUTE, GREATER, 6.5, attribute="age"), {1}),
    (compare(ATTRIBUTE, LESS, TIME, attribute="born"), set()),
    (compare(ATTRIBUTE, LESS_OR_EQUAL, TIME, attribute="born"), {1}),
    (compare(ATTRIBUTE, LESS, V("1.10"), attribute="build"), {2}),
    (compare(ATTRIBUTE, PRESENT, attribute="age"), {1, 2}),
    (compare(ATTRIBUTE, PRESENT, attribute="'; DROP TABLE app; --"), set()),
    (NoneOf(compare(Field.COUNTRY, IN, "BR")), {2, 3}),
    (NoneOf(NoneOf(compare(Field.COUNTRY, IN, "BR"))), {1}),
    (NoneOf(compare(ATTRIBUTE, IN, "free", attribute="plan")), {2, 3}),
    (
        AllOf(
            (
                AnyOf((compare(Field.COUNTRY, IN, "BR"), compare(Field.COUNTRY, IN, "PT"))),
                NoneOf(compare(Field.TOPICS, HAS, "sport")),
            )
        ),
        {2},
    ),
]


async def test_predicates_find_whom_they_describe(pool: Pool) -> None:
    await register(pool, PEOPLE)
    for predicate, expected in MATCHES:
        found = await listed(pool, those(predicate))
        assert {row.installation_id.int for row in found} == expected, predicate


async def test_other_apps_are_never_found(pool: Pool) -> None:
    await register(pool, PEOPLE)
    everyone = NoneOf(AnyOf((compare(Field.COUNTRY, IN, "XX"),)))
    assert await listed(pool, those(everyone, app_id="other")) == []
