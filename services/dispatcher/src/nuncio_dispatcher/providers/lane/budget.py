"""How many rows a lane may send: a token bucket that starts gently and gives way when told to.

Google asks for a climb of a minute or more from nothing to the full rate, for a quota that is
spread over its minute, and for less after a 429. Source: Firebase, "Best practices when sending
FCM messages at scale".
"""

import asyncio
from collections import deque
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from math import sqrt
from typing import Final, NamedTuple

from nuncio_runtime.clock import Clock

CLIMB: Final = 60.0
"""Seconds from a reduced rate to the full one."""
COLD_AFTER: Final = 60.0
"""Seconds without any row after which a lane starts gently again."""
COLD_SHARE: Final = 0.1
"""Of the full rate, at the beginning of a gentle start."""
LEAST_SHARE: Final = 0.01
"""Of the full rate: it is not halved below."""
HALVE_EVERY: Final = 1.0
"""Seconds in which many 429 count as one."""
LONGEST_HOLD: Final = timedelta(hours=1)
UNNAMED_HOLD: Final = timedelta(seconds=1)
"""For a lane without a rate, which has nothing to halve, and a 429 that names no wait."""
BURST: Final = 0.25
"""Seconds of the rate that may be sent at once after a pause."""
HELPING: Final = 0.02
"""Seconds of the rate that are given at a time, so that a fast lane is not fed row by row."""
_ROUNDING: Final = 1e-6
"""Rows. Seconds since long ago are not told apart more finely than that."""


class BudgetState(NamedTuple):
    """For people: how fast a lane may send."""

    allowed: float | None
    """Rows per second at full speed; None: as many as the connections take."""
    rate: float | None
    """Rows per second now, 0 while nothing may be sent; None as above."""
    waiting: int
    """Rows that wait for their turn."""
    slowed_since: datetime | None
    """When the provider asked for less, until the rate is full again."""
    resumes_at: datetime | None
    """When something may be sent again, if nothing may be now."""


class Flow:
    """The arithmetic of a limited rate. No I/O: every call is told the time, in seconds."""

    def __init__(self, rate: float, *, now: float) -> None:
        self.allowed = rate
        self._share = COLD_SHARE
        self._since = now
        """From this moment the rate climbs from the share to the whole."""
        self._saved = self.burst(now)
        self._counted = now

    def rate(self, now: float) -> float:
        """Rows per second at this moment, were there no hold."""
        climbed = min(max(now - self._since, 0.0) / CLIMB, 1.0)
        return self.allowed * (self._share + (1 - self._share) * climbed)

    def burst(self, now: float) -> float:
        """The most that may be saved up."""
        return max(1.0, self.rate(now) * BURST)

    def is_full(self, now: float) -> bool:
        """Whether the rate has come back to all that is allowed."""
        return now >= self._since + CLIMB

    def saved(self, now: float) -> float:
        """Rows that may be sent at this moment."""
        if now > self._counted:
            self._saved += self._between(self._counted, now)
            self._counted = now
        self._saved = min(self._saved, self.burst(now))
        return self._saved

    def spend(self, count: float) -> None:
        """Send rows, or with a negative count take that back; at most `saved` of just before."""
        self._saved -= count

    def helping(self, wanted: int, now: float) -> int:
        """How many rows are worth waiting for: 1 to wanted."""
        return min(wanted, max(1, int(self.rate(now) * HELPING)))

    def wait_for(self, count: int, now: float) -> float:
        """Seconds until so many rows are saved; 0 when they are."""
        missing = count - self.saved(now)
        if missing <= _ROUNDING:
            return 0.0
        held = max(self._counted - now, 0.0)
        start = now + held
        climbing = max(self._since + CLIMB - start, 0.0)
        rate = self.rate(start)
        in_climb = (rate + self.allowed) / 2 * climbing
        if missing > in_climb:
            return held + climbing + (missing - in_climb) / self.allowed
        slope = (self.allowed - rate) / climbing
        # missing = rate * t + slope / 2 * t^2, in the form that does not divide by a slope of 0.
        return held + 2 * missing / (rate + sqrt(rate * rate + 2 * slope * missing))

    def start_gently(self, now: float) -> None:
        """Begin from a small share, as a provider wants it after a silence."""
        start = max(now, self._counted)
        self._share = min(COLD_SHARE, self.rate(now) / self.allowed)
        self._since = start

    def hold(self, until: float, now: float) -> None:
        """Save nothing until then, and climb from the share that there is now."""
        self._saved = 0.0
        self._counted = max(self._counted, until, now)
        self._share = self.rate(now) / self.allowed
        self._since = self._counted

    def halve(self, now: float) -> None:
        """Climb again from half of what it is now."""
        self._share = max(self.rate(now) / self.allowed / 2, LEAST_SHARE)
        self._since = max(now, self._counted)

    def _between(self, start: float, end: float) -> float:
        """The rows of a time: the area under the rate."""
        bend = min(max(self._since + CLIMB, start), end)
        climbing = (self.rate(start) + self.rate(bend)) / 2 * (bend - start)
        return climbing + self.allowed * (end - bend)


@dataclass(eq=False)
class _Waiter:
    wanted: int
    granted: asyncio.Future[int] = field(
        default_factory=lambda: asyncio.get_running_loop().create_future()
    )


