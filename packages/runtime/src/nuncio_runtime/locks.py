"""Locks between processes, kept by the kernel and gone with their holder, however it ends.

A lock belongs to the open file, so that two openings of one path are two holders, and a child
process that inherits the descriptor holds the lock, too. Source: flock(2).
"""

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the only lock on the file, after waiting for it. The file is made when missing."""
    with path.open("ab") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def share(path: Path) -> IO[bytes]:
    """Hold one of any number of locks on the file, until it is closed."""
    file = path.open("ab")
    fcntl.flock(file, fcntl.LOCK_SH)
    return file


def try_lock(file: IO[bytes]) -> bool:
    """Turn the open file into the only holder. False when there is another one."""
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
