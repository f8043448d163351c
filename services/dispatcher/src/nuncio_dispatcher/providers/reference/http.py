"""The reference transport for FCM and Web Push: every request a task of its own, over httpx."""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import httpx
import structlog
from h2.errors import ErrorCodes
from h2.events import ConnectionTerminated, StreamReset

from nuncio_dispatcher.http2.exchange import (
    BODY_KEPT,
    UNREACHABLE,
    Exchange,
    Failure,
    Origin,
    Reply,
    Traffic,
)
from nuncio_dispatcher.providers.reference.network import Network, PrivateAddress
from nuncio_dispatcher.providers.reference.sessions import Session, Sessions
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

ANSWERED_BEFORE: Final = 2
"""httpx does not say which connection brought an answer, so none counts as its first."""


class _Withdrawn(Exception):
    """The row was taken back before anything of it was written."""


class _Via:
    """The session that brought an answer; a Carrier."""

    answered = ANSWERED_BEFORE

    def __init__(self, sessions: Sessions, session: Session) -> None:
        self._sessions = sessions
        self._session = session

    def drain(self) -> None:
        """See Carrier."""
        self._sessions.retire(self._session)


@dataclass(eq=False, kw_only=True)
class _Queue:
    """An exchange, the rows of it that no task has taken yet, and the tasks."""

    exchange: Exchange
    untaken: deque[int]
    tasks: set[asyncio.Task[None]] = field(default_factory=set)


class _Trip:
    """One row on its way: how far it came, told by httpx' trace events."""

    def __init__(self, exchange: Exchange, row: int, clock: Clock) -> None:
        self._exchange = exchange
        self._row = row
        self._clock = clock
        self._is_begun = False
        self.stream_id: int | None = None
        self.status = 0
        self.headers: Mapping[str, str] = {}
        self.body = b""

    @property
    def is_written(self) -> bool:
        """Whether any of its body is: without that it cannot have been taken."""
        return self._exchange.written_at[self._row] is not None

    async def note(self, event: str, info: Mapping[str, Any]) -> None:
        """Follow the events; the row waits until its head is about to be written."""
        exchange, row = self._exchange, self._row
        if event.startswith("connection.") and self._is_begun:
            # Looking for a connection once more, after GOAWAY refused the request.
            self._is_begun = False
            exchange.written_at[row] = None
            if not exchange.is_over:
                exchange.waiting.appendleft(row)
        elif event.endswith("send_request_headers.started"):
            exchange.written_at[row] = None  # if it was, GOAWAY has refused it
            if not self._is_begun:
                self._begin()
        elif event.endswith("send_request_body.started"):
            exchange.written_at[row] = self._clock.now()
            self.stream_id = info.get("stream_id")

    def _begin(self) -> None:
        waiting = self._exchange.waiting
        if self._row not in waiting:
            raise _Withdrawn
        waiting.remove(self._row)
        self._is_begun = True


