"""Programs that plain tests and fixtures start: none is waited for without end."""

import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

SIMULATOR_SECONDS: Final = 30.0


@contextmanager
def killed_after(process: "subprocess.Popen[Any]", seconds: float) -> Iterator[None]:
    """A limit for what waits inside for a word of the process, which then is its last."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()


def end(
    process: "subprocess.Popen[Any]", *, within: float, by: signal.Signals = signal.SIGTERM
) -> int:
    """Ask it to end; gives its exit code.

    Raises subprocess.TimeoutExpired when it does not end within so many seconds; it is killed then.
    """
    if process.poll() is None:
        process.send_signal(by)
    try:
        return process.wait(within)
    except subprocess.TimeoutExpired:
        process.kill()
        raise


@contextmanager
def serving_simulator(folder: Path, *options: str) -> Iterator[None]:
    """A simulator that serves from the folder."""
    command = [sys.executable, "-m", "nuncio_simulator", "serve", "--folder", str(folder)]
    with subprocess.Popen([*command, *options], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        try:
            with killed_after(process, SIMULATOR_SECONDS):
                assert b'"ready"' in process.stdout.readline()
            yield
        finally:
            code = end(process, within=SIMULATOR_SECONDS)
        assert code == 0
