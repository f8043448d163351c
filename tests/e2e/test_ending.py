"""How suites end: no process is left, whoever ends them and however."""

import os
import signal
import subprocess
from pathlib import Path

import pytest

from tests.e2e.running import (
    NUNCIO,
    SERVICES,
    START_SECONDS,
    STOP_SECONDS,
    RunningSuite,
    is_alive,
    wait_until,
)
from tests.e2e.running import running_suite as up
from tests.support.processes import end

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(120)]


def children(suite: RunningSuite) -> list[int]:
    return [suite.pid(name) for name in (*SERVICES, "simulator")]


def test_children_end_when_the_suite_is_killed_with_9(folder: Path) -> None:
    with up(folder / "killed-9") as suite:
        pids = children(suite)
        suite.process.kill()
        suite.process.wait(STOP_SECONDS)
        wait_until(lambda: not any(map(is_alive, pids)), what="the children end")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_a_suite_in_good_order(folder: Path, number: signal.Signals) -> None:
    with up(folder / "signalled") as suite:
        pids = children(suite)
        suite.process.send_signal(number)
        assert suite.process.wait(STOP_SECONDS) == 0
        assert not any(map(is_alive, pids))
        assert not (suite.data / "nuncio.json").exists()


def test_a_second_ctrl_c_kills_what_does_not_end(folder: Path) -> None:
    with up(folder / "impatient") as suite:
        pids = children(suite)
        os.kill(suite.pid("dispatcher"), signal.SIGSTOP)  # It hears no SIGTERM.
        suite.process.send_signal(signal.SIGINT)
        wait_until(lambda: "stopping" in suite.errors(), what="it is stopping")
        suite.process.send_signal(signal.SIGINT)
        assert suite.process.wait(15) == 0
        assert not any(map(is_alive, pids))


def runs(demo: RunningSuite) -> bool:
    assert demo.process.poll() is None, demo.errors()
    return "1. An app" in demo.errors()


def test_a_demo_that_is_interrupted_leaves_nothing_behind(folder: Path) -> None:
    data = folder / "demo"
    log = folder / "demo.out"
    command = [*NUNCIO, "demo", "--installations", "20000", "--data", str(data)]
    with log.open("w") as out, subprocess.Popen(command, stdout=out, stderr=out) as process:
        try:
            demo = RunningSuite(data, {}, "", process, log)
            wait_until(lambda: runs(demo), what="it runs", seconds=START_SECONDS)
            pids = children(demo)
            assert end(process, within=STOP_SECONDS, by=signal.SIGINT) == 130
        finally:
            process.kill()
    assert not any(map(is_alive, pids))
    assert "Traceback" not in log.read_text()
