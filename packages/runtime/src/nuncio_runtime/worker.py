"""A worker: one of several processes of a service that listen on one port.

Standard input is a socket to the supervisor (`nuncio_runtime.workers`). The worker says on it that
it listens, and ends when the other end does.
"""

import os
import socket
from contextlib import suppress
from contextvars import ContextVar
from typing import Final

from nuncio_runtime.config import ServerSettings
from nuncio_runtime.tether import end_with_starter

LISTENING: Final = b"listening\n"
# Beyond the drain: for ending the background and closing connections.
STOP_MARGIN: Final = 10.0


class Worker:
    """What a process knows of itself as a worker.

    number: 1 for the first.
    """

    def __init__(self, number: int, control: socket.socket) -> None:
        self.number = number
        self._control = control

    def listens(self) -> None:
        """Tell the supervisor that calls are taken."""
        with suppress(BrokenPipeError):  # The supervisor has ended; so will this process.
            self._control.sendall(LISTENING)


current_worker: Final[ContextVar[Worker | None]] = ContextVar("current_worker", default=None)


def become_worker(number: int, settings: ServerSettings) -> None:
    """Make this process a worker; it ends with its supervisor, after a drain."""
    end_with_starter(grace=settings.drain_grace.total_seconds() + STOP_MARGIN)
    current_worker.set(Worker(number, socket.socket(fileno=os.dup(0))))
