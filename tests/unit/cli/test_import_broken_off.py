"""An import that breaks off, the rejects of an earlier one, and what the screen says of both."""

import gzip
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest
from typer.testing import CliRunner, Result

from nuncio_cli.app import root
from nuncio_cli.imports.formats import STDIN, Format, guess_format, rejects_of

EARLIER = "of an earlier, whole import"


def nuncio(file: Path, *options: str) -> Result:
    return CliRunner().invoke(root, ["tokens", "import", str(file), "--app", "shop", *options])


def cut_short(file: Path, rejects: Path, *, rejected: int) -> str:
    """What is said on stderr when the file breaks off after its rejects."""
    good = "".join(f"ios,{uuid4().hex}\n" for _ in range(4_000))
    packed = gzip.compress(("platform,token\n" + "ios,xyz\n" * rejected + good).encode())
    file.write_bytes(packed[: len(packed) // 2])
    done = nuncio(file, "--dry-run", "--rejects", str(rejects))
    assert (done.exit_code, done.stdout) == (2, "")
    return done.stderr


def unreached(file: Path) -> str:
    """What is said on stderr when there is no registry."""
    file.write_text(f"platform,token\nios,{'ab' * 32}\n")
    done = nuncio(file, "--registry", "127.0.0.1:1")
    assert (done.exit_code, done.stdout) == (3, "")
    return done.stderr


def test_the_rejects_of_an_earlier_import_outlive_one_that_breaks_off(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    rejects, partial = tmp_path / "in.csv.rejects", tmp_path / "in.csv.rejects.partial"
    rejects.write_text(EARLIER)
    said = cut_short(file, rejects, rejected=2)
    assert rejects.read_text() == EARLIER
    assert partial.read_text().count("xyz") == 2
    assert f"2 rejected before the import broke off, kept in {partial}\n" in said
    assert f"{rejects} is as an earlier import left it\n" in said


def test_without_rejects_nothing_is_left_and_only_the_earlier_ones_are_told(
    tmp_path: Path,
) -> None:
    file, rejects = tmp_path / "in.csv", tmp_path / "in.csv.rejects"
    assert unreached(file).count("\n") == 1
    assert list(tmp_path.iterdir()) == [file]
    rejects.write_text(EARLIER)
    said = unreached(file)
    assert f"{rejects} is as an earlier import left it\n" in said
    assert "kept in" not in said
    assert sorted(tmp_path.iterdir()) == [file, rejects]


def test_the_next_whole_import_clears_up(tmp_path: Path) -> None:
    file, rejects = tmp_path / "in.csv", tmp_path / "rejects"
    assert "1 rejected before the import broke off, kept in" in cut_short(file, rejects, rejected=1)
    file.write_text(f"platform,token\nios,{'ab' * 32}\n")
    assert nuncio(file, "--dry-run", "--rejects", str(rejects)).exit_code == 0
    assert list(tmp_path.iterdir()) == [file]


@pytest.mark.parametrize("layout", [Format.CSV, Format.NDJSON])
def test_partial_rejects_look_like_the_file_that_they_come_from(layout: Format) -> None:
    assert guess_format(Path(f"in.{layout}.rejects.partial")) is layout


@pytest.mark.parametrize(("name", "why"), [("none.csv", "does not exist"), (".", "a directory")])
def test_what_is_no_file_is_wrong_usage(tmp_path: Path, name: str, why: str) -> None:
    refused = nuncio(tmp_path / name, "--dry-run")
    assert (refused.exit_code, refused.stdout) == (2, "")
    assert why in " ".join(refused.stderr.split())


def test_the_rejects_of_standard_input_go_to_the_working_folder() -> None:
    assert rejects_of(STDIN, Format.CSV, dry_run=False) == Path("stdin.rejects")


@pytest.mark.timeout(30)  # A process that imports everything, on a busy machine.
@pytest.mark.parametrize("packed", [False, True])
def test_a_dash_is_standard_input(tmp_path: Path, packed: bool) -> None:
    content = f"platform,token\nios,{'ab' * 32}\nios,xyz\n".encode()
    command = [sys.executable, "-m", "nuncio_cli", "tokens", "import", "-", "--app", "shop"]
    done = subprocess.run(
        [*command, "--dry-run"],
        input=gzip.compress(content) if packed else content,
        capture_output=True,
        cwd=tmp_path,
        check=False,
    )
    assert done.returncode == 1, done.stderr
    assert "xyz" in (tmp_path / "stdin.dry-run.rejects").read_text()
    assert [line.split() for line in done.stdout.decode().splitlines()][:3] == [
        ["rows", "2"],
        ["valid", "1"],
        ["rejected", "1"],
    ]


@pytest.mark.timeout(30)  # As above.
def test_a_dash_may_be_a_file(tmp_path: Path) -> None:
    file = tmp_path / "in.csv"
    file.write_text("platform,token\nios,xyz\n")
    command = [sys.executable, "-m", "nuncio_cli", "tokens", "import", "-", "--app", "shop"]
    with file.open() as stdin:
        done = subprocess.run(
            [*command, "--dry-run"], stdin=stdin, capture_output=True, cwd=tmp_path, check=False
        )
    assert done.returncode == 1, done.stderr
    assert "xyz" in (tmp_path / "stdin.dry-run.rejects").read_text()