class ReferenceHttp:
    """A Transport over HTTP/2 or 1.1, to any origin."""

    def __init__(
        self, *, tls: ssl.SSLContext, in_flight: int, clock: Clock, network: Network | None = None
    ) -> None:
        """in_flight: requests at a time, over all origins."""
        self._clock = clock
        self._in_flight = in_flight
        self._sessions = Sessions(tls=tls, network=network or Network(), clock=clock)
        self._urgent: deque[_Queue] = deque()
        self._bulk: deque[_Queue] = deque()
        self._queues: dict[Exchange, _Queue] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"ReferenceHttp({len(self._tasks)}/{self._in_flight})"

    def post(self, exchange: Exchange) -> None:
        """See Transport.post."""
        if not exchange.open:
            return
        queue = _Queue(exchange=exchange, untaken=deque(exchange.waiting))
        self._queues[exchange] = queue
        self._line_up(queue)
        self._pump()

    def abandon(self, exchange: Exchange) -> None:
        """See Transport.abandon."""
        exchange.is_over = True
        exchange.fail_waiting(Failure.NOT_SENT)
        self._cut(exchange, Failure.NO_ANSWER)

    def traffic(self) -> Iterable[tuple[Origin, Traffic]]:
        """See Transport.traffic."""
        origins = {exchange.requests.origin for exchange in self._queues}
        return [(origin, self._traffic(origin)) for origin in origins]

    async def aclose(self) -> None:
        """See Transport.aclose."""
        for exchange in list(self._queues):
            exchange.is_over = True
            exchange.fail_waiting(Failure.CONNECTION_LOST)
            self._cut(exchange, Failure.CONNECTION_LOST)
        await asyncio.gather(*self._tasks, return_exceptions=True)  # those that were cut, too
        await self._sessions.aclose()

    def _cut(self, exchange: Exchange, failure: Failure) -> None:
        """End what is open of an exchange."""
        queue = self._queues.pop(exchange, None)
        if queue is None:
            return
        queue.untaken.clear()
        for row, written_at in enumerate(exchange.written_at):
            if exchange.is_open(row):
                exchange.fail(row, Failure.NOT_SENT if written_at is None else failure)
        for task in queue.tasks:
            task.cancel()
        exchange.tell()

    def _traffic(self, origin: Origin) -> Traffic:
        found = [exchange for exchange in self._queues if exchange.requests.origin == origin]
        waiting = sum(len(exchange.waiting) for exchange in found)
        in_flight = sum(exchange.open for exchange in found) - waiting
        return Traffic(self._sessions.count, in_flight, waiting, self._in_flight)

    def _line_up(self, queue: _Queue) -> None:
        line = self._urgent if queue.exchange.urgent else self._bulk
        if queue not in line:
            line.append(queue)

    def _next_row(self) -> tuple[_Queue, int] | None:
        for line in (self._urgent, self._bulk):
            while line:
                while line[0].untaken:
                    row = line[0].untaken.popleft()
                    if line[0].exchange.is_open(row):
                        return line[0], row
                self._let_go(line.popleft())
        return None

    def _let_go(self, queue: _Queue) -> None:
        if not queue.exchange.open:
            self._queues.pop(queue.exchange, None)

    def _pump(self) -> None:
        """Start as many rows as may be under way at a time."""
        while len(self._tasks) < self._in_flight and (found := self._next_row()) is not None:
            queue, row = found
            task = asyncio.create_task(self._carry(queue, row))
            self._tasks.add(task)
            queue.tasks.add(task)
            task.add_done_callback(partial(self._carried, queue))

    def _carried(self, queue: _Queue, task: asyncio.Task[None]) -> None:
        queue.tasks.discard(task)
        self._tasks.discard(task)
        self._let_go(queue)
        self._pump()

    async def _carry(self, queue: _Queue, row: int) -> None:
        session = self._sessions.current()
        session.users += 1
        trip = _Trip(queue.exchange, row, self._clock)
        try:
            result = await self._post(session, queue.exchange, row, trip)
        except asyncio.CancelledError:
            # Closed with a later request: whoever cancels does not wait for the network.
            self._sessions.retire(session)
            raise
        else:
            self._end(queue, row, result, session)
        finally:
            session.users -= 1
        await self._sessions.close_spent()

    async def _post(
        self, session: Session, exchange: Exchange, row: int, trip: _Trip
    ) -> _Trip | Failure:
        """The trip with its answer, or why there is none."""
        try:
            async with asyncio.timeout(exchange.answer_within):
                await _exchange(session.client, exchange, row, trip)
        except TimeoutError:
            self._sessions.retire(session)
            if trip.status:
                return trip
            return Failure.NO_ANSWER if trip.is_written else Failure.NOT_SENT
        except _Withdrawn:
            return Failure.NOT_SENT
        except httpx.HTTPError as error:
            return _result(error, trip)
        # Now and then an exception of h2, anyio or ssl comes through as it is. Whatever it was, the
        # request has ended, and what was written decides.
        except Exception as error:  # noqa: BLE001
            log.warning("unexpected_failure", error=type(error).__name__)
            result = _result(error, trip)
            return Failure.FAULT if result is Failure.NOT_SENT else result
        return trip

    def _end(self, queue: _Queue, row: int, result: _Trip | Failure, session: Session) -> None:
        """Write down what came of a row, or let it wait again."""
        exchange = queue.exchange
        if not exchange.is_open(row):
            return
        if row in exchange.waiting:
            exchange.waiting.remove(row)  # it ended before its head was written
        if isinstance(result, _Trip):
            self._answer(exchange, row, result, session)
        elif result is Failure.REFUSED_STREAM:
            if exchange.refuse(row):
                queue.untaken.append(row)
                self._line_up(queue)
        else:
            exchange.fail(row, result)
            if result in UNREACHABLE:
                exchange.fail_waiting(result)
        exchange.tell()

    def _answer(self, exchange: Exchange, row: int, trip: _Trip, session: Session) -> None:
        if exchange.written_at[row] is None:
            exchange.written_at[row] = self._clock.now()  # answered before its body was written
        if 200 <= trip.status < 300:
            exchange.statuses[row] = trip.status
            exchange.accepted += 1
            exchange.open -= 1
        else:
            via = _Via(self._sessions, session)
            exchange.reply(row, Reply(trip.status, trip.headers, trip.body, via))


