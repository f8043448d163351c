"""The consent ledger and what the change feed tells of it, on PostgreSQL."""

import asyncio
from datetime import timedelta

from nuncio_registry.domain.model import (
    ChangeKind,
    ConsentChange,
    ConsentEvent,
    ConsentState,
    Platform,
)
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.installations import PostgresInstallations
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, key, registration

GRANTED, DENIED = ConsentState
LATER = NOW + timedelta(minutes=1)


async def feed(pool: Pool) -> list[tuple[int, ChangeKind, int, str]]:
    """Installation, kind, value and detail, in order."""
    query = "SELECT installation_id, kind, value, detail FROM change ORDER BY change_id"
    return [(row[0].int, ChangeKind(row[1]), row[2], row[3]) for row in await pool.fetch(query)]


def said(number: int, purpose: str, state: ConsentState) -> tuple[int, ChangeKind, int, str]:
    return (number, ChangeKind.CONSENT_CHANGED, state, purpose)


async def ledger(
    installations: PostgresInstallations, before: int | None = None, limit: int = 100
) -> list[ConsentEvent]:
    events = await installations.consent_events(APP, key(1), before=before, limit=limit)
    assert events is not None
    return events


async def test_the_ledger_keeps_every_word_newest_first(
    pool: Pool, installations: PostgresInstallations
) -> None:
    first = ConsentChange("news", GRANTED, "onboarding", "pre_prompt", "2026-01", "person")
    second = ConsentChange("tips", DENIED, "settings")
    third = ConsentChange("news", DENIED, actor="crm")
    await register(pool, [registration(1, consents=(first, second)), registration(2)])
    await installations.set_consent(APP, key(1), changes=[third], now=LATER)
    await installations.set_consent(APP, key(2), changes=[first], now=LATER)
    events = await ledger(installations)
    assert [(event.change, event.recorded_at) for event in events] == [
        (third, LATER),
        (second, NOW),
        (first, NOW),
    ]


async def test_the_ledger_is_read_in_pages(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    for number in range(5):
        change = ConsentChange("ab"[number % 2], GRANTED, policy_version=str(number))
        await installations.set_consent(APP, key(1), changes=[change], now=NOW)
    read: list[str] = []
    before = None
    while page := await ledger(installations, before, 2):
        read += [event.change.policy_version for event in page]
        before = page[-1].event_id
    assert read == ["4", "3", "2", "1", "0"]


async def test_an_empty_ledger_is_no_unknown_installation(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    assert await ledger(installations) == []
    assert await installations.consent_events(APP, key(2), before=None, limit=1) is None
    assert await installations.consent_events("other", key(1), before=None, limit=1) is None


async def test_the_feed_tells_of_every_entry_and_of_no_repetition(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    await pool.execute("DELETE FROM change")
    granted, denied = ConsentChange("news", GRANTED), ConsentChange("news", DENIED)
    tips = ConsentChange("tips", GRANTED)
    for changes in ([granted], [granted, tips], [denied, tips], [denied]):
        await installations.set_consent(APP, key(1), changes=changes, now=NOW)
    assert await feed(pool) == [
        said(1, "news", GRANTED),
        said(1, "tips", GRANTED),
        said(1, "news", DENIED),
    ]
    platforms = await pool.fetch("SELECT DISTINCT platform FROM change")
    assert [row["platform"] for row in platforms] == [Platform.IOS]


async def test_a_registration_tells_first_of_itself_and_then_of_consent(pool: Pool) -> None:
    agreed = (ConsentChange("tips", DENIED), ConsentChange("news", GRANTED))
    rows = [registration(number, consents=agreed) for number in (1, 2)]
    await register(pool, rows)
    await register(pool, rows)  # as every start of the app does
    events = [event for event in await feed(pool) if event[1] != ChangeKind.PERMISSION_CHANGED]
    assert events == [
        (1, ChangeKind.REGISTERED, 0, ""),
        (2, ChangeKind.REGISTERED, 0, ""),
        said(1, "tips", DENIED),
        said(1, "news", GRANTED),
        said(2, "tips", DENIED),
        said(2, "news", GRANTED),
    ]


async def test_rows_of_one_page_do_not_repeat_each_other(pool: Pool) -> None:
    row = registration(1, consents=(ConsentChange("news", GRANTED),))
    other = row._replace(consents=(ConsentChange("news", DENIED),))
    await register(pool, [row, row, other, row])
    events = [event for event in await feed(pool) if event[1] == ChangeKind.CONSENT_CHANGED]
    assert events == [said(1, "news", state) for state in (GRANTED, DENIED, GRANTED)]


async def test_of_many_who_say_the_same_at_once_one_is_recorded(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await register(pool, [registration(1)])
    await pool.execute("DELETE FROM change")
    change = ConsentChange("news", GRANTED)
    await asyncio.gather(
        *(installations.set_consent(APP, key(1), changes=[change], now=NOW) for _ in range(10))
    )
    assert len(await ledger(installations)) == 1
    assert await feed(pool) == [said(1, "news", GRANTED)]
