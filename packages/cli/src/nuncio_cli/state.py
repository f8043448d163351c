"""What a suite leaves in its data folder for the other commands, and for its successor."""

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, Final

import orjson
import psutil

from nuncio_cli.connect import STATE_FILE
from nuncio_cli.errors import AlreadyRunning
from nuncio_runtime.locks import try_lock

LOCK_FILE: Final = "nuncio.lock"
LEFTOVER_SECONDS: Final = 5.0


@contextmanager
def only_suite(data: Path) -> Iterator[None]:
    """Be the only suite on the folder. Raises AlreadyRunning."""
    data.mkdir(parents=True, exist_ok=True)
    with (data / LOCK_FILE).open("ab") as file:
        if not try_lock(file):
            raise AlreadyRunning(detail=str(data))
        yield


def write_state(
    data: Path, *, addresses: Mapping[str, str], pids: Mapping[str, int], admin_url: str | None
) -> None:
    """Say where the suite is. pids: the child processes by name."""
    state = {
        "pid": os.getpid(),
        "addresses": dict(addresses),
        "children": {name: [pid, _born(pid)] for name, pid in pids.items()},
        "simulator": admin_url,
        "logs": str(data / "logs"),
    }
    draft = data / f"{STATE_FILE}.new"
    draft.write_bytes(orjson.dumps(state, option=orjson.OPT_INDENT_2))
    draft.replace(data / STATE_FILE)


def remove_state(data: Path) -> None:
    """The suite has stopped."""
    (data / STATE_FILE).unlink(missing_ok=True)


def read_state(data: Path) -> dict[str, Any] | None:
    """What the last suite left, None when it stopped in good order or there was none."""
    with suppress(OSError, ValueError):
        state = orjson.loads((data / STATE_FILE).read_bytes())
        return state if isinstance(state, dict) else None
    return None


def stop_leftovers(data: Path) -> list[str]:
    """End the children of a suite that was killed; they would hold its ports.

    Only processes that were born when the suite said so are touched. Returns their names.
    """
    children = (read_state(data) or {}).get("children", {})
    left = {
        name: process
        for name, (pid, born) in children.items()
        if (process := _same_process(pid, born)) is not None
    }
    for process in left.values():
        with suppress(psutil.NoSuchProcess):
            process.terminate()
    _, stubborn = psutil.wait_procs(left.values(), timeout=LEFTOVER_SECONDS)
    for process in stubborn:
        with suppress(psutil.NoSuchProcess):
            process.kill()
    return sorted(left)


def _born(pid: int) -> float:
    try:
        return float(psutil.Process(pid).create_time())
    except psutil.NoSuchProcess:
        return 0.0


def _same_process(pid: int, born: float) -> psutil.Process | None:
    try:
        process = psutil.Process(pid)
        return process if process.create_time() == born else None
    except psutil.NoSuchProcess:
        return None
