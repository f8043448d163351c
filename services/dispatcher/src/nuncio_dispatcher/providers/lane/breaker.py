"""A lane whose provider does not answer stops by itself, and finds out with one row when to go on.

Every row into an outage costs the time it takes to give up on it, and holds up the other lanes of
its page; and a provider that comes back is not helped by all senders at once.
"""

import random
from collections import deque
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import Enum
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter

from nuncio_runtime.clock import Clock
from nuncio_runtime.metrics import REGISTRY

log = structlog.get_logger(__name__)

OPENINGS: Final = Counter(
    "dispatcher_breaker_openings",
    "Times that a lane stopped because its provider did not answer; a failed probe counts again.",
    registry=REGISTRY,
)
MOST_FAILURES: Final = 20
"""In a row, before the breaker opens."""
WINDOW: Final = 200
"""Rows; when more than half of the last so many failed, the breaker opens."""
FIRST_WAIT: Final = 1.0
"""Seconds, and twice as many after each failed probe: the longest time until the next one."""
LONGEST_WAIT: Final = 60.0
PROBE_WITHIN: Final = 60.0
"""Seconds after which a probe that nobody told of counts as lost, and another row may go."""


class Circuit(Enum):
    """Whether rows go through."""

    CLOSED = "closed"
    """All of them."""
    OPEN = "open"
    """None."""
    HALF_OPEN = "half_open"
    """One, to see."""


class BreakerState(NamedTuple):
    """For people: whether the provider answers."""

    circuit: Circuit
    since: datetime | None
    """When it stopped to answer; None while it does."""
    probe_at: datetime | None
    """When the next row may go, None while all may or one is under way."""


class Breaker:
    """Lets a lane's rows through, or says how long to wait."""

    def __init__(
        self, name: str, *, clock: Clock, jitter: Callable[[], float] = random.random
    ) -> None:
        """name: the lane's, for the log. jitter: a number from 0 to 1, anew for every wait."""
        self._name = name
        self._clock = clock
        self._jitter = jitter
        self._window = _Window()
        self._since: datetime | None = None
        self._wait = FIRST_WAIT
        self._open_until = 0.0
        self._probed_at: float | None = None

    def __repr__(self) -> str:
        return f"Breaker({self._name}, {self.state().circuit.value})"

    def refusal(self) -> timedelta | None:
        """How long a row has to wait at least; None: it may `enter`."""
        if self._since is None:
            return None
        now = self._clock.monotonic()
        wait = self._open_until - now
        if self._is_probed(now):
            wait = FIRST_WAIT
        return timedelta(seconds=wait) if wait > 0 else None

    def enter(self, rows: int) -> int:
        """How many of the rows may be tried now: all, 1 as the probe, or none.

        What comes of them is to be told with `note`; for a probe that was not sent after all, with
        zeros.
        """
        if self._since is None:
            return rows
        if not rows or self.refusal() is not None:
            return 0
        self._probed_at = self._clock.monotonic()
        return 1

    def note(self, *, ok: int, failed: int, is_probe: bool = False) -> None:
        """Learn what came of rows: so many were answered, so many failed.

        Failed: an answer of 5xx, no connection, or no answer. While the breaker is open, late news
        of rows from before change nothing: only the probe's do.
        """
        if self._since is None:
            self._watch(ok, failed)
        elif is_probe and self._probed_at is not None:
            self._probed_at = None
            if ok:
                self._close()
            elif failed:
                self._wait = min(self._wait * 2, LONGEST_WAIT)
                self._open()

    def state(self) -> BreakerState:
        """How it stands now."""
        if self._since is None:
            return BreakerState(Circuit.CLOSED, None, None)
        now, moment = self._clock.monotonic(), self._clock.now()
        left = self._open_until - now
        if left > 0:
            return BreakerState(Circuit.OPEN, self._since, moment + timedelta(seconds=left))
        is_probed = self._is_probed(now)
        return BreakerState(Circuit.HALF_OPEN, self._since, None if is_probed else moment)

    def _is_probed(self, now: float) -> bool:
        return self._probed_at is not None and now - self._probed_at < PROBE_WITHIN

    def _watch(self, ok: int, failed: int) -> None:
        self._window.add(ok, failed)
        if self._window.is_bad:
            self._since = self._clock.now()
            self._open()

    def _open(self) -> None:
        wait = self._wait * self._jitter()
        self._open_until = self._clock.monotonic() + wait
        OPENINGS.inc()
        log.warning("breaker_opened", lane=self._name, wait=round(wait, 3))

    def _close(self) -> None:
        self._since = None
        self._wait = FIRST_WAIT
        self._window = _Window()
        log.info("breaker_closed", lane=self._name)


class _Told(NamedTuple):
    """Rows that were told of together: their order is not known."""

    ok: int
    failed: int


class _Window:
    """What came of the last rows."""

    def __init__(self) -> None:
        self._told: deque[_Told] = deque()
        self._rows = 0
        self._failed = 0
        self._streak = 0

    @property
    def is_bad(self) -> bool:
        """Whether the breaker has to open."""
        if self._streak >= MOST_FAILURES:
            return True
        return self._rows >= WINDOW and self._failed * 2 > self._rows

    def add(self, ok: int, failed: int) -> None:
        """Take in what came of some more; a success among them ends the streak."""
        self._streak = 0 if ok else self._streak + failed
        if ok or failed:
            self._told.append(_Told(ok, failed))
            self._rows += ok + failed
            self._failed += failed
        while self._rows > WINDOW:
            self._forget(self._rows - WINDOW)

    def _forget(self, surplus: int) -> None:
        """Let go of the oldest, but of no more than the surplus; of a mixture, evenly."""
        ok, failed = self._told.popleft()
        rows = ok + failed
        gone = min(rows, surplus)
        gone_failed = round(gone * failed / rows)
        if gone < rows:
            self._told.appendleft(_Told(ok - gone + gone_failed, failed - gone_failed))
        self._rows -= gone
        self._failed -= gone_failed
