"""Times at which tokens were seen: in a file, and of the file."""

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from nuncio_cli.app import root
from nuncio_cli.imports.job import observed_as_told
from nuncio_cli.imports.registration import registration_from, time_seen
from nuncio_cli.imports.rows import BadValueError, Value

APNS: dict[str, Value] = {"platform": "ios", "token": "ab" * 32}
NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)
SINCE_2000 = "must be a time since the year 2000, as 2026-11-22T10:00:00Z or in Unix seconds"


@pytest.mark.parametrize("field", ["last_seen", "observed_at"])
@pytest.mark.parametrize(
    "value", ["20261122", "12", 12, "1065-01-01", "1999-12-31T23:59:59Z", "946684799", -1]
)
def test_what_is_before_2000_is_no_time_at_which_a_token_was_seen(field: str, value: Value) -> None:
    with pytest.raises(BadValueError) as refused:
        registration_from({**APNS, field: value}, app_id="shop", attribute_types={})
    assert (refused.value.field, refused.value.rule) == (field, SINCE_2000)


@pytest.mark.parametrize("value", ["2000-01-01", "946684800", 946684800000])
def test_the_year_2000_is_taken(value: Value) -> None:
    assert time_seen(value, "last_seen").seconds == 946_684_800


def test_an_attribute_may_be_a_day_of_birth() -> None:
    row: dict[str, Value] = {**APNS, "attributes.born": "1985-04-12"}
    made = registration_from(row, app_id="shop", attribute_types={"born": "time"})
    assert made.facts.attributes["born"].time.ToJsonString() == "1985-04-12T00:00:00Z"


def test_a_file_may_be_ahead_as_far_as_a_row() -> None:
    last = NOW + timedelta(minutes=10)
    assert observed_as_told(last.isoformat(), "x", now=NOW).ToDatetime(UTC) == last
    with pytest.raises(BadValueError, match="at most 10 minutes in the future"):
        observed_as_told((last + timedelta(seconds=1)).isoformat(), "x", now=NOW)


def imported(file: Path, observed_at: str) -> Result:
    arguments = ("tokens", "import", str(file), "--app", "shop", "--dry-run", "--json")
    return CliRunner().invoke(root, [*arguments, "--observed-at", observed_at])


@pytest.mark.parametrize(
    ("observed_at", "rule"),
    [
        ("2126-01-01", "must be at most 10 minutes in the future"),
        ("20261122", SINCE_2000),
        ("once", "is not a time"),
    ],
)
def test_an_impossible_time_of_the_file_is_wrong_usage(
    tmp_path: Path, observed_at: str, rule: str
) -> None:
    file = tmp_path / "in.csv"
    file.write_text(f"platform,token\nios,{'ab' * 32}\n")
    refused = imported(file, observed_at)
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert f"--observed-at: {rule}" in json.loads(refused.stderr)["error"]["message"]
    assert list(tmp_path.iterdir()) == [file]
    assert imported(file, "2026-01-01").exit_code == 0
