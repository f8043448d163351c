"""How old an imported row is, for the registry to compare."""

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio_cli.imports.registration import registration_from
from nuncio_cli.imports.rows import Value

APNS: dict[str, Value] = {"platform": "ios", "token": "ab" * 32}


def time(day: str) -> Timestamp:
    moment = Timestamp()
    moment.FromJsonString(f"{day}T00:00:00Z")
    return moment


@pytest.mark.parametrize(
    ("row", "of_file", "expected"),
    [
        ({}, None, None),
        ({}, "2026-03-01", "2026-03-01"),
        ({"last_seen": "2026-02-01"}, "2026-03-01", "2026-02-01"),
        ({"last_seen": "2026-02-01"}, None, "2026-02-01"),
        ({"last_seen": "2026-04-01"}, "2026-03-01", "2026-03-01"),
        ({"observed_at": "2026-01-01", "last_seen": "2026-02-01"}, "2026-03-01", "2026-01-01"),
        ({"observed_at": "2026-04-01", "last_seen": "2026-02-01"}, "2026-03-01", "2026-04-01"),
    ],
)
def test_a_row_is_as_old_as_its_last_sign_of_life(
    row: dict[str, Value], of_file: str | None, expected: str | None
) -> None:
    made = registration_from(
        {**APNS, **row},
        app_id="shop",
        attribute_types={},
        observed_at=time(of_file) if of_file else None,
    )
    if expected is None:
        assert not made.HasField("observed_at")
    else:
        assert made.observed_at == time(expected)
    assert made.facts.HasField("last_seen") == ("last_seen" in row)
