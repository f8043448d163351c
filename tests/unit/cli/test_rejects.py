"""Checking a file without a registry, and the rejects file it leaves."""

import csv
import gzip
import json
import os
import stat
from pathlib import Path
from uuid import uuid4

import pytest

from nuncio_cli.errors import FileUnusable, OptionInvalid
from nuncio_cli.imports.formats import Format, guess_format, rejects_of
from nuncio_cli.imports.job import ImportJob, Summary, import_file, observed_now_or_at
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.output import no_report

GOOD_TOKEN = "ab" * 32


async def check(file: Path, layout: Format, *, rejects: Path | None = None) -> Summary:
    job = ImportJob(
        file=file,
        layout=layout,
        mapping=FieldMapping(),
        rejects=rejects or file.with_name("rejects"),
        app_id="shop",
        observed_at=observed_now_or_at(file),
    )
    return await import_file(job, None, report=no_report, on_break=no_report)


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


async def check_by_name(file: Path) -> Summary:
    """As the command does it, when it is told no format and no rejects file."""
    layout = guess_format(file)
    return await check(file, layout, rejects=rejects_of(file, layout, dry_run=False))


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
    assert rows["3"]["nuncio_field"] == "token"
    assert rows["3"]["token"] == "xyz"
    assert rows["4"]["nuncio_field"] == "platform"
    assert stat.S_IMODE(summary.rejects.stat().st_mode) == 0o600
    assert names(tmp_path) == ["in.csv", "rejects"]


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


async def test_rejects_of_ndjson_are_the_record_and_our_keys(tmp_path: Path) -> None:
    file = tmp_path / "in.ndjson"
    file.write_text('{"platform": "ios", "token": "xyz"}\n{broken\n')
    summary = await check(file, Format.NDJSON)
    first, second = map(json.loads, sorted(summary.rejects.read_text().splitlines(), reverse=True))
    by_line = {record["nuncio_line"]: record for record in (first, second)}
    assert by_line[1]["token"] == "xyz"
    assert by_line[1]["nuncio_field"] == "token"
    assert "nuncio_raw" not in by_line[1]
    assert by_line[2]["nuncio_rule"].startswith("is not JSON")
    assert by_line[2]["nuncio_raw"] == "{broken"


async def test_a_csv_record_that_cannot_be_read_keeps_its_text(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text(f'platform,token\nios,"a2\nios,{GOOD_TOKEN},more\nios,{GOOD_TOKEN}\n')
    first = await check(file, Format.CSV)
    again = await check(first.rejects, Format.CSV, rejects=tmp_path / "again")
    for summary in (first, again):
        with summary.rejects.open(newline="") as rejects:
            rows = list(csv.DictReader(rejects))
        assert [row["nuncio_raw"] for row in rows] == ['ios,"a2', f"ios,{GOOD_TOKEN},more"]
        assert [row["token"] for row in rows] == ["", ""]


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("in.csv", "platform,token\nios,xyz\n"),
        ("in.ndjson", '{"platform": "ios", "token": "xyz"}\n'),
    ],
)
async def test_rejects_go_in_again_under_the_name_that_they_have(
    tmp_path: Path, name: str, content: str
) -> None:
    file = tmp_path / name
    file.write_text(content)
    rejects = (await check_by_name(file)).rejects
    assert rejects.name == f"{name}.rejects"
    rejects.write_text(rejects.read_text().replace("xyz", GOOD_TOKEN))
    summary = await check_by_name(rejects)
    assert (summary.tally.outcomes, summary.tally.rejected) == ({"valid": 1}, 0)


async def test_rejects_of_an_azure_export_go_in_again_under_their_name(tmp_path: Path) -> None:
    file = tmp_path / "export.xml"
    element = "AppleRegistrationDescription"
    broken = f"<{element}><DeviceToken></{element}>"
    file.write_text(f"<{element}><DeviceToken>xyz</DeviceToken></{element}>{broken}\n")
    rejects = rejects_of(file, Format.AZURE, dry_run=False)
    await check(file, Format.AZURE, rejects=rejects)
    lines = rejects.read_text().splitlines()
    assert json.loads(lines[0])["nuncio_raw"] == broken
    rejects.write_text(lines[1].replace("xyz", GOOD_TOKEN) + "\n")
    summary = await check_by_name(rejects)
    assert (summary.tally.outcomes, summary.tally.rejected) == ({"valid": 1}, 0)


async def test_a_clean_import_removes_the_rejects_of_an_earlier_one(tmp_path: Path) -> None:
    file, rejects = tmp_path / "in.csv", tmp_path / "rejects"
    file.write_text(f"platform,token\nios,{GOOD_TOKEN}\n")
    rejects.write_text("of an earlier import")
    await check(file, Format.CSV)
    assert names(tmp_path) == ["in.csv"]


async def test_rejects_are_closed_to_others_even_when_the_file_was_open_to_them(
    tmp_path: Path,
) -> None:
    file, rejects = tmp_path / "in.csv", tmp_path / "rejects"
    file.write_text("platform,token\nios,xyz\n")
    rejects.write_text("of an earlier import")
    rejects.chmod(0o644)
    await check(file, Format.CSV)
    assert stat.S_IMODE(rejects.stat().st_mode) == 0o600
    assert "earlier" not in rejects.read_text()


async def test_rejects_may_go_to_a_device(tmp_path: Path) -> None:
    file, device = tmp_path / "in.csv", Path(os.devnull)
    file.write_text("platform,token\nios,xyz\n")
    summary = await check(file, Format.CSV, rejects=device)
    assert summary.tally.rejected == 1
    assert stat.S_ISCHR(os.stat(os.devnull).st_mode)  # noqa: PTH116


async def test_what_was_rejected_before_a_file_breaks_off_is_kept(tmp_path: Path) -> None:
    file = tmp_path / "in.csv.gz"
    rows = "".join(f"ios,{uuid4().hex}\n" for _ in range(4_000))
    packed = gzip.compress(f"platform,token\nios,xyz\n{rows}".encode())
    file.write_bytes(packed[: len(packed) // 2])
    with pytest.raises(FileUnusable):
        await check(file, Format.CSV)
    assert names(tmp_path) == ["in.csv.gz", "rejects.partial"]
    partial = tmp_path / "rejects.partial"
    assert "xyz" in partial.read_text()
    assert stat.S_IMODE(partial.stat().st_mode) == 0o600


def test_rows_are_as_old_as_their_file_and_never_younger_than_now(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.touch()
    os.utime(file, (1_700_000_000, 1_700_000_000))
    assert observed_now_or_at(file).seconds == 1_700_000_000
    os.utime(file, (5_000_000_000, 5_000_000_000))
    assert observed_now_or_at(file).seconds < 5_000_000_000


@pytest.mark.parametrize("name", ["rejects", "rejects.partial"])
async def test_a_file_is_never_overwritten_by_its_own_rejects(tmp_path: Path, name: str) -> None:
    file = tmp_path / name
    file.write_text("platform,token\nios,xyz\n")
    with pytest.raises(OptionInvalid):
        await check(file, Format.CSV, rejects=tmp_path / "rejects")
    assert "xyz" in file.read_text()


async def test_a_file_that_breaks_off_is_told_as_such(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_bytes(b"\x1f\x8b\x08\x00broken")
    with pytest.raises(FileUnusable):
        await check(file, Format.CSV)
