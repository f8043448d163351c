"""Erasure, export and audit, as callers see them."""

import json
from collections.abc import AsyncIterator, Awaitable
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from nuncio.registry.v1 import app_pb2, installation_pb2, predicate_pb2, privacy_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.storage.connection import Pool
from nuncio_runtime.client import RemoteError
from nuncio_runtime.postgres import open_pool
from tests.integration.registry.running import Registry, running_registry, timestamp
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP, hex_token, key

GRANTED = installation_pb2.ConsentChange(
    purpose="news", state=installation_pb2.CONSENT_STATE_GRANTED, prompt_strategy="pre_prompt"
)
USER = "ada-lovelace-1815"

TABLES = """
    SELECT format('%I.%I', n.nspname, c.relname) AS name
      FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
     WHERE n.nspname = 'registry' AND c.relkind = 'r'
"""


class House(NamedTuple):
    """A running registry, and a way to its tables."""

    registry: Registry
    tables: Pool

    async def where(self, text: str) -> dict[str, list[str]]:
        """The rows of every table of the schema that have the text in any column."""
        found = {}
        for table in await self.tables.fetch(TABLES):
            query = f"SELECT t::text FROM {table['name']} AS t WHERE t::text ILIKE $1"  # noqa: S608
            rows = [row["t"] for row in await self.tables.fetch(query, f"%{text}%")]
            if rows:
                found[table["name"].removeprefix("registry.")] = rows
        return found

    async def events(self, **wanted: Any) -> list[privacy_pb2.AuditEvent]:
        """The audit but for its own listings, the newest first."""
        request = pb.ListAuditEventsRequest(**wanted)
        listed = await self.registry.stub.ListAuditEvents(request)
        return [event for event in listed.events if event.method != "ListAuditEvents"]


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        running_registry(database, tmp_path) as registry,
        open_pool(database) as tables,
    ):
        await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
        yield House(registry, tables)


async def lived(house: House, number: int = 1, token: str = "") -> None:
    """An installation of the user that has rows in every table."""
    token = token or hex_token()
    await house.registry.register(number, token, user_id=USER, consents=[GRANTED])
    (page,) = await house.registry.pages(
        predicate=predicate_pb2.Predicate(
            comparison=predicate_pb2.Comparison(
                field=predicate_pb2.PREDICATE_FIELD_INSTALLATION_ID,
                operator=predicate_pb2.PREDICATE_OPERATOR_IN,
                values=[predicate_pb2.PredicateValue(text=str(key(number)))],
            )
        )
    )
    dead = pb.DeadToken(
        installation_id=key(number).bytes,
        token_ref=page.page.token_refs,
        dead_since=timestamp(house.registry.clock, seconds=1),
        reason="Unregistered",
    )
    await house.registry.stub.InvalidateTokens(
        pb.InvalidateTokensRequest(app_id=APP, tokens=[dead])
    )
    house.registry.clock.advance(2)
    await house.registry.register(number, token)


def erase_user() -> pb.EraseUserRequest:
    return pb.EraseUserRequest(app_id=APP, user_id=USER)


async def refused(call: Awaitable[Any]) -> RemoteError:
    with pytest.raises(RemoteError) as error:
        await call
    return error.value


async def test_an_erased_user_is_in_no_table_any_more(house: House) -> None:
    await lived(house, 1)
    await lived(house, 2)
    query = "SELECT encode(token_hash, 'hex') AS hash FROM installation"
    hashes = [row["hash"] for row in await house.tables.fetch(query)]
    assert len(hashes) == 2
    assert await house.where(USER)
    record = (await house.registry.stub.EraseUser(erase_user())).record
    assert {row.table for row in record.removed if row.count} == {
        "installation", "live_token", "consent_event", "change", "invalidation",
    }  # fmt: skip
    assert await house.where(USER) == {}
    for hash_ in hashes:
        assert await house.where(hash_) == {}
    for number in (1, 2):
        left = await house.where(str(key(number)))
        assert [name.rpartition("_")[0] for name in left] == ["change"]
        assert [len(rows) for rows in left.values()] == [1]
    kinds = await house.tables.fetch("SELECT DISTINCT kind FROM change")
    assert [row["kind"] for row in kinds] == [10]


async def test_a_proof_is_found_by_the_id_of_its_subject(house: House) -> None:
    stub = house.registry.stub
    await house.registry.register(1, user_id=USER)
    await house.registry.register(0xAB)
    user = (await stub.EraseUser(erase_user())).record
    house.registry.clock.advance(1)
    id_ = str(key(0xAB))
    request = pb.EraseInstallationRequest(app_id=APP, installation_id=id_)
    one = (await stub.EraseInstallation(request)).record
    house.registry.clock.advance(1)
    again = (await stub.EraseInstallation(request)).record
    assert user.subject == privacy_pb2.ERASURE_SUBJECT_USER
    assert one.subject_hash == again.subject_hash != user.subject_hash
    assert not any(row.count for row in again.removed)

    async def listed(**wanted: Any) -> list[privacy_pb2.ErasureRecord]:
        return list((await stub.ListErasures(pb.ListErasuresRequest(app_id=APP, **wanted))).records)

    assert await listed() == [again, one, user]
    assert await listed(user_id=USER) == [user]
    assert await listed(installation_id=id_.upper()) == [again, one]
    assert await listed(user_id="somebody") == []
    first = await stub.ListErasures(pb.ListErasuresRequest(app_id=APP, page_size=2))
    assert list(first.records) == [again, one]
    assert await listed(page_size=2, page_token=first.next_page_token) == [user]
    mismatch = await refused(listed(user_id=USER, page_token=first.next_page_token))
    assert mismatch.reason == "PAGE_TOKEN_MISMATCH"


