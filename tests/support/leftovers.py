"""Nothing that a test run started outlives it. A pytest plugin.

Tests end what they start. A process of the run that was itself ended, by a limit or a crash, could
not: what it had started bears the run's mark, is killed at the end of the run, and fails it.
"""

import os
import secrets
from collections.abc import Iterator
from contextlib import suppress
from typing import Final

import psutil
import pytest

# Inherited by all that the run starts. Without the prefix of settings, which are not passed on.
MARK_VARIABLE: Final = "TEST_RUN_OF_NUNCIO"
GONE_SECONDS: Final = 10.0


def pytest_configure(config: pytest.Config) -> None:
    """The first process of the run makes the mark that all others bear."""
    if not hasattr(config, "workerinput"):
        os.environ[MARK_VARIABLE] = secrets.token_hex(8)


@pytest.hookimpl(wrapper=True)
def pytest_sessionfinish(session: pytest.Session) -> Iterator[None]:
    """After everybody else, so that the workers are gone; they leave this to the first process."""
    result = yield
    if hasattr(session.config, "workerinput"):
        return result
    left = [process for process in psutil.process_iter() if _is_left(process)]
    for process in left:
        _say(session, f"outlived the test run, and is killed: {_name(process)}")
        with suppress(psutil.NoSuchProcess):
            process.kill()
    psutil.wait_procs(left, timeout=GONE_SECONDS)
    if left and session.exitstatus == pytest.ExitCode.OK:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED
    return result


def _is_left(process: psutil.Process) -> bool:
    """Whether it bears the mark; this process does not: it has it from itself, not from outside."""
    try:
        marked = process.environ().get(MARK_VARIABLE) == os.environ[MARK_VARIABLE]
    except psutil.Error:  # gone, or somebody else's
        return False
    return marked and process.pid != os.getpid()


def _name(process: psutil.Process) -> str:
    with suppress(psutil.Error):
        return f"{process.pid} {' '.join(process.cmdline())}"
    return str(process.pid)


def _say(session: pytest.Session, line: str) -> None:
    reporter = session.config.pluginmanager.get_plugin("terminalreporter")
    if reporter is not None:
        reporter.write_line(line, red=True)
