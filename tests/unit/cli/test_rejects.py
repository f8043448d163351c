"""Checking a file without a registry, and the rejects file it leaves."""

import csv
import json
import stat
from pathlib import Path

import pytest

from nuncio_cli.errors import FileUnusable, OptionInvalid
from nuncio_cli.imports.formats import Format
from nuncio_cli.imports.job import ImportJob, Summary, import_file
from nuncio_cli.imports.mapping import FieldMapping

GOOD_TOKEN = "ab" * 32


async def check(file: Path, layout: Format) -> Summary:
    job = ImportJob(
        file=file,
        layout=layout,
        mapping=FieldMapping(),
        rejects=file.with_name("rejects"),
        app_id="shop",
    )
    return await import_file(job, None, report=lambda *_args, **_options: None)


async def test_bad_rows_keep_their_columns_and_say_line_field_and_rule(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text(
        f"platform,token,country\nios,{GOOD_TOKEN},CH\nios,xyz,CH\namiga,{GOOD_TOKEN},CH\n"
    )
    summary = await check(file, Format.CSV)
    assert (summary.tally.rows, summary.tally.rejected) == (3, 2)
    assert summary.tally.outcomes == {"valid": 1}
    with summary.rejects.open(newline="") as rejects:
        rows = {row["nuncio_line"]: row for row in csv.DictReader(rejects)}
    assert rows["3"]["nuncio_field"] == "token.apns"
    assert rows["3"]["token"] == "xyz"
    assert rows["4"]["nuncio_field"] == "platform"
    assert stat.S_IMODE(summary.rejects.stat().st_mode) == 0o600


async def test_a_corrected_rejects_file_goes_in_as_it_is(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("platform,token\nios,xyz\n")
    rejects = (await check(file, Format.CSV)).rejects
    rejects.rename(file)
    file.write_text(file.read_text().replace("xyz", GOOD_TOKEN))
    summary = await check(file, Format.CSV)
    assert summary.tally.rejected == 0
    assert summary.ignored == []
    assert not summary.rejects.exists()


async def test_rejects_of_ndjson_are_the_record_and_three_keys(tmp_path: Path) -> None:
    file = tmp_path / "in.ndjson"
    file.write_text('{"platform": "ios", "token": "xyz"}\n{broken\n')
    summary = await check(file, Format.NDJSON)
    first, second = map(json.loads, sorted(summary.rejects.read_text().splitlines(), reverse=True))
    by_line = {record["nuncio_line"]: record for record in (first, second)}
    assert by_line[1]["token"] == "xyz"
    assert by_line[1]["nuncio_field"] == "token.apns"
    assert by_line[2]["nuncio_rule"].startswith("is not JSON")


async def test_a_file_is_never_overwritten_by_its_own_rejects(tmp_path: Path) -> None:
    file = tmp_path / "rejects"
    file.write_text("platform,token\nios,xyz\n")
    with pytest.raises(OptionInvalid):
        await check(file, Format.CSV)
    assert "xyz" in file.read_text()


async def test_a_file_that_breaks_off_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes(b"\x1f\x8b\x08\x00broken")
    with pytest.raises(FileUnusable):
        await check(file, Format.CSV)
