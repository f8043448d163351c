"""The registry from the operator's side: each command against a running suite, on its own app."""

import json
import os
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from nuncio_cli.app import root
from tests.e2e.running import NUNCIO, RunningSuite

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]

APP = "by-command"
USERS = ("u-one", "u-two", "u-three")


@pytest.fixture(scope="module")
def app(suite: RunningSuite, folder: Path) -> Iterator[str]:
    """An app with an installation for each user, which of them the first one agreed."""
    last(suite, "apps", "create", APP, "--name", "By command", "--stale-after", "45d")
    file = folder / "by-command.ndjson"
    file.write_text("".join(row(number, user) for number, user in enumerate(USERS)))
    imported = last(suite, "tokens", "import", str(file), "--app", APP)
    assert imported["outcomes"] == {"created": len(USERS)}, imported
    yield APP
    for user in USERS:
        last(suite, "users", "erase", user, "--app", APP, "--yes")
    assert last(suite, "apps", "delete", APP) == {"deleted": True}


def row(number: int, user: str) -> str:
    fields: dict[str, Any] = {
        "platform": "ios",
        "token": f"{number + 0xC0FFEE:064x}",
        "user_id": user,
        "permission": "granted",
        "topics": ["news"] if number == 0 else [],
    }
    return json.dumps(fields) + "\n"


def nuncio(suite: RunningSuite, *arguments: str) -> Result:
    """Run a command, in this process: there are many of them."""
    return CliRunner().invoke(root, [*arguments, "--data", str(suite.data)])


def lines(suite: RunningSuite, *arguments: str) -> list[Any]:
    """All JSON documents that a command printed. It has to succeed."""
    done = nuncio(suite, *arguments, "--json")
    assert done.exit_code == 0, done.stderr
    return [json.loads(line) for line in done.stdout.splitlines()]


def last(suite: RunningSuite, *arguments: str) -> Any:
    """The only one, or the last."""
    return lines(suite, *arguments)[-1]


def installation_of(suite: RunningSuite, user: str) -> str:
    (found,) = lines(suite, "installations", "list", f'user_id = "{user}"', "--app", APP)
    return str(found["installation_id"])


def test_an_app_has_policies_that_can_be_changed(suite: RunningSuite, app: str) -> None:
    day = 86_400
    assert last(suite, "apps", "show", app)["stale_after_seconds"] == 45 * day
    changed = last(suite, "apps", "update", app, "--retention", "30d", "--name", "Shop")
    assert (changed["retention_seconds"], changed["display_name"]) == (30 * day, "Shop")
    assert changed["stale_after_seconds"] == 45 * day
    assert "45 days" in nuncio(suite, "apps", "list").stdout
    refused = nuncio(suite, "apps", "delete", app)
    assert refused.exit_code == 1
    assert "APP_NOT_EMPTY" in refused.stderr


def test_installations_are_listed_by_an_audience(suite: RunningSuite, app: str) -> None:
    assert len(lines(suite, "installations", "list", "--app", app)) == len(USERS)
    assert len(lines(suite, "installations", "list", "--app", app, "--limit", "2")) == 2
    (found,) = lines(suite, "installations", "list", 'topics:"news"', "--app", app)
    assert (found["user_id"], found["platform"]) == (USERS[0], "ios")
    shown = nuncio(suite, "installations", "list", 'topics:"news"', "--app", app).stdout
    assert shown.splitlines()[1].split()[:4] == [
        found["installation_id"],
        "ios",
        "active",
        "granted",
    ]


def test_a_wrong_audience_is_shown_with_its_place(suite: RunningSuite, app: str) -> None:
    wrong = nuncio(suite, "installations", "list", 'topics:"news" AN x', "--app", app)
    assert (wrong.exit_code, wrong.stdout) == (1, "")
    expression, caret = wrong.stderr.splitlines()[:2]
    assert expression[caret.index("^") :].startswith("AN x")
    assert "AUDIENCE_INVALID" in wrong.stderr


def test_an_installation_is_shown_without_its_token(suite: RunningSuite, app: str) -> None:
    shown = nuncio(suite, "installations", "show", installation_of(suite, USERS[0]), "--app", app)
    assert "permission    granted" in shown.stdout
    assert f"{0xC0FFEE:x}" not in shown.stdout
    assert (
        lines(suite, "installations", "consents", installation_of(suite, USERS[0]), "--app", app)
        == []
    )


def test_reachability_is_told_for_each_user_in_order(suite: RunningSuite, app: str) -> None:
    first, nobody = lines(suite, "users", "reachability", USERS[0], "u-none", "--app", app)
    assert (first["user_id"], first["reachable"]) == (USERS[0], True)
    assert first["channels"][0]["provider"] == "apns"
    assert (nobody["reachable"], nobody["channels"]) == (False, [])
    asked = ("users", "reachability", USERS[0], "--app", app, "--purpose", "marketing")
    assert lines(suite, *asked)[0]["reachable"] is False
    assert "1 NO_CONSENT" in nuncio(suite, *asked).stdout


