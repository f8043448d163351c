"""What the command line shows of input that the services refuse."""

import json
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nuncio_cli.app import root
from tests.e2e.running import RunningSuite

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

APP = "demo"


def nuncio(suite: RunningSuite, *arguments: str) -> Result:
    return CliRunner().invoke(root, [*arguments, "--data", str(suite.data)])


def error_of(done: Result) -> Any:
    assert (done.exit_code, done.stdout) == (1, "")
    return json.loads(done.stderr.splitlines()[-1])["error"]


@pytest.mark.parametrize(
    "command",
    [
        ("users", "reachability", "u-1", "--app", APP),
        ("audience", "count", "all()", "--app", APP),
    ],
    ids=" ".join,
)
def test_an_impossible_purpose_is_no_silent_zero(
    suite: RunningSuite, command: tuple[str, ...]
) -> None:
    error = error_of(nuncio(suite, *command, "--purpose", "Marke ting", "--json"))
    assert error["reason"] == "INVALID_FIELD"
    assert "purpose" in error["message"]


def test_an_audience_is_refused_alike_wherever_it_is_given(suite: RunningSuite) -> None:
    options = ('all() AND contry = "CH"', "--app", APP, "--json")
    listed = error_of(nuncio(suite, "installations", "list", *options))
    assert listed == error_of(nuncio(suite, "audience", "count", *options))
    assert "line 1, column 11: " in listed["message"]
    assert "country" in listed["message"]
    assert (listed["reason"], listed["metadata"]["position"]) == ("AUDIENCE_INVALID", "10")


def test_an_unknown_method_is_told_which_there_are(suite: RunningSuite) -> None:
    refused = nuncio(suite, "audit", "list", "--method", "Nonsense")
    assert (refused.exit_code, refused.stdout) == (1, "")
    assert "EraseUser" in refused.stderr
    none = nuncio(suite, "audit", "list", "--app", APP, "--method", "rotate-keys")
    assert (none.exit_code, none.stdout) == (0, "no events\n")


def test_an_app_that_differs_says_in_what(suite: RunningSuite) -> None:
    create = ("apps", "create", "differing", "--stale-after", "P10D")
    for _ in range(2):
        assert nuncio(suite, *create).stdout == "differing is there\n"
    refused = nuncio(suite, "apps", "create", "differing", "--stale-after", "20d")
    assert "stale_after: there 10 days, asked 20 days" in refused.stderr
    assert nuncio(suite, "apps", "delete", "differing").exit_code == 0


@pytest.mark.usefixtures("installations")
def test_a_limited_watch_is_gone_on_with_event_by_event(suite: RunningSuite) -> None:
    watch = ("installations", "watch", "--app", APP, "--json")
    whole = _events(nuncio(suite, *watch, "--limit", "9"))
    parts, position = list[Any](), ""
    while len(parts) < len(whole):
        after = ("--position", position) if position else ()
        parts += (part := _events(nuncio(suite, *watch, *after, "--limit", "4")))
        position = part[-1]["position"]
    assert [part["position"] for part in parts[:9]] == [event["position"] for event in whole]
    said = nuncio(suite, *watch[:-1], "--limit", "4").stderr
    assert said == f"go on with --position {whole[3]['position']}\n"


def _events(done: Result) -> list[Any]:
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]
