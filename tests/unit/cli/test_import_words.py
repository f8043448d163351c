"""What an import says of columns that it does not know, and of values that break a rule."""

import csv
import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio_cli.app import root
from nuncio_cli.errors import FileUnusable
from nuncio_cli.imports.formats import Format
from nuncio_cli.imports.header import alike
from nuncio_cli.imports.job import ImportJob, Summary, import_file, observed_now_or_at
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.refused import field_of
from nuncio_cli.output import no_report

HEX = "ab" * 32


def job_for(
    file: Path, content: str, mapping: FieldMapping | None = None, layout: Format = Format.CSV
) -> ImportJob:
    file.write_text(content)
    return ImportJob(
        file=file,
        layout=layout,
        mapping=mapping or FieldMapping(),
        rejects=file.with_name("rejects"),
        app_id="shop",
        observed_at=observed_now_or_at(file),
    )


async def check(
    file: Path, content: str, mapping: FieldMapping | None = None, layout: Format = Format.CSV
) -> Summary:
    job = job_for(file, content, mapping, layout)
    return await import_file(job, None, report=no_report, on_break=no_report)


async def why(file: Path, content: str, mapping: FieldMapping | None = None) -> tuple[str, str]:
    """Field and rule of the only row, which is rejected."""
    summary = await check(file, content, mapping)
    with summary.rejects.open(newline="") as rejects:
        (row,) = csv.DictReader(rejects)
    return row["nuncio_field"], row["nuncio_rule"]


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "rows.csv"


def test_a_file_without_a_known_column_is_refused_with_the_columns_expected(file: Path) -> None:
    file.write_text(f"platfrom,device\nios,{HEX}\n")
    done = CliRunner().invoke(root, ["tokens", "import", str(file), "--app", "shop", "--dry-run"])
    assert (done.exit_code, done.stdout) == (2, "")
    assert "no column platform, and none token or endpoint" in done.stderr
    assert "it has platfrom, device" in done.stderr
    assert "is platfrom meant to be platform?" in done.stderr
    assert "device meant" not in done.stderr
    assert "FILE_UNUSABLE" in done.stderr


@pytest.mark.parametrize("column", ["device_token", "PushToken"])
def test_a_column_that_ends_in_what_is_missing_is_asked_about(file: Path, column: str) -> None:
    file.write_text(f"platform,{column}\nios,{HEX}\n")
    done = CliRunner().invoke(root, ["tokens", "import", str(file), "--app", "shop", "--dry-run"])
    assert done.exit_code == 2
    assert f"is {column} meant to be token?" in done.stderr


@pytest.mark.parametrize(
    ("header", "missing"),
    [("platform,user_id", "token or endpoint"), ("token", "platform")],
)
async def test_one_missing_column_is_enough(file: Path, header: str, missing: str) -> None:
    with pytest.raises(FileUnusable, match=f"no column {missing};"):
        await check(file, f"{header}\n")


async def test_a_constant_and_a_mapped_column_count(file: Path) -> None:
    mapping = FieldMapping(columns={"token": "push"}, constants={"platform": "ios"})
    summary = await check(file, f"push\n{HEX}\n", mapping)
    assert summary.tally.outcomes == {"valid": 1}


async def test_columns_that_look_misspelt_are_told(file: Path) -> None:
    summary = await check(file, f"platform,token,permision,shoe\nios,{HEX},granted,43\n")
    assert summary.ignored == ["permision", "shoe"]
    assert summary.misspelt == {"permision": "permission"}
    assert json.loads(json.dumps(summary.document()))["misspelt_columns"] == summary.misspelt


@pytest.mark.parametrize(
    ("column", "field"),
    [("Platform", "platform"), ("time-zone", "time_zone"), ("tokens", "token"), ("os", "")],
)
def test_a_misspelling_is_close_to_a_field(column: str, field: str) -> None:
    assert alike(column) == field


async def test_a_rule_is_told_in_words_by_the_columns_name(file: Path) -> None:
    hexadecimal = "must be hexadecimal digits, an even number of them, 2 to 400"
    told = "token", f"the APNs token {hexadecimal}"
    assert await why(file, "platform,token\nios,xyz\n") == told
    mapping = FieldMapping(columns={"token": "push", "country": "land", "user_id": ""})
    assert await why(file, "platform,push,land\nios,xyz,CH\n", mapping) == ("push", told[1])
    land = await why(file, f"platform,push,land\nios,{HEX},ch\n", mapping)
    assert land == ("land", 'must be two capital letters (ISO 3166-1), such as "CH"')


async def test_rows_that_cannot_be_made_are_told_by_the_columns_name_too(file: Path) -> None:
    mapping = FieldMapping(columns={"platform": "os", "token": "push"})
    assert (await why(file, f"os,push\namiga,{HEX}\n", mapping))[0] == "os"


async def test_an_export_is_told_by_its_own_columns(file: Path) -> None:
    summary = await check(
        file, "identifier,device_type,timezone\nxyz,0,3600\n", layout=Format.ONESIGNAL
    )
    assert (summary.ignored, summary.misspelt) == (["timezone"], {})
    with summary.rejects.open(newline="") as rejects:
        (row,) = csv.DictReader(rejects)
    assert row["nuncio_field"] == "identifier"


@pytest.mark.parametrize(
    ("path", "field"),
    [
        ("token.fcm", "token"),
        ("token.web_push.p256dh", "p256dh"),
        ("facts.time_zone", "time_zone"),
        ("facts.topics.topics[3]", "topics"),
        ("facts.tags.tags", "tags"),
        ('facts.attributes["plan"].text', "attributes.plan"),
        ('facts.attributes["9"]', "attributes.9"),
        ("facts.attributes", "attributes"),
        ("consents[1].purpose", "consents.B"),
        ("user_id", "user_id"),
    ],
)
def test_a_path_of_the_contract_is_a_field_of_the_row(path: str, field: str) -> None:
    registration = Registration()
    for purpose in "AB":
        registration.consents.add(purpose=purpose)
    assert field_of(path, registration) == field
