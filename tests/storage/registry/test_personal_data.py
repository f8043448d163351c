"""The contract of `PersonalData`: what is erased is gone from every table, what is kept is told."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID, uuid4

import pytest

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.errors import ExportTooLarge
from nuncio_registry.domain.export import Export
from nuncio_registry.domain.model import (
    ChangeKind,
    ConsentChange,
    ConsentState,
    DeadToken,
    Facts,
    Permission,
    RegistrationOutcome,
    Version,
)
from nuncio_registry.domain.ports.privacy import (
    Erasure,
    ErasureMark,
    ErasureSubject,
    RecordKind,
    StoredRow,
)
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_registry.storage.privacy import PostgresPersonalData
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, hex_token, key, key_ring, registration

CONSENT = ConsentChange("news", ConsentState.GRANTED, source="settings", actor="ada")
TABLES = ("installation", "live_token", "consent_event", "change", "invalidation")


@pytest.fixture
def data(pool: Pool) -> PostgresPersonalData:
    return PostgresPersonalData(pool)


def proof(seconds: int = 0, *, subject_hash: bytes = b"h" * 16) -> Erasure:
    return Erasure(
        erasure_id=uuid4(),
        app_id=APP,
        subject=ErasureSubject.USER,
        subject_hash=subject_hash,
        removed={},
        principal="operator",
        erased_at=NOW + timedelta(seconds=seconds),
    )


async def lived(pool: Pool, numbers: Sequence[int], user_id: str | None = "ada") -> None:
    """Installations that have rows in every table: registered, died, and registered again."""
    rows = [registration(n, user_id=user_id, consents=(CONSENT,)) for n in numbers]
    await register(pool, rows)
    dead = [
        DeadToken(row.installation_id, key_ring().hash(row.provider, row.token)[:16], NOW, "Gone")
        for row in rows
    ]
    await PostgresLifecycle(pool).invalidate(APP, dead, now=NOW)
    later = NOW + timedelta(seconds=1)
    await register(pool, [row._replace(observed_at=later) for row in rows], now=later)


async def counts(pool: Pool, *ids: UUID) -> dict[str, int]:
    """The rows of these installations in each table."""
    found = {}
    for table in TABLES:
        query = f"SELECT count(*) FROM {table} WHERE installation_id = ANY($1)"  # noqa: S608
        found[table] = await pool.fetchval(query, ids)
    return found


async def kinds(pool: Pool, number: int) -> list[ChangeKind]:
    query = "SELECT kind FROM change WHERE installation_id = $1 ORDER BY change_id"
    return [ChangeKind(row["kind"]) for row in await pool.fetch(query, key(number))]


async def test_a_user_goes_from_every_table_and_nobody_else_does(
    pool: Pool, data: PostgresPersonalData
) -> None:
    await lived(pool, [1, 2])
    await lived(pool, [3], "bob")
    await lived(pool, [4], None)
    before = await counts(pool, key(1), key(2))
    assert all(before.values())
    others = await counts(pool, key(3), key(4))
    done = await data.erase_user("ada", proof())
    assert done.removed == before
    assert await counts(pool, key(1), key(2)) == dict.fromkeys(TABLES, 0) | {"change": 2}
    assert await kinds(pool, 1) == await kinds(pool, 2) == [ChangeKind.ERASED]
    assert await counts(pool, key(3), key(4)) == others
    assert await data.erasures(APP, subject_hash=None, before=None, limit=9) == [done]


async def test_erasing_again_removes_nothing_and_keeps_the_event(
    pool: Pool, data: PostgresPersonalData
) -> None:
    await lived(pool, [1])
    await data.erase_installation(key(1), proof())
    for again in (
        await data.erase_user("ada", proof(1)),
        await data.erase_installation(key(1), proof(2)),
    ):
        assert again.removed == dict.fromkeys(TABLES, 0)
    assert await kinds(pool, 1) == [ChangeKind.ERASED]
    assert len(await data.erasures(APP, subject_hash=None, before=None, limit=9)) == 3


async def test_the_history_of_an_installation_that_is_gone_goes_too(
    pool: Pool, data: PostgresPersonalData
) -> None:
    await lived(pool, [1])
    await pool.execute("DELETE FROM installation")
    done = await data.erase_installation(key(1), proof())
    assert done.removed["change"] > 0
    assert (await counts(pool, key(1)))["change"] == 0


async def test_a_user_with_thousands_of_installations_is_one_erasure(
    pool: Pool, data: PostgresPersonalData
) -> None:
    for first in (1, 1001, 2001):
        await register(pool, [registration(n, user_id="ada") for n in range(first, first + 900)])
    done = await data.erase_user("ada", proof())
    assert done.removed["installation"] == done.removed["live_token"] == 2700
    query = "SELECT count(*) FROM change WHERE kind = 10"
    assert await pool.fetchval(query) == 2700


async def test_a_token_of_the_erased_may_be_registered_by_others(
    pool: Pool, data: PostgresPersonalData
) -> None:
    token = hex_token()
    await register(pool, [registration(1, token, user_id="ada")])
    await data.erase_user("ada", proof())
    outcome = await register(pool, [registration(2, token)])
    assert outcome == [RegistrationOutcome.CREATED]


async def test_registrations_at_the_same_time_come_before_or_after(
    pool: Pool, data: PostgresPersonalData
) -> None:
    """Whoever is there afterwards is new: nothing of before is left in it."""
    tokens = {n: hex_token() for n in range(1, 21)}
    old = Facts(permission=Permission.GRANTED, topics=("old",))
    await register(
        pool,
        [
            registration(n, t, user_id="ada", facts=old, consents=(CONSENT,))
            for n, t in tokens.items()
        ],
    )

    async def again(number: int, seconds: int) -> list[RegistrationOutcome]:
        row = registration(number, tokens[number], user_id="ada")
        return await register(pool, [row], now=NOW + timedelta(seconds=seconds))

    halves = (range(1, 11), range(11, 21))
    await asyncio.gather(
        *(again(n, 1) for n in halves[0]),
        data.erase_user("ada", proof(1)),
        *(again(n, 2) for n in halves[1]),
        data.erase_user("ada", proof(2)),
        *(again(n, 3) for n in halves[0]),
    )
    left = await pool.fetch("SELECT installation_id, topics, consents_granted FROM installation")
    assert all((row["topics"], row["consents_granted"]) == ([], []) for row in left)
    owners = await pool.fetch("SELECT installation_id FROM live_token")
    assert sorted(row["installation_id"] for row in owners) == sorted(
        row["installation_id"] for row in left
    )
    assert await pool.fetchval("SELECT count(*) FROM consent_event") == 0
    query = """
        SELECT count(*) FROM change AS c
          LEFT JOIN installation AS i USING (app_id, installation_id)
         WHERE i.installation_id IS NULL AND c.kind <> 10
    """
    assert await pool.fetchval(query) == 0


async def test_proofs_are_listed_newest_first_by_subject_and_in_pages(
    data: PostgresPersonalData,
) -> None:
    done = [
        await data.erase_user("ada", proof(n // 2, subject_hash=bytes((n % 3,)) * 16))
        for n in range(9)
    ]
    newest_first = sorted(done, key=lambda p: (p.erased_at, p.erasure_id), reverse=True)
    found: list[Erasure] = []
    mark: ErasureMark | None = None
    while page := await data.erasures(APP, subject_hash=None, before=mark, limit=2):
        found += page
        mark = ErasureMark(page[-1].erased_at, page[-1].erasure_id)
    assert found == newest_first
    one = await data.erasures(APP, subject_hash=bytes((1,)) * 16, before=None, limit=9)
    assert one == [p for p in newest_first if p.subject_hash == bytes((1,)) * 16]
    assert await data.erasures("other", subject_hash=None, before=None, limit=9) == []


async def records_of(data: PostgresPersonalData, user_id: str) -> dict[RecordKind, list[StoredRow]]:
    """All of them, in the order in which their kinds come."""
    found: dict[RecordKind, list[StoredRow]] = {}
    async for kind, row in data.records(APP, user_id):
        found.setdefault(kind, []).append(row)
    return found


async def test_records_have_every_column_but_the_sealed_token(
    pool: Pool, data: PostgresPersonalData
) -> None:
    """Who adds a column decides here whether the export tells it."""
    await lived(pool, [1])
    records = await records_of(data, "ada")
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = $1"
    for table, rows, untold in (
        (
            "installation",
            records[RecordKind.INSTALLATION],
            # Sealed; computed from others.
            {
                "token_sealed",
                "token_key_id",
                "app_version_parts",
                "os_version_parts",
                "content_hash",
            },
        ),
        ("consent_event", records[RecordKind.CONSENT], {"event_id"}),
        ("change", records[RecordKind.CHANGE], {"transaction_id", "change_id", "platform"}),
        ("invalidation", records[RecordKind.INVALIDATION], {"invalidation_id"}),
    ):
        columns = {row["column_name"] for row in await pool.fetch(query, table)}
        assert set(rows[0]) == columns - untold - {"app_id"}, table


async def test_records_are_of_the_user_alone(pool: Pool, data: PostgresPersonalData) -> None:
    await lived(pool, [1, 3])
    await lived(pool, [2], "bob")
    typed = Facts(attributes={"age": 7.0, "plan": "free", "since": NOW, "seen": Version("2.3")})
    await register(pool, [registration(3, user_id="ada", facts=typed)], now=NOW + timedelta(days=1))
    records = await records_of(data, "ada")
    assert list(records) == list(RecordKind)
    for rows in records.values():
        assert {row["installation_id"] for row in rows} == {key(1), key(3)}
    assert records[RecordKind.INSTALLATION][1]["attributes"] == {
        "age": {"number": 7.0},
        "plan": {"text": "free"},
        "since": {"time": NOW},
        "seen": {"version": "2.3"},
    }


async def test_an_export_that_fits_no_message_is_refused(
    pool: Pool, data: PostgresPersonalData
) -> None:
    await lived(pool, range(1, 30))
    apps = Apps(PostgresApps(pool), ManualClock(NOW))
    written = await Export(data, apps, ManualClock(NOW), max_bytes=1 << 20).user(APP, "ada")
    assert len(written) < 1 << 20
    with pytest.raises(ExportTooLarge) as refused:
        await Export(data, apps, ManualClock(NOW), max_bytes=len(written)).user(APP, "ada")
    assert refused.value.metadata["appId"] == APP
    assert "ada" not in str(refused.value)


# What writers leave when the erasure has begun already, and waits for them.
ADDS_HISTORY = """
    UPDATE installation SET last_seen_at = now();
    INSERT INTO consent_event
    SELECT app_id, installation_id, 'offers', event_id + 100, state, source, prompt_strategy,
           policy_version, actor, changed_at
      FROM consent_event
"""
CHANGES_THE_USER = "UPDATE installation SET user_id = 'bob'"

BLOCKED = """
    SELECT EXISTS (
      SELECT FROM pg_stat_activity
       WHERE datname = current_database() AND wait_event_type = 'Lock')
"""


@pytest.mark.parametrize(
    ("meanwhile", "left"), [(ADDS_HISTORY, 0), (CHANGES_THE_USER, 1)], ids=["history", "user"]
)
async def test_an_erasure_sees_what_was_written_while_it_waited(
    pool: Pool, data: PostgresPersonalData, meanwhile: str, left: int
) -> None:
    await register(pool, [registration(1, user_id="ada", consents=(CONSENT,))])
    async with pool.acquire() as writer:
        transaction = writer.transaction()
        await transaction.start()
        await writer.execute(meanwhile)
        erasing = asyncio.create_task(data.erase_user("ada", proof()))
        while not await pool.fetchval(BLOCKED):
            assert not erasing.done()
        await transaction.commit()
    assert (await erasing).removed["installation"] == 1 - left
    found = await counts(pool, key(1))
    assert (found["installation"], found["consent_event"]) == (left, left)