async def test_an_export_tells_everything_but_the_token(house: House) -> None:
    token = hex_token()
    await lived(house, 1, token)
    await house.registry.register(2, user_id="somebody-else")
    request = pb.ExportUserRequest(app_id=APP, user_id=USER)
    written = (await house.registry.stub.ExportUser(request)).document
    assert token.encode() not in written
    document = json.loads(written)
    assert {document[name] for name in ("app_id", "user_id")} == {APP, USER}
    assert document["export_time"] == "2026-11-21T12:00:02Z"
    (installation,) = document["installations"]
    assert installation["installation_id"] == str(key(1))
    assert installation["platform"] == "ios"
    assert installation["token_state"] == "active"
    assert installation["created_at"] == "2026-11-21T12:00:00Z"
    stored = await house.registry.installation(1)
    assert installation["token_fingerprint"] == stored.token_fingerprint
    assert "token_hash" not in installation
    (consent,) = installation["consent_events"]
    assert (consent["purpose"], consent["state"]) == ("news", "granted")
    assert consent["prompt_strategy"] == "pre_prompt"
    (invalidation,) = installation["invalidations"]
    assert invalidation["reason"] == "Unregistered"
    assert {"registered", "invalidated"} <= {event["kind"] for event in installation["events"]}


async def test_an_unknown_user_is_exported_and_erased_as_nothing(house: House) -> None:
    request = pb.ExportUserRequest(app_id=APP, user_id="nobody")
    document = json.loads((await house.registry.stub.ExportUser(request)).document)
    assert document["installations"] == []
    unknown = await refused(
        house.registry.stub.ExportUser(pb.ExportUserRequest(app_id="x", user_id=USER))
    )
    assert unknown.reason == "APP_NOT_FOUND"


async def test_a_selection_is_recorded_before_and_after_with_its_rows(house: House) -> None:
    for number in (1, 2, 3):
        await house.registry.register(number)
    await house.registry.pages(page_size=2)
    end, start = await house.events(app_id=APP, method="SelectTargets")
    assert start.details == {"purpose": "", "installations": "all", "phase": "start"}
    assert end.details == {**start.details, "phase": "end", "rows": "3"}
    assert start.request_id == end.request_id != ""
    assert (start.peer, start.principal) == ("127.0.0.1", "")


async def test_administrative_calls_are_recorded_without_user_ids(house: House) -> None:
    stub = house.registry.stub
    await house.registry.register(1, user_id=USER)
    await stub.ExportUser(pb.ExportUserRequest(app_id=APP, user_id=USER))
    record = (await stub.EraseUser(erase_user())).record
    await stub.ListErasures(pb.ListErasuresRequest(app_id=APP))
    events = await house.events()
    methods = [event.method for event in events]
    assert methods == ["ListErasures", "EraseUser", "ExportUser", "CreateApp"]
    assert events[1].details == events[2].details == {"subject": record.subject_hash.hex()}
    assert USER not in str(events)
    (listing,) = (
        await stub.ListAuditEvents(pb.ListAuditEventsRequest(method="ListAuditEvents", page_size=1))
    ).events
    assert listing.details == {"method": "ListAuditEvents"}


async def test_the_audit_is_paged_newest_first(house: House) -> None:
    for _ in range(3):
        house.registry.clock.advance(1)
        await house.registry.stub.EraseUser(erase_user())
    request = pb.ListAuditEventsRequest(app_id=APP, method="EraseUser", page_size=2)
    first = await house.registry.stub.ListAuditEvents(request)
    request.page_token = first.next_page_token
    second = await house.registry.stub.ListAuditEvents(request)
    times = [event.record_time.ToSeconds() for event in [*first.events, *second.events]]
    assert len(first.events) == 2
    assert times == sorted(times, reverse=True)
    assert len(times) == 3
    assert second.next_page_token == ""


async def test_what_cannot_be_audited_does_not_happen(house: House) -> None:
    await house.registry.register(1, user_id=USER)
    await house.tables.execute("ALTER TABLE audit_event RENAME TO lost")
    selection = house.registry.stub.SelectTargets(pb.SelectTargetsRequest(app_id=APP))
    await refused(anext(aiter(selection)))  # The first page does not come.
    await refused(house.registry.stub.EraseUser(erase_user()))
    await refused(house.registry.stub.ExportUser(pb.ExportUserRequest(app_id=APP, user_id=USER)))
    assert (await house.registry.installation(1)).user_id == USER
