"""Telling the registry which tokens are dead, in the background."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import timedelta
from typing import Final, NamedTuple

import structlog

from nuncio_feedback.domain.model import DeadToken, InvalidationOutcome
from nuncio_feedback.domain.ports import Invalidations, Meter, Registry
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import Kind, ServiceError

log = structlog.get_logger(__name__)

# Faults that do not depend on the app that was asked for.
OUTAGE: Final = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})


class Rhythm(NamedTuple):
    """How many at once, how often to look, and how long to wait after failures."""

    batch: int
    every: timedelta
    first_wait: timedelta
    longest_wait: timedelta


def backoff(failures: int, rhythm: Rhythm, *, jitter: float) -> float:
    """Seconds to wait after so many failures in a row (1 or more). jitter: 0 to 1.

    Doubles with each failure up to the longest wait; the jitter takes up to half of it away, so
    that replicas do not come back together.
    """
    doubled = rhythm.first_wait.total_seconds() * 2.0 ** min(failures - 1, 30)
    return min(doubled, rhythm.longest_wait.total_seconds()) * (1 - jitter / 2)


class RetireTokens:
    """Carries pending invalidations to the registry until none is left.

    Replicas may do this at the same time. An outage, of the registry or of the storage, only
    delays it. draw: gives numbers from 0 to 1.
    """

    def __init__(
        self,
        invalidations: Invalidations,
        registry: Registry,
        *,
        clock: Clock,
        meter: Meter,
        rhythm: Rhythm,
        draw: Callable[[], float],
    ) -> None:
        self._invalidations = invalidations
        self._registry = registry
        self._clock = clock
        self._meter = meter
        self._rhythm = rhythm
        self._draw = draw
        self._wanted = asyncio.Event()

    def wake(self) -> None:
        """There is something to do."""
        self._wanted.set()

    async def keep_waking(self) -> None:
        """Wake now and then, for what an outage, a restart or another replica left over."""
        while True:
            self.wake()
            await self._clock.sleep(self._rhythm.every.total_seconds())

    async def keep_settling(self) -> None:
        """Settle whenever woken; after a failure wait, then try again."""
        failures = 0
        while True:
            await self._wanted.wait()
            self._wanted.clear()
            try:
                await self.settle()
            except ServiceError as error:
                failures += 1
                await self._wait(failures, error)
            else:
                failures = 0

    async def settle(self) -> None:
        """Ask the registry about everything that is pending.

        Raises ServiceError. A fault that concerns one app leaves the others their turn first.
        """
        failed: ServiceError | None = None
        for app_id in await self._look():
            try:
                await self._settle_app(app_id)
            except ServiceError as error:
                if error.kind in OUTAGE:
                    raise
                failed = error
        if failed is not None:
            raise failed
        await self._look()

    async def _settle_app(self, app_id: str) -> None:
        async def ask(tokens: Sequence[DeadToken]) -> Sequence[InvalidationOutcome]:
            return await self._registry.invalidate(app_id, tokens)

        while outcomes := await self._invalidations.settle(
            app_id, limit=self._rhythm.batch, ask=ask
        ):
            self._meter.settled(outcomes)

    async def _look(self) -> list[str]:
        """The apps with something pending; the meter learns how much."""
        backlog = await self._invalidations.backlog()
        now = self._clock.now()
        oldest = max((now - app.oldest for app in backlog), default=timedelta())
        self._meter.backlog(
            sum(app.count for app in backlog), oldest_seconds=max(oldest.total_seconds(), 0.0)
        )
        return [app.app_id for app in backlog]

    async def _wait(self, failures: int, error: ServiceError) -> None:
        seconds = backoff(failures, self._rhythm, jitter=self._draw())
        log.warning(
            "invalidations_postponed",
            kind=error.kind.name,
            reason=error.reason,
            failures=failures,
            seconds=round(seconds, 3),
        )
        await self._clock.sleep(seconds)
        self.wake()
