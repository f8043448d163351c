"""How long work in the foreground ends: signals, and failures of what runs beside it."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

from nuncio_cli.errors import Interrupted

SIGNALS: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Ending:
    """Whether a signal has come, and what it may do."""

    def __init__(self, *, cancel: Callable[[], object], kill: Callable[[], None]) -> None:
        self.number: int | None = None
        """The first signal."""
        self._cancel = cancel
        self._kill = kill
        self._begun = False

    def begin(self) -> None:
        """The orderly end has begun: signals do not cancel it."""
        self._begun = True

    def told(self, number: int) -> None:
        """A signal has come."""
        if self.number is None:
            self.number = number
            if not self._begun:
                self._cancel()
        elif number == signal.SIGINT:
            self._kill()


@contextmanager
def ended_by_signals(*, kill: Callable[[], None]) -> Iterator[Ending]:
    """Let SIGINT, SIGTERM and SIGHUP end the block in good order, then raise Interrupted.

    The first signal cancels the task, which is in the block, unless the ending has begun. A
    SIGINT after it calls `kill`, which makes the orderly end a quick one; it is never cancelled.
    """
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    assert task is not None
    ending = Ending(cancel=task.cancel, kill=kill)
    # Under nohup the command outlives its terminal.
    ignored = {signal.SIGHUP} if signal.getsignal(signal.SIGHUP) is signal.SIG_IGN else set()
    heard = [number for number in SIGNALS if number not in ignored]
    for number in heard:
        loop.add_signal_handler(number, ending.told, number)
    try:
        yield ending
    except asyncio.CancelledError:
        if ending.number is None:
            raise
        task.uncancel()
    finally:
        for number in heard:
            loop.remove_signal_handler(number)
    if ending.number is not None:
        raise Interrupted(ending.number)


@contextmanager
def first_failure() -> Iterator[None]:
    """Raise the first failure of a task group as itself, with its own cause."""
    try:
        yield
    except BaseExceptionGroup as failures:
        first = failures.exceptions[0]
        raise first from first.__cause__