def test_the_feed_is_read_from_its_oldest_event_on(suite: RunningSuite, app: str) -> None:
    (first,) = lines(suite, "installations", "watch", "--app", app, "--limit", "1")
    assert first["kind"] == "registered"
    assert first["installation"]["user_id"] in USERS
    wrong = nuncio(suite, "installations", "watch", "--app", app, "--position", "nonsense")
    assert (wrong.exit_code, wrong.stdout) == (1, "")


def test_watching_goes_on_after_an_outage(suite: RunningSuite, app: str, tmp_path: Path) -> None:
    command = ("installations", "watch", "--app", app, "--from-now", "--json")
    with running(suite, *command) as watching:
        assert watching.stdout is not None
        position = json.loads(watching.stdout.readline())["position"]  # Where now is.
        register(suite, tmp_path, number=7)
        assert next_registered(watching) == "u-7"
        os.kill(suite.pid("registry"), signal.SIGKILL)
        register(suite, tmp_path, number=8)
        assert next_registered(watching) == "u-8"
        watching.send_signal(signal.SIGINT)
        assert watching.wait(60) == 130
    (again,) = lines(
        *(suite, "installations", "watch", "--app", app, "--position", position, "--limit", "1")
    )
    assert again["installation"]["user_id"] == "u-7"
    for number in (7, 8):
        lines(suite, "users", "erase", f"u-{number}", "--app", app, "--yes")


@contextmanager
def running(suite: RunningSuite, *command: str) -> Iterator["subprocess.Popen[str]"]:
    """A command as a process of its own, which is gone afterwards."""
    arguments = [*NUNCIO, *command, "--data", str(suite.data)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        try:
            yield process
        finally:
            process.kill()


def next_registered(watching: "subprocess.Popen[str]") -> str:
    """The user of the next installation that is new."""
    assert watching.stdout is not None
    events = map(json.loads, watching.stdout)
    return next(
        str(event["installation"]["user_id"])
        for event in events
        if event.get("kind") == "registered"
    )


def register(suite: RunningSuite, folder: Path, *, number: int) -> None:
    """Import one more, as soon as there is a registry."""
    file = folder / f"{number}.ndjson"
    file.write_text(row(number, f"u-{number}"))
    while nuncio(suite, "tokens", "import", str(file), "--app", APP).exit_code == 3:
        pass


def test_users_are_merged_exported_and_erased_with_a_proof(
    suite: RunningSuite, app: str, tmp_path: Path
) -> None:
    one, other = "u-10", "u-11"  # Not those of all, who are still counted elsewhere.
    for number in (10, 11):
        register(suite, tmp_path, number=number)
    assert last(suite, "users", "merge", one, other, "--app", app) == {"moved": 1}
    file = tmp_path / "export.json"
    exported = nuncio(suite, "users", "export", other, "--app", app, "--output", str(file))
    assert exported.exit_code == 0, exported.stderr
    assert len(json.loads(file.read_text())["installations"]) == 2
    assert file.stat().st_mode & 0o077 == 0
    asked = nuncio(suite, "users", "erase", other, "--app", app)
    assert asked.exit_code == 2
    assert "--yes" in asked.stderr
    proof = last(suite, "users", "erase", other, "--app", app, "--yes")
    assert {"table": "installation", "count": 2} in proof["removed"]
    (found,) = lines(suite, "erasures", "list", "--app", app, "--user", other)
    assert found["erasure_id"] == proof["erasure_id"]
    said = nuncio(suite, "erasures", "list", "--app", app).stdout
    assert proof["erasure_id"] in said
    assert other not in said
    calls = lines(suite, "audit", "list", "--app", app, "--since", "1h")
    assert {"MergeUsers", "ExportUser", "EraseUser"} <= {event["method"] for event in calls}
    (erased,) = lines(suite, "audit", "list", "--app", app, "--method", "EraseUser", "--limit", "1")
    assert erased["method"] == "EraseUser"


def test_one_installation_is_erased(suite: RunningSuite, app: str, tmp_path: Path) -> None:
    register(suite, tmp_path, number=9)
    installation = installation_of(suite, "u-9")
    erase = ("installations", "erase", installation, "--app", app, "--yes")
    assert "proof: " in nuncio(suite, *erase).stdout
    assert "there was nothing to erase" in nuncio(suite, *erase).stdout


def test_policies_and_numbers_are_shown(suite: RunningSuite, app: str) -> None:
    tried = last(suite, "hygiene", "preview", "--app", app, "--expire-after", "300d")
    (ios,) = tried["counts"]
    assert (ios["platform"], ios["expiring"]) == ("ios", 0)
    assert "of them expiring" in nuncio(suite, "hygiene", "preview", "--app", app).stdout
    assert len(last(suite, "stats", "--app", app, "--days", "3")["days"]) == 3
    assert "registered" in nuncio(suite, "stats", "--app", app).stdout


def test_restoring_counts_first(suite: RunningSuite, app: str) -> None:
    counted = last(suite, "tokens", "restore", "--app", app, "--since", "2h", "--dry-run")
    assert (counted["matched"], counted["restored"], counted["dry_run"]) == (0, 0, True)
    future = nuncio(suite, "tokens", "restore", "--app", app, "--since", "2999-01-01T00:00:00Z")
    assert future.exit_code == 1
    assert "start_time" in future.stderr
