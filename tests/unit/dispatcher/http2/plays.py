"""Whatever a peer sends, in whatever pieces, between whatever writes: what holds afterwards."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import NamedTuple, TypeAlias

from hyperframe.frame import (
    DataFrame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from nuncio_dispatcher.http2.connection import OUR_WINDOW
from nuncio_dispatcher.http2.exchange import BODY_KEPT, Exchange, Failure
from nuncio_dispatcher.http2.halves import LARGEST_BLOCK, MOST_CONTINUATIONS
from nuncio_dispatcher.http2.streams import MOST_CUT
from tests.unit.dispatcher.http2.peer import AT, Peer, fields_of, requests

BODIES = (b"{}", b"", b"x" * 5_000, b"y" * 20_000, b"z" * 80_000)


class Write(NamedTuple):
    """Write rows of an exchange, as many as there is room for."""

    exchange: int
    rows: int


class Wait(NamedTuple):
    """Let seconds pass, and see what they bring."""

    seconds: float


class Cancel(NamedTuple):
    """Wait no longer for an exchange."""

    exchange: int


Step: TypeAlias = bytes | Write | Wait | Cancel


class Play:
    """A connection with two exchanges: what is told to it, and what must hold."""

    def __init__(self) -> None:
        self.peer = Peer(is_settled=False)
        self.heard = [Counter[int](), Counter[int]()]
        self.exchanges = [
            Exchange(
                requests(
                    bodies=[BODIES[(row + number) % len(BODIES)] for row in range(6)],
                    fields=(("apns-topic", f"app-{number}"),),
                    own=("apns-id", [b"%04d" % row for row in range(6)]),
                ),
                answer_within=20.0 + number,
                heard=self._hear,
            )
            for number in range(2)
        ]

    def _hear(self, exchange: Exchange, rows: Sequence[int]) -> None:
        self.heard[self.exchanges.index(exchange)].update(rows)

    def run(self, steps: Iterable[Step]) -> None:
        """Every step, then the end. Raises AssertionError for a broken promise."""
        for step in steps:
            self._take(step)
            self._check()
        self.peer.connection.lose()
        self.peer.connection.lose()
        for exchange in self.exchanges:
            exchange.fail_waiting(Failure.NOT_SENT)
        self._check()
        for exchange, heard in zip(self.exchanges, self.heard, strict=True):
            assert exchange.open == 0
            assert exchange.ended.is_set()
            unanswered = {row for row, status in enumerate(exchange.statuses) if status // 100 != 2}
            assert heard == Counter(unanswered), "each of them once"

    def _take(self, step: Step) -> None:
        connection = self.peer.connection
        if isinstance(step, bytes):
            self.peer.send(step)
        elif isinstance(step, Write):
            exchange = self.exchanges[step.exchange]
            room = min(connection.room, step.rows)
            before = connection.in_flight, len(exchange.waiting)
            written = connection.write(exchange, room, at=AT, now=self.peer.now)
            assert written <= room
            assert connection.in_flight <= before[0] + written
            assert len(exchange.waiting) == before[1] - written
        elif isinstance(step, Wait):
            self.peer.now += step.seconds
            connection.end_overdue(self.peer.now)
            connection.is_silent(self.peer.now, ping_after=10, ping_within=5)
        else:
            connection.cancel(self.exchanges[step.exchange])

    def _check(self) -> None:
        connection = self.peer.connection
        for exchange in (*connection.take_touched(), *self.exchanges):
            exchange.tell()
        self.peer.frames()  # whole frames, blocks that hpack reads, bodies that end once
        self._check_requests()
        self._check_rows()
        self._check_memory()

    def _check_requests(self) -> None:
        """What was written are rows, word by word."""
        for request in self.peer.requests.values():
            number, row = int(request.value("apns-topic")[-1]), int(request.value("apns-id"))
            of = self.exchanges[number].requests
            assert request.fields == fields_of(of, row)
            assert of.bodies[row].startswith(request.body)
            assert request.is_whole is (request.body == of.bodies[row])

    def _check_rows(self) -> None:
        """A row is in one place: it waits, is under way, was answered, or has failed."""
        streams = self.peer.connection._streams.open
        under_way = Counter((exchange, row) for exchange, row, _ in streams.values())
        for exchange in self.exchanges:
            places = [
                exchange.waiting.count(row)
                + under_way[exchange, row]
                + (exchange.statuses[row] != 0)
                + (row in exchange.failures)
                for row in range(len(exchange.statuses))
            ]
            assert places == [1] * len(places)
            assert exchange.open == sum(map(exchange.is_open, range(len(places))))
            good = [status for status in exchange.statuses if 200 <= status < 300]
            assert exchange.accepted == len(good)
            for row in exchange.waiting:
                assert exchange.written_at[row] is None
            for row, reply in exchange.replies.items():
                assert reply.status == exchange.statuses[row]
                assert len(reply.body) <= BODY_KEPT

    def _check_memory(self) -> None:
        connection = self.peer.connection
        assert len(connection._rest) < 9 + 16_384
        assert len(connection._streams.cut) <= MOST_CUT
        assert connection._streams.half_read.keys() <= connection._streams.open.keys()
        assert connection._streams.half_written.keys() <= connection._streams.open.keys()
        assert 0 < connection._unread_window <= OUR_WINDOW
        if connection._block is not None:
            assert connection._block.size <= LARGEST_BLOCK
            assert len(connection._block.parts) <= MOST_CONTINUATIONS + 1
        if connection.fault is not None:
            assert connection.in_flight == 0


GREETING_SIZE = 43
"""Bytes of a recorded session after which requests are written."""


def recorded() -> bytes:
    """What a server of good manners says to the rows of a play, and a goodbye."""
    peer = Peer(is_settled=False)
    peer.encoder.header_table_size = 0
    parts = [
        SettingsFrame(0, settings={3: 100, 4: 200_000}),
        SettingsFrame(0, flags=["ACK"]),
        WindowUpdateFrame(0, window_increment=100_000),
        PingFrame(0, b"12345678"),
    ]
    for stream, status in ((1, "200"), (5, "410"), (3, "204"), (9, "429"), (7, "200")):
        fields = [(":status", status)]
        if status[0] == "2":
            block = peer.block(fields)
            parts.append(HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"]))
        else:
            fields += [("apns-id", "x" * 36), ("content-length", "20")]
            parts.append(HeadersFrame(stream, peer.block(fields), flags=["END_HEADERS"]))
            parts.append(DataFrame(stream, b'{"reason":"Because"}', flags=["END_STREAM"]))
    parts.append(GoAwayFrame(0, 9, 0))
    return b"".join(part.serialize() for part in parts)


def steps_of(data: bytes) -> list[Step]:
    """A play after a good greeting, made of any bytes: a byte that says what, then of what."""
    steps: list[Step] = [recorded()[:GREETING_SIZE], Write(0, 2), Write(1, 2)]
    at = 0
    while at < len(data):
        what, of = data[at] >> 6, data[at] & 0x3F
        at += 1
        if what == 0:
            steps.append(Write(of & 1, of >> 1))
        elif what == 1:
            steps.append(Wait(of / 4) if of & 1 else Cancel(of >> 1 & 1))
        else:
            steps.append(data[at : at + of])
            at += of
    return steps
