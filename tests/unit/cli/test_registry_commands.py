"""What the registry's commands take, refuse and print, without a registry."""

import json

import pytest
from typer.testing import CliRunner, Result

from nuncio.common.v1.provider_pb2 import PLATFORM_IOS
from nuncio.registry.v1 import event_pb2, installation_pb2, privacy_pb2
from nuncio.registry.v1.registry_service_pb2 import WatchInstallationsResponse
from nuncio.registry.v1.token_pb2 import TOKEN_STATE_INVALID
from nuncio_cli import installation_view, privacy_view
from nuncio_cli.app import root
from nuncio_cli.commands.watch import Shown

COMMANDS = [
    "apps create", "apps show", "apps list", "apps update", "apps delete",
    "installations list", "installations show", "installations watch", "installations consents",
    "installations erase", "users reachability", "users export", "users erase", "users merge",
    "tokens restore", "hygiene preview", "stats", "erasures list", "audit list",
]  # fmt: skip
ID = "00000000-0000-0000-0000-000000000001"


def nuncio(*arguments: str) -> Result:
    return CliRunner().invoke(root, arguments)


@pytest.mark.parametrize("command", COMMANDS)
def test_every_command_shows_an_example_and_takes_json(command: str) -> None:
    done = nuncio(*command.split(), "--help")
    assert done.exit_code == 0
    assert f"nuncio {command}" in " ".join(done.stdout.partition("Example")[2].split())
    assert "--json" in done.stdout


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("apps", "update", "shop"), "nothing to change"),
        (("apps", "create", "shop", "--stale-after", "soon"), "30d"),
        (("tokens", "restore", "--app", "shop"), "--since"),
        (("tokens", "restore", "--app", "shop", "--since", "once"), "2026-03-31T12:00:00Z"),
        (("installations", "watch", "--app", "shop", "--position", "p", "--from-now"), "either"),
        (("installations", "erase", ID, "--app", "shop"), "--yes"),
        (("users", "erase", "u-1", "--app", "shop"), "--yes"),
        (("users", "merge", "u-1", "--app", "shop"), "into_user_id"),
        (("erasures", "list", "--app", "a", "--user", "u", "--installation", ID), "either"),
        (("stats", "--app", "shop", "--days", "401"), "400"),
    ],
)
def test_wrong_usage_says_what_is_right(command: tuple[str, ...], said: str) -> None:
    done = nuncio(*command, "--json")
    assert (done.exit_code, done.stdout) == (2, "")
    assert said in json.loads(done.stderr)["error"]["message"]


def test_an_installation_is_one_line_of_a_list() -> None:
    installation = installation_pb2.Installation(
        installation_id=ID, platform=PLATFORM_IOS, token_state=TOKEN_STATE_INVALID, user_id="u-1"
    )
    installation.facts.last_seen.FromSeconds(1_700_000_000)
    installation.facts.permission = installation_pb2.PERMISSION_PROVISIONAL
    shown = installation_view.line(installation).split()
    assert shown == [ID, "ios", "invalid", "provisional", "2023-11-14T22:13:20Z", "u-1"]
    for word in ("platform", "token", "permission", "last seen", "user"):
        at = installation_view.HEADING.index(word)
        assert installation_view.line(installation)[at] != " "


def test_an_event_is_one_line() -> None:
    event = event_pb2.InstallationEvent(
        kind=event_pb2.INSTALLATION_EVENT_KIND_CONSENT_CHANGED,
        installation_id=ID,
        detail="marketing=denied",
    )
    event.event_time.FromSeconds(1_700_000_000)
    shown = installation_view.event_line(event).split()
    assert shown == ["2023-11-14T22:13:20Z", ID, "consent_changed", "marketing=denied"]


def test_an_erasure_shows_its_proof(capsys: pytest.CaptureFixture[str]) -> None:
    record = privacy_pb2.ErasureRecord(erasure_id=ID)
    record.removed.add(table="change", count=0)
    privacy_view.show_erasure(record, as_json=False)
    assert capsys.readouterr().out == f"there was nothing to erase\nproof: {ID}\n"
    record.removed.add(table="installation", count=1_234)
    privacy_view.show_erasure(record, as_json=False)
    shown = capsys.readouterr().out
    assert "installation" in shown
    assert "1,234" in shown


def test_an_audit_event_shows_its_details_in_order() -> None:
    event = privacy_pb2.AuditEvent(method="SelectTargets", details={"rows": "9", "purpose": "news"})
    when, method, app, *_, details, _request = privacy_view.audit_row(event)
    assert (method, app, details) == ("SelectTargets", "all", "purpose=news rows=9")
    assert when == "1970-01-01T00:00:00Z"


def answer(position: str, *ids: str) -> WatchInstallationsResponse:
    """Events, each with a position of its own; the last one's is the answer's."""
    events = [
        event_pb2.InstallationEvent(installation_id=each, position=f"after {each}") for each in ids
    ]
    position = events[-1].position if events else position
    return WatchInstallationsResponse(position=position, events=events)


def test_every_event_tells_where_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Shown(as_json=True)
    shown.add(answer("p1"), limit=4)
    shown.add(answer("p1"), limit=4)  # Nothing has happened, and nothing is said.
    shown.add(answer("", "a", "b"), limit=4)
    shown.add(answer("", "c", "d", "e"), limit=4)
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    told = [(line.get("installation_id"), line["position"]) for line in lines]
    assert told == [(None, "p1"), *((each, f"after {each}") for each in "abcd")]
    assert shown.events == 4


def test_people_are_told_where_to_go_on(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Shown(as_json=False)
    shown.add(answer("p1"), limit=2)
    shown.add(answer("", "a"), limit=2)
    shown.add(answer("", "b", "c"), limit=2)
    shown.end()
    assert capsys.readouterr().err == "go on with --position after b\n"


def test_people_are_told_where_a_silent_feed_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    shown = Shown(as_json=False)
    shown.add(answer("", "a"), limit=0)
    shown.add(answer("p9"), limit=0)
    shown.end()
    assert capsys.readouterr().err == "go on with --position p9\n"