async def _exchange(client: httpx.AsyncClient, exchange: Exchange, row: int, trip: _Trip) -> None:
    """Fill in the trip as the answer arrives; a status without its body still counts."""
    requests = exchange.requests
    headers = dict((*requests.fields, *requests.passing_fields))
    if requests.own is not None:
        headers[requests.own[0]] = requests.own[1][row].decode()
    headers = {"accept": "*/*", "accept-encoding": "identity", **headers}
    url = f"{requests.origin}{requests.paths[row].decode()}"
    async with client.stream(
        "POST", url, headers=headers, content=requests.bodies[row], extensions={"trace": trip.note}
    ) as response:
        trip.headers = {name.lower(): value for name, value in response.headers.items()}
        trip.status = response.status_code
        async for chunk in response.aiter_raw():
            trip.body = (trip.body + chunk)[:BODY_KEPT]
            if len(trip.body) >= BODY_KEPT:
                break


def _result(error: Exception, trip: _Trip) -> _Trip | Failure:
    """What an exception of the transport says about the request."""
    if trip.status:
        return trip
    for cause in _causes(error):
        if isinstance(cause, PrivateAddress):
            return Failure.PRIVATE_ADDRESS
        if isinstance(cause, ssl.SSLCertVerificationError):
            return Failure.NOT_TRUSTED
        event = cause.args[0] if cause.args else None
        if isinstance(event, StreamReset):
            refused = event.error_code == ErrorCodes.REFUSED_STREAM
            return Failure.REFUSED_STREAM if refused else Failure.STREAM_RESET
        if isinstance(event, ConnectionTerminated) and _is_above(trip.stream_id, event):
            return Failure.REFUSED_STREAM
    if isinstance(error, httpx.ConnectError | httpx.ConnectTimeout):
        return Failure.CONNECT_FAILED
    return Failure.CONNECTION_LOST if trip.is_written else Failure.NOT_SENT


def _causes(error: BaseException) -> list[BaseException]:
    """The exception and what it was raised from, outermost first."""
    found: list[BaseException] = []
    link: BaseException | None = error
    while link is not None and link not in found:
        found.append(link)
        link = link.__cause__ or link.__context__
    return found


def _is_above(stream_id: int | None, event: ConnectionTerminated) -> bool:
    return stream_id is not None and stream_id > (event.last_stream_id or 0)
