"""What a command leaves on stdout, on stderr and as exit code."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

from nuncio_cli.app import root
from nuncio_cli.connect import Addresses, find_addresses
from nuncio_cli.output import complete, table
from nuncio_cli.pointing import pointed


def nuncio(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments)


NOBODY = ("--registry", "127.0.0.1:1")


def test_a_service_that_cannot_be_reached_ends_with_3_and_one_line() -> None:
    done = nuncio("apps", "list", *NOBODY)
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1
    assert done.stderr.startswith("error: ")
    assert "registry at 127.0.0.1:1" in done.stderr
    assert "\x1b" not in done.stderr


def test_errors_are_json_where_json_is_asked_for() -> None:
    done = nuncio("apps", "list", "--json", *NOBODY)
    error = json.loads(done.stderr)["error"]
    assert (error["kind"], error["reason"]) == ("UNAVAILABLE", "SERVICE_UNREACHABLE")
    assert error["metadata"] == {"registry": "127.0.0.1:1"}


def test_a_service_on_another_machine_needs_an_authority() -> None:
    done = nuncio("apps", "list", "--registry", "192.0.2.1:7411", "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert json.loads(done.stderr)["error"]["reason"] == "ADDRESS_REFUSED"


def test_watching_gives_up_at_once_when_no_dispatcher_was_ever_there() -> None:
    done = nuncio("dispatch", "watch", "x", "--dispatcher", "127.0.0.1:1")
    assert (done.exit_code, done.stdout) == (3, "")
    assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    "arguments",
    [
        ("tokens", "show", "--json"),
        ("send", "--app", "x", "--audience", "all()", "--json"),
        ("bench", "--repeat", "0", "--json", "-"),
        ("nope", "--json"),
    ],
)
def test_wrong_usage_is_json_where_json_is_asked_for(arguments: tuple[str, ...]) -> None:
    done = nuncio(*arguments)
    assert (done.exit_code, done.stdout) == (2, "")
    assert json.loads(done.stderr)["error"]["reason"] == "USAGE_INVALID"


@pytest.mark.timeout(30)  # A process that imports everything, on a busy machine.
@pytest.mark.parametrize("arguments", [("tokens", "import", "--help"), ("nope",)])
def test_piped_help_and_usage_errors_are_plain(arguments: tuple[str, ...]) -> None:
    command = [sys.executable, "-m", "nuncio_cli", *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.stdout + done.stderr).isascii()


@pytest.mark.parametrize("command", ["demo", "bench"])
@pytest.mark.parametrize("place", ["", "nowhere/report.json"])
def test_a_report_that_cannot_be_written_is_told_before_the_work(
    tmp_path: Path, command: str, place: str
) -> None:
    done = nuncio(command, "--json", str(tmp_path / place))
    assert (done.exit_code, done.stdout, done.stderr.count("\n")) == (2, "", 1)
    assert str(tmp_path) in done.stderr


def test_a_piped_row_is_one_line_however_long_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    table(("lane", "why"), [("a", "word " * 100)])
    table(("", "#"), [("rows", 7)])
    head, row, bare = capsys.readouterr().out.splitlines()
    assert head.split() == ["lane", "why"]
    assert row.count("word") == 100
    assert bare.split() == ["rows", "7"]


def test_benchmarks_are_listed_as_json() -> None:
    listed = json.loads(nuncio("bench", "--list", "--json", "-").stdout)["benchmarks"]
    assert "main-road" in {benchmark["name"] for benchmark in listed}


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (FileNotFoundError(2, "No such file", "some.file"), 2, "some.file"),
        (OSError(28, "No space left on device"), 2, "No space left"),
    ],
)
def test_what_the_system_refuses_is_one_line(
    error: OSError, code: int, says: str, capsys: pytest.CaptureFixture[str]
) -> None:
    async def work() -> None:
        raise error

    with pytest.raises(typer.Exit) as ended:
        complete(work())
    assert ended.value.exit_code == code
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert says in said


def test_wrong_usage_ends_with_2(tmp_path: Path) -> None:
    assert nuncio("tokens", "show", "--app", "shop").exit_code == 2
    mapping = tmp_path / "mapping.toml"
    mapping.write_text('[columns]\nnothing = "x"\n')
    (tmp_path / "a.csv").write_text("platform,token\n")
    options = ("--app", "shop", "--mapping", str(mapping), "--dry-run")
    done = nuncio("tokens", "import", str(tmp_path / "a.csv"), *options)
    assert done.exit_code == 2
    assert "nothing" in done.stderr


def test_a_dry_run_needs_no_service_and_counts_rejects(tmp_path: Path) -> None:
    file = tmp_path / "a.csv"
    file.write_text(f"platform,token\nios,{'ab' * 32}\nios,zz\n")
    done = nuncio("tokens", "import", str(file), "--app", "shop", "--dry-run", "--json", *NOBODY)
    assert done.exit_code == 1
    summary = json.loads(done.stdout)
    assert (summary["rows"], summary["rejected"]) == (2, 1)
    assert summary["rejects_file"] == f"{file}.dry-run.rejects"
    allowed = (str(file), "--app", "shop", "--dry-run", "--allow-rejects")
    assert nuncio("tokens", "import", *allowed).exit_code == 0


def test_addresses_come_from_options_then_the_running_suite_then_the_defaults(
    tmp_path: Path,
) -> None:
    assert find_addresses(tmp_path) == Addresses()
    running = Addresses("h:1", "h:2", "h:3", "h:4")
    state = {"pid": 1, "addresses": running._asdict()}
    (tmp_path / "nuncio.json").write_text(json.dumps(state))
    assert find_addresses(tmp_path) == running
    assert find_addresses(tmp_path, registry="h:9") == running._replace(registry="h:9")


@pytest.mark.parametrize("state", ["", "[]", "{}", '{"addresses": {"registry": "h:1"}}'])
def test_a_damaged_state_file_means_the_defaults(tmp_path: Path, state: str) -> None:
    (tmp_path / "nuncio.json").write_text(state)
    assert find_addresses(tmp_path) == Addresses()


def test_the_caret_points_at_the_place() -> None:
    problem = {"line": "2", "column": "5", "expected": "a field"}
    assert pointed('a = "b" AND\nx = nope', problem) == [
        "  x = nope",
        "      ^",
        "  expected: a field",
    ]


def test_the_caret_stays_under_its_place_in_a_long_line() -> None:
    shown = pointed("x" * 400 + "!" + "y" * 400, {"line": "1", "column": "401"})
    assert shown[0][shown[1].index("^")] == "!"


def test_no_caret_for_a_fault_inside_a_segment() -> None:
    assert pointed("segment('a')", {"line": "1", "column": "1", "segment": "a"}) == []
