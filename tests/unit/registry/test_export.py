"""The export: one JSON document, written row by row, that never grows beyond a message."""

import json
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta

import pytest

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.errors import ExportTooLarge
from nuncio_registry.domain.export import Export
from nuncio_registry.domain.model import App
from nuncio_registry.domain.ports.privacy import RecordKind, StoredRow
from nuncio_runtime.clock import ManualClock
from tests.unit.registry.builders import APP, NOW, app, key

Record = tuple[RecordKind, StoredRow]
ENVELOPE = 64


class Records:
    """Gives these records. given: how many were asked for."""

    def __init__(self, records: Sequence[Record]) -> None:
        self._records = records
        self.given = 0
        self.closed = False

    async def records(self, app_id: str, user_id: str) -> AsyncGenerator[Record, None]:
        assert (app_id, user_id) == (APP, "ada")
        try:
            for record in self._records:
                self.given += 1
                yield record
        finally:
            self.closed = True


class OneApp:
    """Has the app of the tests."""

    async def get(self, app_id: str) -> App | None:
        return app(app_id)


def installation(number: int) -> Record:
    return RecordKind.INSTALLATION, {
        "installation_id": key(number),
        "platform": 1,
        "token_hash": bytes(range(32)),
        "user_id": 'ada } " {',
        "created_at": NOW,
        "died_at": None,
        "topics": ["news"],
        "attributes": {"age": {"number": 7.0}},
    }


def consent(number: int, purpose: str = "news") -> Record:
    return RecordKind.CONSENT, {
        "installation_id": key(number),
        "purpose": purpose,
        "state": 1,
        "changed_at": NOW + timedelta(seconds=1),
    }


def change(number: int, kind: int) -> Record:
    return RecordKind.CHANGE, {"installation_id": key(number), "kind": kind, "value": 0}


def export(records: Records, *, max_bytes: int) -> Export:
    clock = ManualClock(NOW)
    apps = Apps(OneApp(), clock)  # type: ignore[arg-type] # only this part is asked
    return Export(records, apps, clock, max_bytes=max_bytes + ENVELOPE)


async def test_history_stands_with_its_installation() -> None:
    records = Records(
        [
            installation(1),
            installation(2),
            consent(1),
            consent(2, "a"),
            consent(2, "b"),
            change(2, 4),
        ]
    )
    document = json.loads(await export(records, max_bytes=10_000).user(APP, "ada"))
    installations = document.pop("installations")
    time = "2026-11-21T12:00:00Z"
    assert document == {"format": 1, "app_id": APP, "user_id": "ada", "export_time": time}
    one, two = installations
    assert one["installation_id"] == str(key(1))
    assert one["platform"] == "ios"
    assert one["token_fingerprint"] == "00010203"
    assert one["user_id"] == 'ada } " {'
    assert one["died_at"] is None
    assert one["consent_events"] == [
        {"purpose": "news", "state": "granted", "changed_at": "2026-11-21T12:00:01Z"}
    ]
    assert (one["events"], one["invalidations"]) == ([], [])
    assert [event["purpose"] for event in two["consent_events"]] == ["a", "b"]
    assert len(two["events"]) == 1
    assert records.closed


async def test_nobody_has_an_empty_list() -> None:
    document = json.loads(await export(Records([]), max_bytes=1_000).user(APP, "ada"))
    assert document["installations"] == []


@pytest.mark.parametrize("history", [0, 1, 5])
async def test_a_document_may_fill_a_message_and_not_a_byte_more(history: int) -> None:
    rows = [installation(1), installation(2), *(consent(2) for _ in range(history))]
    size = len(await export(Records(rows), max_bytes=10_000).user(APP, "ada"))
    assert len(await export(Records(rows), max_bytes=size + 10).user(APP, "ada")) == size
    with pytest.raises(ExportTooLarge):
        await export(Records(rows), max_bytes=size - 1).user(APP, "ada")


async def test_what_is_too_much_is_not_read() -> None:
    records = Records([installation(1), *(consent(1) for _ in range(100_000))])
    with pytest.raises(ExportTooLarge):
        await export(records, max_bytes=10_000).user(APP, "ada")
    assert records.given < 200
    assert records.closed