class Budget:
    """Gives out how many rows may be sent: urgent ones first, else in order of arrival."""

    def __init__(self, rate_per_second: float | None, *, clock: Clock) -> None:
        """rate_per_second: rows, above 0; None: no limit, but `slow_down` still holds them up."""
        self._clock = clock
        now = clock.monotonic()
        self._flow = None if rate_per_second is None else Flow(rate_per_second, now=now)
        self._held_until = now
        self._halved_at = now - HALVE_EVERY
        self._busy_at = now - COLD_AFTER
        self._slowed_since: datetime | None = None
        self._urgent: deque[_Waiter] = deque()
        self._bulk: deque[_Waiter] = deque()
        self._timer: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"Budget({self.state()})"

    async def take(self, wanted: int, *, urgent: bool = False) -> int:
        """Wait until rows may be sent; how many, up to `wanted`, which is 1 or more.

        A fast lane is given its rows some hundredths of a second's worth at a time. 0: the provider
        has just asked for a pause, which may be longer than the caller wants to wait.
        """
        queue = self._urgent if urgent else self._bulk
        if not self._urgent and not queue:
            granted = self._grant(wanted)
            if granted:
                return granted
        waiter = _Waiter(wanted)
        queue.append(waiter)
        if self._timer is None:
            self._timer = asyncio.create_task(self._serve_in_time())
        try:
            return await waiter.granted
        except asyncio.CancelledError:
            self._forget(waiter, queue)
            raise

    def give_back(self, count: int) -> None:
        """Take back rows that were given and not written after all."""
        if self._flow is not None and count:
            self._flow.spend(-count)
            self._serve()
            self._rest()

    def slow_down(self, wait: timedelta | None) -> None:
        """The provider asks for less: nothing for the wait, an hour at most, then half the rate.

        Many calls within a second halve the rate once. It climbs back within a minute.
        """
        now = self._clock.monotonic()
        self._slowed_since = self._lasting_slowness(now) or self._clock.now()
        if wait is None and self._flow is None:
            wait = UNNAMED_HOLD
        hold = min(max(wait or timedelta(), timedelta()), LONGEST_HOLD).total_seconds()
        if now + hold > self._held_until:
            self._held_until = now + hold
            self._send_away()
        if self._flow is None:
            return
        self._flow.hold(self._held_until, now)
        if now - self._halved_at >= HALVE_EVERY:
            self._halved_at = now
            self._flow.halve(now)
        if self._held_until - self._busy_at >= COLD_AFTER:
            self._flow.start_gently(now)

    def state(self) -> BudgetState:
        """How it stands now."""
        now, flow = self._clock.monotonic(), self._flow
        held = max(self._held_until - now, 0.0)
        rate = None if flow is None else flow.rate(now)
        slowed_since = self._lasting_slowness(now)
        return BudgetState(
            allowed=None if flow is None else flow.allowed,
            rate=0.0 if held else rate,
            waiting=sum(waiter.wanted for waiter in (*self._urgent, *self._bulk)),
            slowed_since=slowed_since,
            resumes_at=self._clock.now() + timedelta(seconds=held) if held else None,
        )

    def _lasting_slowness(self, now: float) -> datetime | None:
        """Since when it is slowed; None when that is over."""
        is_over = now >= self._held_until and (self._flow is None or self._flow.is_full(now))
        return None if is_over else self._slowed_since

    def _grant(self, wanted: int) -> int:
        """The rows that may be sent at this moment; 0: wait."""
        now = self._clock.monotonic()
        if now < self._held_until:
            return 0
        if self._flow is None:
            return wanted
        if now - self._busy_at >= COLD_AFTER and self._timer is None:
            self._slowed_since = self._lasting_slowness(now)
            self._flow.start_gently(now)
        self._busy_at = now
        saved = self._flow.saved(now)
        if saved + _ROUNDING < self._flow.helping(wanted, now):
            return 0
        granted = min(wanted, int(saved + _ROUNDING))
        self._flow.spend(granted)
        return granted

    def _send_away(self) -> None:
        """Let those who wait see for themselves how long that is now."""
        for queue in (self._urgent, self._bulk):
            for waiter in queue:
                if not waiter.granted.done():
                    waiter.granted.set_result(0)
            queue.clear()
        self._rest()

    def _serve(self) -> None:
        """Give to those who wait what there is."""
        while queue := self._urgent or self._bulk:
            if queue[0].granted.done():  # cancelled, and has not yet said so
                queue.popleft()
                continue
            granted = self._grant(queue[0].wanted)
            if not granted:
                return
            queue.popleft().granted.set_result(granted)

    async def _serve_in_time(self) -> None:
        """The one timer: sleeps until the first in the queue can be served, while there is one."""
        while queue := self._urgent or self._bulk:
            await self._clock.sleep(self._wait_of(queue[0]))
            self._serve()
        self._timer = None

    def _rest(self) -> None:
        """Without anyone who waits there is no timer."""
        if self._timer is not None and not self._urgent and not self._bulk:
            self._timer.cancel()
            self._timer = None

    def _wait_of(self, waiter: _Waiter) -> float:
        now = self._clock.monotonic()
        if self._flow is None:
            return self._held_until - now
        return self._flow.wait_for(self._flow.helping(waiter.wanted, now), now)

    def _forget(self, waiter: _Waiter, queue: deque[_Waiter]) -> None:
        """A caller is gone: neither its place nor what it was just given is lost."""
        if waiter.granted.done() and not waiter.granted.cancelled():
            self.give_back(waiter.granted.result())
            return
        if waiter in queue:
            queue.remove(waiter)
        self._serve()
        self._rest()
