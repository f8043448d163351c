"""A suite whose PostgreSQL is killed, and imports into an app that is not there."""

import os
import signal
from pathlib import Path

import pytest

from tests.e2e.running import RunningSuite, is_alive, wait_until
from tests.e2e.running import running_suite as up

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def postmaster(suite: RunningSuite) -> int:
    """The process of the suite's PostgreSQL, 0 while there is none."""
    try:
        text = (suite.data / "postgres" / "data" / "postmaster.pid").read_text()
    except FileNotFoundError:
        return 0
    return int(text.partition("\n")[0] or 0)


def created(suite: RunningSuite, app: str) -> bool:
    return suite.nuncio("apps", "create", app).returncode == 0


def kill_database(suite: RunningSuite) -> None:
    """Kill it, and wait for the one that follows."""
    killed = postmaster(suite)
    os.kill(killed, signal.SIGKILL)
    wait_until(lambda: postmaster(suite) not in (0, killed), what="another one runs")


def counted(suite: RunningSuite) -> bool:
    return suite.nuncio("audience", "count", "all()", "--app", "before-the-kill").returncode == 0


def test_a_database_that_was_killed_is_started_again_with_its_data(folder: Path) -> None:
    with up(folder / "database-killed") as suite:
        assert created(suite, "before-the-kill")
        for _ in range(2):
            kill_database(suite)
            # Made again, it is there already, and that is a success.
            wait_until(lambda: created(suite, "before-the-kill"), what="the registry answers")
        wait_until(lambda: counted(suite), what="targeting answers")
    assert suite.errors().count("PostgreSQL ended; starting again") == 2


def test_a_suite_whose_database_cannot_be_started_again_says_so_and_ends(folder: Path) -> None:
    with up(folder / "no-database") as suite:
        children = [suite.pid(name) for name in suite.addresses]
        data = suite.data / "postgres" / "data"
        (data / "global" / "pg_control").unlink()
        os.kill(postmaster(suite), signal.SIGKILL)
        wait_until(lambda: suite.process.poll() is not None, what="the suite ends")
    assert suite.process.returncode == 3
    assert "PostgreSQL has ended, and cannot be started again: " in suite.errors()
    assert "DATABASE_GONE" in suite.errors()
    assert not any(map(is_alive, children))


def test_an_import_into_an_unknown_app_ends_at_once(suite: RunningSuite, tmp_path: Path) -> None:
    file = tmp_path / "rows.ndjson"
    rejects, partial = (tmp_path / f"rows.ndjson.rejects{end}" for end in ("", ".partial"))
    good = "".join(f'{{"platform": "ios", "token": "{n:064x}"}}\n' for n in range(9_000))
    file.write_text('{"platform": "amiga"}\n' + good)
    rejects.write_text("of an earlier import")
    refused = suite.nuncio("tokens", "import", str(file), "--app", "nowhere")
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.splitlines()[-3:] == [
        f"1 rejected before the import broke off, kept in {partial}",
        f"{rejects} is as an earlier import left it",
        "error: There is no app with this id: nowhere (APP_NOT_FOUND)",
    ]
    assert rejects.read_text() == "of an earlier import"
    assert partial.read_text().count("\n") == 1
