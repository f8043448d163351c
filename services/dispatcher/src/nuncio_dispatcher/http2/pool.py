"""Connections to origins, and the exchanges that wait for them: the transport `multiplex`."""

import asyncio
import random
import re
from collections import deque
from collections.abc import Iterable
from typing import Final

import structlog

from nuncio_dispatcher.http2.assign import Plan, Policy, Seat, assign, next_look
from nuncio_dispatcher.http2.exchange import Exchange, Failure, Origin, Traffic
from nuncio_dispatcher.http2.network import Dial, DialFailed, Link
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

CLOSE_WITHIN: Final = 2.0
"""Seconds for a peer to agree that a connection is over."""
FIRST_BACK_OFF: Final = 0.5
"""Seconds; the longest first wait between failed connections."""
MOST_BARREN: Final = 3
"""Connections in a row that answered nothing, before the waiting rows go back."""
_SHOWN: Final = re.compile(rb"[^ -~]")


class Pool:
    """The connections to one origin, and what waits for them."""

    def __init__(self, origin: Origin, *, dial: Dial, policy: Policy, clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self._origin = origin
        self._dial = dial
        self._policy = policy
        self._clock = clock
        self._links: list[Link] = []
        self._leaving: set[Link] = set()  # closed, but not gone yet
        self._urgent: deque[Exchange] = deque()
        self._bulk: deque[Exchange] = deque()
        self._opening: asyncio.Task[None] | None = None
        self._not_before = 0.0
        self._failures = 0  # connections in a row that came to nothing
        self._turn: asyncio.Handle | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._is_closing = False

    def __repr__(self) -> str:
        return f"Pool({self._origin}, {self.traffic})"

    @property
    def traffic(self) -> Traffic:
        """What there is to do now."""
        return Traffic(
            connections=len(self._links) + (self._opening is not None),
            in_flight=sum(link.connection.in_flight for link in self._links),
            waiting=self._waiting,
            stream_limit=sum(link.connection.stream_limit for link in self._links),
        )

    @property
    def is_unused(self) -> bool:
        """Whether it has nothing to remember."""
        is_busy = self._opening or self._links or self._leaving or self._urgent or self._bulk
        return not is_busy and self._loop.time() >= self._not_before

    def post(self, exchange: Exchange) -> None:
        """See Transport.post."""
        self._queue(exchange)
        self._turn_soon()

    def abandon(self, exchange: Exchange) -> None:
        """See Transport.abandon."""
        exchange.is_over = True
        exchange.fail_waiting(Failure.NOT_SENT)
        for link in (*self._links, *self._leaving):
            link.connection.cancel(exchange)
            link.flush()
        _tell(exchange)
        self._turn_soon()  # others may have its streams

    async def aclose(self) -> None:
        """See Transport.aclose."""
        self._is_closing = True
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        for link in list(self._links):
            self._close(link)
        leaving = list(self._leaving)
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await asyncio.gather(*(link.gone.wait() for link in leaving))
        except TimeoutError:
            for link in leaving:
                link.abort()
            await asyncio.gather(*(link.gone.wait() for link in leaving))
        self._give_up(Failure.CONNECTION_LOST)
        for handle in (self._turn, self._timer):
            if handle is not None:
                handle.cancel()

    @property
    def _waiting(self) -> int:
        return sum(len(found.waiting) for queue in (self._urgent, self._bulk) for found in queue)

    def _queue(self, exchange: Exchange) -> None:
        queue = self._urgent if exchange.urgent else self._bulk
        if exchange.waiting and exchange not in queue:
            queue.append(exchange)

    def _next_exchange(self) -> Exchange | None:
        """The first that has rows to write; those without are let go."""
        for queue in (self._urgent, self._bulk):
            while queue:
                if queue[0].waiting:
                    return queue[0]
                queue.popleft()
        return None

    # --- turns -----------------------------------------------------------------------------------

    def _turn_soon(self) -> None:
        if self._turn is None:
            self._turn = self._loop.call_soon(self._take_turn)

    def _take_turn(self) -> None:
        self._turn = None
        self._pump()

    def _turned(self, link: Link) -> None:
        """A connection has read something, can write again, or is gone."""
        self._tell_touched(link)
        if link.connection.answered:
            self._failures = 0
        if link.is_gone or link.connection.fault is not None:
            self._part_with(link)
        if link.is_gone:
            self._leaving.discard(link)
        self._pump()

    def _tell_touched(self, link: Link) -> None:
        for exchange in link.connection.take_touched():
            self._queue(exchange)
            _tell(exchange)

    def _pump(self) -> None:
        """Carry out what `assign` says, until it says nothing new."""
        if self._is_closing:
            return
        while True:
            seats = [_seat(link) for link in self._links]
            waiting = 0 if self._next_exchange() is None else self._waiting
            now = self._loop.time()
            may_open = self._opening is None and now >= self._not_before
            plan = assign(seats, waiting=waiting, may_open=may_open, policy=self._policy, now=now)
            if not self._carry_out(plan, now):
                break
        self._set_timer()

    def _carry_out(self, plan: Plan, now: float) -> bool:
        """True when rows were written and others of them are still waiting."""
        links = list(self._links)
        for at in plan.drains:
            links[at].connection.drain()
        for at in plan.closes:
            self._close(links[at])
        if plan.opens and now >= self._not_before:  # what was closed may have come to nothing
            self._opening = self._loop.create_task(self._open())
        written = 0
        for link, count in zip(links, plan.writes, strict=True):
            if count:
                written += self._write(link, count, now)
        return bool(written) and self._next_exchange() is not None

    def _write(self, link: Link, count: int, now: float) -> int:
        """Write up to so many rows on a connection."""
        at, left = self._clock.now(), count
        while left and (exchange := self._next_exchange()) is not None:
            try:
                written = link.connection.write(exchange, left, at=at, now=now)
            # Whatever it is about these requests, others shall be sent.
            except Exception as error:  # noqa: BLE001
                self._cannot_write(exchange, error)
                left = min(left, link.connection.room)
                continue
            left -= written
            if exchange.waiting and left:
                break  # a window is full
        link.flush()
        self._tell_touched(link)
        return count - left

    def _cannot_write(self, exchange: Exchange, error: Exception) -> None:
        """A fault of the sender's: what is written of the exchange is answered, the rest fails."""
        log.error("http2_cannot_write", origin=str(self._origin), error=type(error).__name__)
        exchange.is_over = True
        exchange.fail_waiting(Failure.FAULT)
        self._loop.call_soon(_tell, exchange)

    # --- opening ---------------------------------------------------------------------------------

    async def _open(self) -> None:
        failure: Failure | None = None
        try:
            async with asyncio.timeout(self._policy.connect_within.total_seconds()):
                await self._connect()
        except DialFailed as error:
            failure = error.failure
        except TimeoutError:
            failure = Failure.CONNECT_FAILED
        # Whatever it is, rows must not wait for ever.
        except Exception as error:  # noqa: BLE001
            log.error("http2_dial_failed", origin=str(self._origin), error=type(error).__name__)
            failure = Failure.FAULT
        finally:
            self._opening = None
        if failure is not None:
            self._note_failure(failure)
        self._pump()

    async def _connect(self) -> None:
        """A connection more, with its peer's SETTINGS. Raises DialFailed."""
        link = await self._dial(self._origin, self._new_link)
        try:
            await link.settled.wait()
        except asyncio.CancelledError:
            link.abort()
            raise
        if link.is_gone or link.connection.fault is not None:
            self._log_end(link)
            raise DialFailed(Failure.CONNECT_FAILED)
        self._links.append(link)

    def _new_link(self) -> Link:
        return Link(turned=self._turned, clock=self._clock)

    def _close(self, link: Link) -> None:
        link.connection.close()
        link.flush()
        link.close()
        self._part_with(link)

    def _part_with(self, link: Link) -> None:
        """Use a connection no more; it may take a moment to go."""
        if link in self._links:
            self._links.remove(link)
            if not link.is_gone:
                self._leaving.add(link)
            self._note_end(link)

    def _note_end(self, link: Link) -> None:
        """A connection is gone: mind if it was of no use."""
        self._log_end(link)
        is_missed = link.connection.was_used or self._next_exchange() is not None
        if is_missed and not link.connection.answered:
            self._note_failure(Failure.CONNECTION_LOST, most=MOST_BARREN)

    def _log_end(self, link: Link) -> None:
        """Say why a connection is gone, if the peer did or broke a rule."""
        connection = link.connection
        if connection.fault is not None:
            fault = connection.fault
            log.warning(
                "http2_fault", origin=str(self._origin), code=fault.code.name, rule=str(fault)
            )
        if connection.farewell is not None:
            code, debug = connection.farewell
            shown = _SHOWN.sub(b"?", debug).decode()
            log.info("http2_goaway", origin=str(self._origin), code=code, debug=shown)

    def _note_failure(self, failure: Failure, *, most: int = 1) -> None:
        """Wait before the next connection; after so many failures, rows do not wait for it."""
        self._failures += 1
        longest = self._policy.longest_back_off.total_seconds()
        wait = min(longest, FIRST_BACK_OFF * 2 ** min(self._failures - 1, 10))
        self._not_before = self._loop.time() + wait * random.random()  # noqa: S311  # no secret
        log.warning("http2_connect_failed", origin=str(self._origin), reason=failure.value)
        if self._failures >= most and not self._links:
            self._give_up(failure)
        self._set_timer()

    def _give_up(self, failure: Failure) -> None:
        """Nothing that waits now will be written."""
        for queue in (self._urgent, self._bulk):
            exchanges = list(queue)
            queue.clear()
            for exchange in exchanges:
                exchange.fail_waiting(failure)
                _tell(exchange)

    # --- time ------------------------------------------------------------------------------------

    def _set_timer(self) -> None:
        """Look again when something may be due."""
        moments = [self._look_at(link) for link in self._links]
        if self._next_exchange() is not None and self._not_before > self._loop.time():
            moments.append(self._not_before)
        due = min(moments, default=None)
        if due is None or (self._timer is not None and self._timer.when() <= due):
            return
        if self._timer is not None:
            self._timer.cancel()
        self._timer = self._loop.call_at(due, self._look)

    def _look_at(self, link: Link) -> float:
        """When the connection next needs a look."""
        look = next_look(_seat(link), policy=self._policy)
        if link.connection.in_flight:
            look = min(look, self._loop.time() + self._policy.ping_within.total_seconds())
        due = link.connection.next_due
        return look if due is None else min(look, due)

    def _look(self) -> None:
        """See what time has brought."""
        self._timer = None
        now = self._loop.time()
        for link in list(self._links):
            link.connection.end_overdue(now)
            is_silent = link.connection.is_silent(
                now,
                ping_after=self._policy.ping_after.total_seconds(),
                ping_within=self._policy.ping_within.total_seconds(),
            )
            link.flush()
            self._tell_touched(link)
            if is_silent:
                log.warning("http2_peer_silent", origin=str(self._origin))
                link.abort()
        self._pump()


class Multiplex:
    """The engine as a Transport: many requests at a time on few connections per origin."""

    def __init__(self, *, dial: Dial, policy: Policy, clock: Clock) -> None:
        self._dial = dial
        self._policy = policy
        self._clock = clock
        self._pools: dict[Origin, Pool] = {}
        self._is_closing = False

    def __repr__(self) -> str:
        return f"Multiplex({list(self._pools.values())})"

    def post(self, exchange: Exchange) -> None:
        """See Transport.post. Once it is closing, rows fail as NOT_SENT."""
        if self._is_closing:
            exchange.fail_waiting(Failure.NOT_SENT)
            asyncio.get_running_loop().call_soon(_tell, exchange)
            return
        origin = exchange.requests.origin
        pool = self._pools.get(origin)
        if pool is None:
            for known in [known for known, found in self._pools.items() if found.is_unused]:
                del self._pools[known]
            pool = Pool(origin, dial=self._dial, policy=self._policy, clock=self._clock)
            self._pools[origin] = pool
        pool.post(exchange)

    def abandon(self, exchange: Exchange) -> None:
        """See Transport.abandon."""
        pool = self._pools.get(exchange.requests.origin)
        if pool is not None and exchange.open:
            pool.abandon(exchange)

    def traffic(self) -> Iterable[tuple[Origin, Traffic]]:
        """See Transport.traffic."""
        return [(origin, pool.traffic) for origin, pool in self._pools.items()]

    async def aclose(self) -> None:
        """See Transport.aclose."""
        self._is_closing = True
        await asyncio.gather(*(pool.aclose() for pool in self._pools.values()))
        self._pools.clear()


def _seat(link: Link) -> Seat:
    connection = link.connection
    return Seat(
        room=0 if link.is_congested else connection.room,
        in_flight=connection.in_flight,
        answered=connection.answered,
        is_draining=connection.is_draining,
        opened_at=link.opened_at,
        unused_since=connection.last_used,
    )


def _tell(exchange: Exchange) -> None:
    if exchange.ended.is_set() and not exchange.unheard:
        return  # abandoned
    try:
        exchange.tell()
    # A fault of the listener's must not end the connection that other exchanges share.
    except Exception as error:  # noqa: BLE001
        log.error("listener_failed", error=type(error).__name__)
