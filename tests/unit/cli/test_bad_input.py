"""What commands say of lists that are empty, and in their help of what is tried."""

import pytest
from typer.testing import CliRunner

from nuncio_cli import output
from nuncio_cli.app import root


def test_an_empty_list_says_so_instead_of_showing_headings(
    capsys: pytest.CaptureFixture[str],
) -> None:
    output.table(("when", "method"), [], empty="no events")
    assert capsys.readouterr().out == "no events\n"
    output.table(("when", "method"), [("now", "EraseUser")], empty="no events")
    shown = capsys.readouterr().out
    assert "when" in shown
    assert "no events" not in shown


def test_a_preview_does_not_speak_of_new_apps() -> None:
    told = " ".join(CliRunner().invoke(root, ["hygiene", "preview", "--help"]).stdout.split())
    assert told.count("Default: as the app has it.") == 3
    assert "At first" not in told


def test_a_limited_watch_says_what_going_on_gives() -> None:
    told = " ".join(CliRunner().invoke(root, ["installations", "watch", "--help"]).stdout.split())
    assert "the position told then goes on with the next one" in told
    assert "leaving none out and repeating none" in told
