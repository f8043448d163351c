"""Test runs that would hang end, and say why."""

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import psutil
import pytest

# A run of tests inside each, with limits of a second.
pytestmark = pytest.mark.timeout(60)

ROOT: Final = Path(__file__).parents[3]
CONFTEST: Final = """
from tests.support import limits

pytest_plugins = ["tests.support.limits", "tests.support.leftovers"]
limits.FIXTURE_SECONDS = 1.0
limits.FIXTURES_SECONDS = 2.0
limits.GRACE_SECONDS = 1.0
"""
SETTINGS: Final = f"""
[pytest]
asyncio_mode = auto
asyncio_default_fixture_loop_scope = function
pythonpath = {ROOT}
timeout = 1
timeout_func_only = true
"""
WAITING: Final = """
import asyncio, pathlib, threading, time
import pytest

def ended(name):
    (pathlib.Path(__file__).parent / name).touch()

@pytest.fixture
async def service():
    yield
    ended("service")

@pytest.fixture
async def slow_to_start():
    await asyncio.Event().wait()

@pytest.fixture
async def slow_to_end():
    yield
    try:
        await asyncio.Event().wait()
    finally:
        ended("slow_to_end")

async def test_a(service):
    try:
        await asyncio.Event().wait()
    finally:
        ended("test_a")

async def test_b(slow_to_start): pass
async def test_c(slow_to_end): pass
def test_d(): time.sleep(100)
async def test_e(): await asyncio.sleep(0.01)
"""
BLOCKED: Final = """
import pathlib, subprocess, time

async def test_a():
    process = subprocess.Popen(["sleep", "100"])
    (pathlib.Path(__file__).parent / "pid").write_text(str(process.pid))
    time.sleep(100)
"""


def run(folder: Path, tests: str, *options: str) -> str:
    """What a run of these tests prints. It ends by itself, and fails."""
    (folder / "conftest.py").write_text(CONFTEST)
    (folder / "pytest.ini").write_text(SETTINGS)
    (folder / "test_inside.py").write_text(tests)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-rfE", *options]
    done = subprocess.run(
        command, cwd=folder, capture_output=True, text=True, check=False, timeout=50
    )
    assert done.returncode == pytest.ExitCode.TESTS_FAILED, done.stdout + done.stderr
    return done.stdout


def test_whoever_waits_for_ever_fails_alone_and_cleans_up(tmp_path: Path) -> None:
    said = run(tmp_path, WAITING, "-p", "no:xdist")
    told = {line.split(" - ")[0] for line in said.splitlines() if line.startswith(("FAIL", "ERR"))}
    assert told == {
        "FAILED test_inside.py::test_a",
        "ERROR test_inside.py::test_b",
        "ERROR test_inside.py::test_c",
        "FAILED test_inside.py::test_d",
    }
    assert re.search("2 failed, 2 passed,.* 2 errors", said)
    for name in ("test_a", "service", "slow_to_end"):
        assert (tmp_path / name).exists()


def test_a_process_that_cannot_be_told_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    said = run(tmp_path, BLOCKED, "-n", "1", "--max-worker-restart", "0")
    assert "crashed while running 'test_inside.py::test_a'" in said
    pid = (tmp_path / "pid").read_text()
    assert f"outlived the test run, and is killed: {pid} sleep 100" in said
    assert not psutil.pid_exists(int(pid))
