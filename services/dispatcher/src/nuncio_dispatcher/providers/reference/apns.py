"""The reference transport for APNs: a few connections of aioapns to one origin.

Everything but opening a connection is decided synchronously: rows wait in their exchange,
connections say whether they have room, and `_pump` brings them together after each change of
either.
"""

import asyncio
import ssl
from collections import deque
from collections.abc import Iterable
from datetime import timedelta
from functools import partial
from typing import Final

import structlog
from hpack import HeaderTuple, NeverIndexedHeaderTuple

from nuncio_dispatcher.http2.exchange import Exchange, Failure, Origin, Reply, Requests, Traffic
from nuncio_dispatcher.providers.reference.apns_connection import ApnsConnection
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

CONNECT_WITHIN: Final = 10.0
"""Seconds."""
CLOSE_WITHIN: Final = 2.0
"""Seconds for the peer to agree that a connection is over."""
MOST_BARREN: Final = 3
"""Connections in a row that answered nothing, before the waiting rows go back."""

_Stream = tuple[ApnsConnection, int]


class ReferenceApns:
    """A Transport to one origin."""

    def __init__(
        self,
        origin: Origin,
        *,
        tls: ssl.SSLContext,
        connections: int = 2,
        idle_after: timedelta = timedelta(minutes=30),
        clock: Clock,
    ) -> None:
        """connections: the most to keep. idle_after: how long an unused one is kept."""
        tls.set_alpn_protocols(["h2"])
        self._origin = origin
        self._tls = tls
        self._most = connections
        self._idle_after = int(idle_after.total_seconds())
        self._clock = clock
        self._urgent: deque[Exchange] = deque()  # those with waiting rows, oldest first
        self._bulk: deque[Exchange] = deque()
        self._streams: dict[Exchange, dict[int, _Stream]] = {}
        self._touched: dict[Exchange, None] = {}
        self._connections: list[ApnsConnection] = []
        self._opening: asyncio.Task[None] | None = None
        self._barren = 0

    def __repr__(self) -> str:
        return f"ReferenceApns({self._origin}, {self._connections})"

    def post(self, exchange: Exchange) -> None:
        """See Transport.post."""
        self._streams[exchange] = {}
        self._line_up(exchange)
        self._pump()
        if self._touched:
            asyncio.get_running_loop().call_soon(self._tell)

    def abandon(self, exchange: Exchange) -> None:
        """See Transport.abandon."""
        exchange.is_over = True
        exchange.fail_waiting(Failure.NOT_SENT)
        for row, (connection, stream_id) in self._streams.pop(exchange, {}).items():
            exchange.fail(row, Failure.NO_ANSWER)
            if not connection.is_closed:
                connection.forget(stream_id)
                connection.flush()
        self._touched.pop(exchange, None)
        exchange.tell()
        self._pump()

    def traffic(self) -> Iterable[tuple[Origin, Traffic]]:
        """See Transport.traffic."""
        found = self._connections
        traffic = Traffic(
            connections=len(found) + (self._opening is not None),
            in_flight=sum(connection.in_flight for connection in found),
            waiting=sum(len(exchange.waiting) for exchange in (*self._urgent, *self._bulk)),
            stream_limit=sum(connection.stream_limit for connection in found),
        )
        return [(self._origin, traffic)]

    async def aclose(self) -> None:
        """See Transport.aclose."""
        self._fail_waiting(Failure.CONNECTION_LOST)
        if self._opening is not None:
            self._opening.cancel()
            await asyncio.gather(self._opening, return_exceptions=True)
        connections = list(self._connections)
        for connection in connections:
            connection.close()
        try:
            async with asyncio.timeout(CLOSE_WITHIN):
                await asyncio.gather(*(connection.ended.wait() for connection in connections))
        except TimeoutError:
            for connection in connections:
                connection.abort()

    def _line_up(self, exchange: Exchange) -> None:
        line = self._urgent if exchange.urgent else self._bulk
        if exchange.waiting and exchange not in line:
            line.append(exchange)

    def _next_exchange(self) -> Exchange | None:
        for line in (self._urgent, self._bulk):
            while line:
                if line[0].waiting:
                    return line[0]
                self._let_go(line.popleft())
        return None

    def _let_go(self, exchange: Exchange) -> None:
        if not exchange.open:
            self._streams.pop(exchange, None)

    def _pump(self) -> None:
        """Write waiting rows while there is room; ask for a connection when there is none."""
        written: set[ApnsConnection] = set()
        while exchange := self._next_exchange():
            row = exchange.waiting[0]
            connection = self._connection_with_room(len(exchange.requests.bodies[row]))
            if connection is None:
                self._want_connection()
                break
            exchange.waiting.popleft()
            self._write(exchange, row, connection)
            written.add(connection)
        for connection in written:
            if not connection.is_closed:
                connection.flush()

    def _connection_with_room(self, body_size: int) -> ApnsConnection | None:
        rooms = (found for found in self._connections if found.has_room(body_size))
        return next(rooms, None)

    def _write(self, exchange: Exchange, row: int, connection: ApnsConnection) -> None:
        requests = exchange.requests
        try:
            stream_id = connection.post(
                requests.paths[row],
                _headers(requests, row),
                requests.bodies[row],
                answer_within=exchange.answer_within,
                ended=partial(self._ended, exchange, row),
            )
        # Whatever it is, the request has no end, so that APNs cannot take it; and what h2 thinks
        # of the connection is in doubt.
        except Exception as error:  # noqa: BLE001
            log.warning("unexpected_failure", error=type(error).__name__)
            connection.drain()
            self._ended(exchange, row, Failure.FAULT)
        else:
            exchange.written_at[row] = self._clock.now()
            self._streams[exchange][row] = connection, stream_id

    def _ended(self, exchange: Exchange, row: int, result: Reply | Failure) -> None:
        """Note what came of a row, or let it wait again."""
        self._streams.get(exchange, {}).pop(row, None)
        self._touched[exchange] = None
        if isinstance(result, Reply):
            if 200 <= result.status < 300:
                exchange.statuses[row] = result.status
                exchange.accepted += 1
                exchange.open -= 1
            else:
                exchange.reply(row, result)
        elif result is not Failure.REFUSED_STREAM:
            exchange.fail(row, result)
        elif exchange.refuse(row):
            self._line_up(exchange)

    def _tell(self) -> None:
        """Tell of what has ended, before the room is used."""
        touched, self._touched = self._touched, {}
        for exchange in touched:
            exchange.tell()
            self._let_go(exchange)

    def _want_connection(self) -> None:
        """Open one more, one at a time: the first, or when those that proved useful are full."""
        usable = [connection for connection in self._connections if connection.takes_more]
        full = len(usable) >= self._most
        if self._opening is None and not full and all(found.answered for found in usable):
            self._opening = asyncio.create_task(self._open())

    async def _open(self) -> None:
        loop = asyncio.get_running_loop()
        failure: Failure | None = None
        try:
            async with asyncio.timeout(CONNECT_WITHIN):
                _, connection = await loop.create_connection(
                    self._new_connection,
                    self._origin.host,
                    self._origin.port,
                    ssl=self._tls,
                    server_hostname=self._origin.host,
                )
        except ssl.SSLCertVerificationError:
            failure = Failure.NOT_TRUSTED
        except (OSError, TimeoutError):
            failure = Failure.CONNECT_FAILED
        else:
            self._connections.append(connection)
        finally:
            self._opening = None
        if failure is None:
            self._turned(connection)
        else:
            log.warning("apns_connect_failed", origin=str(self._origin), reason=failure.value)
            self._give_up_unless_connected(failure)

    def _new_connection(self) -> ApnsConnection:
        return ApnsConnection(
            authority=self._origin.authority, idle_after=self._idle_after, on_turn=self._turned
        )

    def _turned(self, connection: ApnsConnection) -> None:
        """A connection read something, or ended."""
        self._tell()
        if connection.is_closed and connection in self._connections:
            self._connections.remove(connection)
            self._barren = 0 if connection.answered else self._barren + 1
            if self._barren >= MOST_BARREN:
                self._barren = 0
                self._give_up_unless_connected(Failure.CONNECTION_LOST)
        self._pump()

    def _give_up_unless_connected(self, failure: Failure) -> None:
        if not self._connections:
            self._fail_waiting(failure)

    def _fail_waiting(self, failure: Failure) -> None:
        while exchange := self._next_exchange():
            exchange.fail_waiting(failure)
            self._touched[exchange] = None
        self._tell()


def _headers(requests: Requests, row: int) -> Iterable[HeaderTuple]:
    for name, value in requests.fields:
        yield HeaderTuple(name, value)
    # Literals: what passes must not push what repeats out of the peer's small table.
    for name, value in requests.passing_fields:
        yield NeverIndexedHeaderTuple(name, value)
    if requests.own is not None:
        name, values = requests.own
        yield NeverIndexedHeaderTuple(name, values[row].decode())
