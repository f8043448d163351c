"""Hot path: one HTTP/2 connection without I/O. Benchmark: benchmarks/engine.py.

Bytes that arrived go in, bytes to write come out, and the exchanges are filled in between. Time is
told, not asked for. Here is the incoming half; `writing` is the outgoing one, and `streams` is what
they share.

Source: RFC 9113.
"""

from collections.abc import Callable, Collection
from datetime import datetime
from typing import ClassVar, Final

from nuncio_dispatcher.http2 import frames
from nuncio_dispatcher.http2.exchange import Exchange, Failure
from nuncio_dispatcher.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEAD_SIZE,
    HEADERS,
    Code,
    ConnectionFault,
    StreamFault,
)
from nuncio_dispatcher.http2.halves import GLANCED, HalfBlock, HalfRead
from nuncio_dispatcher.http2.headers import (
    LARGEST_LIST,
    OK,
    AnswerDecoder,
    check_trailers,
    glimpse,
    read_answer,
)
from nuncio_dispatcher.http2.streams import Streams
from nuncio_dispatcher.http2.writing import Writer

OUR_WINDOW: Final = 1 << 24
"""Bytes of answers that may be on their way to us, over all streams."""
MOST_FRUITLESS: Final = 10_000
"""Frames within a second that bring no answer; more is a peer that keeps us busy."""
FRUITLESS_BYTES: Final = 64
"""Bytes of a header block that came to nothing count as one more frame: they were decoded."""
SHOWN_OF_GOAWAY: Final = 200

_WHOLE_ANSWER: Final = END_STREAM | END_HEADERS
_OUR_SETTINGS: Final = {
    # Without a table, a block that opens with a status can be left unread.
    frames.HEADER_TABLE_SIZE: 0,
    frames.ENABLE_PUSH: 0,
    frames.INITIAL_WINDOW_SIZE: frames.DEFAULT_WINDOW,
    frames.MAX_HEADER_LIST_SIZE: LARGEST_LIST,
}


class Connection:
    """Writes rows of exchanges and reads their answers; each row ends once, or waits again.

    fault: the rule that the peer broke, if it did; then nothing more is read. farewell: the code
    and the debug data of the peer's GOAWAY.
    """

    def __init__(self, *, now: float) -> None:
        """now: seconds of a monotonic clock, as everywhere here."""
        self.fault: ConnectionFault | None = None
        self.farewell: tuple[int, bytes] | None = None
        self.is_settled = False
        """Whether the peer has sent its SETTINGS: before that, nothing is written."""
        self.last_read = now
        self.last_used = now
        """When a request was last written, or answered."""
        self._out = [
            frames.PREFACE,
            frames.settings(_OUR_SETTINGS),
            frames.window_update(0, OUR_WINDOW - frames.DEFAULT_WINDOW),
        ]
        self._streams = Streams(self, self._out)
        self._writer = Writer(self._streams, self._out)
        self._is_drained = False
        self._rest = b""
        self._block: HalfBlock | None = None
        self._decoder = AnswerDecoder()
        self._knows_no_table = False  # the peer has acknowledged our SETTINGS
        self._uses_no_table = False  # and has said so in a block
        self._unread_window = OUR_WINDOW
        self._ping_sent: float | None = None
        self._fruitless = 0
        self._fruitless_since = now

    def __repr__(self) -> str:
        state = "faulty" if self.fault else "draining" if self.is_draining else "open"
        return f"Connection({state}, {self._streams!r}, {self._writer!r})"

    # --- what the pool asks ----------------------------------------------------------------------

    @property
    def answered(self) -> int:
        """How many requests got an answer."""
        return self._streams.answered

    @property
    def in_flight(self) -> int:
        """Requests without their answer."""
        return len(self._streams.open)

    @property
    def was_used(self) -> bool:
        """Whether any request was opened on it."""
        return self._streams.next_stream > 1

    @property
    def is_draining(self) -> bool:
        """Whether no more requests may be written; those under way may end."""
        return self._is_drained or not self._streams.left

    @property
    def next_due(self) -> float | None:
        """When `end_overdue` may have something to do."""
        return self._streams.next_due

    @property
    def stream_limit(self) -> int:
        """How many requests it takes at once; 0 once it takes no more."""
        return 0 if self.is_draining or not self.is_settled else self._writer.stream_limit

    @property
    def room(self) -> int:
        """How many requests could be opened now, as far as the number of streams goes."""
        return 0 if self._is_drained or not self.is_settled else self._writer.room

    def take_output(self) -> bytes:
        """What is to be written to the peer now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def take_touched(self) -> Collection[Exchange]:
        """The exchanges of which rows have ended, or wait again, since the last call."""
        return self._streams.take_touched()

    def drain(self) -> None:
        """See Carrier.drain."""
        self._is_drained = True

    def write(self, exchange: Exchange, count: int, *, at: datetime, now: float) -> int:
        """Write up to so many of the waiting rows, `room` at most; returns how many were.

        Fewer when a window does not let more through. Raises what a request raises that cannot be
        put in bytes; then its row has ended, and the connection is as good as before.
        """
        self.last_used = now
        return self._writer.write(exchange, count, at=at, due=now + exchange.answer_within)

    # --- reading ---------------------------------------------------------------------------------

    def receive(self, data: bytes, *, at: datetime, now: float) -> None:
        """Take bytes that arrived. When they break a rule, `fault` says which one."""
        self.last_read = now
        if self.fault is not None:
            return
        if now - self._fruitless_since >= 1:
            self._fruitless, self._fruitless_since = 0, now
        answered = self._streams.answered
        try:
            self._read(data)
        except ConnectionFault as fault:
            self._end_with(fault)
            return
        if self._streams.answered > answered:
            self._fruitless = 0
            self.last_used = now
        if self._streams.half_written:
            self._writer.go_on(at)

    def _read(self, data: bytes) -> None:
        """The loop over frames: a 200, in one frame or two, ends here; all else goes on."""
        if self._rest:
            data = self._rest + data
        start, end = 0, len(data)
        unpack, streams = HEAD.unpack_from, self._streams
        opened, half_read, half_written = streams.open, streams.half_read, streams.half_written
        last: Exchange | None = None
        while end - start >= HEAD_SIZE:
            high, low, kind, flags, stream = unpack(data, start)
            size = high << 8 | low
            payload = start + HEAD_SIZE
            start = payload + size
            if size > frames.DEFAULT_FRAME_SIZE:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a frame is as long as we allow")
            if start > end:
                start = payload - HEAD_SIZE
                break
            if (
                kind == HEADERS
                and flags | END_STREAM == _WHOLE_ANSWER
                and self._uses_no_table
                and size
                and data[payload] == OK
                and stream in opened
                and stream not in half_read
                and not (half_written or self._block)
            ):
                if flags == END_HEADERS:
                    half_read[stream] = GLANCED
                    continue
            elif (
                kind == DATA
                and flags == END_STREAM
                and half_read.get(stream) is GLANCED
                and not (half_written or self._block)
            ):
                del half_read[stream]
                self._count_unread(size)
            else:
                self._take_frame(kind, flags, stream & frames.STREAM_BITS, data[payload:start])
                continue
            exchange, row, _ = opened.pop(stream)
            exchange.statuses[row] = 200
            exchange.accepted += 1
            exchange.open -= 1
            streams.answered += 1
            if exchange is not last:
                streams.touch(exchange)
                last = exchange
        self._rest = data[start:]

    def _take_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
        self._note_fruitless(1)
        if self._block is not None and kind != frames.CONTINUATION:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a header block is not interrupted")
        if not self.is_settled and kind != frames.SETTINGS:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "SETTINGS comes first")
        take = self._TAKERS.get(kind)
        if take is None:
            return  # RFC 9113, section 5.5: unknown types are passed over
        if (stream == 0) is (kind in _OF_STREAMS) and kind != frames.WINDOW_UPDATE:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a frame is on a stream, or on none")
        try:
            take(self, flags, stream, payload)
        except StreamFault as fault:
            self._streams.break_off(stream, fault.code)

    def _note_fruitless(self, count: int) -> None:
        """Count what has brought no answer yet. Raises ConnectionFault for too much of it."""
        # Each of these frames is allowed, any number of them is a way to keep us busy: RFC 9113,
        # section 10.5.
        self._fruitless += count
        if self._fruitless > MOST_FRUITLESS:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "frames bring answers")

    def _count_unread(self, size: int) -> None:
        """DATA has come: give the peer credit again before it runs out."""
        self._unread_window -= size
        if self._unread_window < OUR_WINDOW // 2:
            self._out.append(frames.window_update(0, OUR_WINDOW - self._unread_window))
            self._unread_window = OUR_WINDOW

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._count_unread(len(payload))
        data = frames.unpadded(payload, flags, kind=DATA)
        if not self._streams.is_open(stream):
            return
        half = self._streams.half_read.get(stream)
        if half is None:
            raise StreamFault(Code.PROTOCOL_ERROR, "DATA comes after HEADERS")
        if half is GLANCED:
            half = self._streams.half_read[stream] = HalfRead(half.status, {})
        goes_on = half.add(data, framed=len(payload))
        if flags & END_STREAM:
            half.end()
            self._streams.answer(stream, half.status, half)
        elif not goes_on:
            self._streams.answer(stream, half.status, half)
            self._streams.tell_reset(stream, Code.CANCEL)

    def _take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        block = frames.unpadded(payload, flags, kind=HEADERS)
        if flags & END_HEADERS:
            self._take_block(flags, stream, block)
        else:
            self._block = HalfBlock(stream, flags, block)

    def _take_continuation(self, flags: int, stream: int, payload: bytes) -> None:
        block = self._block
        if block is None or block.stream != stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "CONTINUATION goes on with a block")
        block.add(payload)
        if flags & END_HEADERS:
            self._block = None
            self._take_block(block.flags, stream, b"".join(block.parts))

    def _take_block(self, flags: int, stream: int, block: bytes) -> None:
        """A whole header block: an answer's beginning, or its trailers."""
        ends = bool(flags & END_STREAM)
        half = self._streams.half_read.get(stream)
        status = glimpse(block) if self._uses_no_table and half is None else 0
        if 200 <= status < 300:  # nothing in it is of interest
            if not self._streams.is_open(stream):
                return
            if ends:
                self._streams.answer(stream, status, None)
            else:
                self._streams.half_read[stream] = HalfRead(status, {})
            return
        fields = self._decoder.decode(block)
        self._uses_no_table = self._knows_no_table
        if not self._streams.is_open(stream):
            self._note_fruitless(len(block) // FRUITLESS_BYTES)
            return
        if half is not None:
            check_trailers(fields)
            if not ends:
                raise StreamFault(Code.PROTOCOL_ERROR, "trailers end the stream")
            half.end()
            self._streams.answer(stream, half.status, half)
            return
        status, headers = read_answer(fields)
        if status < 200:
            if ends or status == 101:
                raise StreamFault(Code.PROTOCOL_ERROR, "an interim answer is not the last")
            self._note_fruitless(len(block) // FRUITLESS_BYTES)
            return
        half = HalfRead(status, headers)
        if ends:
            if status not in _WITHOUT_BODY:
                half.end()
            self._streams.answer(stream, status, half)
        else:
            self._streams.half_read[stream] = half

    def _take_rst_stream(self, _flags: int, stream: int, payload: bytes) -> None:
        code = frames.parse_long(payload, rule="RST_STREAM has 4 bytes")
        self._streams.check_used(stream)
        if stream in self._streams.open:
            if code == Code.REFUSED_STREAM:
                self._streams.refuse(stream)
            else:
                self._streams.fail(stream, Failure.STREAM_RESET)

    def _take_settings(self, flags: int, _stream: int, payload: bytes) -> None:
        if flags & frames.ACK:
            if payload:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR, "an acknowledgement is empty")
            if not self.is_settled:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "SETTINGS comes first")
            if not self._knows_no_table:
                self._knows_no_table = True
                self._decoder.forget_table()
            return
        for name, value in frames.parse_settings(payload):
            self._writer.apply(name, value)
        self.is_settled = True
        self._out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _take_push_promise(self, _flags: int, _stream: int, _payload: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "we have said that we take no pushes")

    def _take_priority(self, _flags: int, _stream: int, payload: bytes) -> None:
        if len(payload) != 5:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "PRIORITY has 5 bytes")

    def _take_ping(self, flags: int, _stream: int, payload: bytes) -> None:
        if len(payload) != 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "PING has 8 bytes")
        if flags & frames.ACK:
            self._ping_sent = None
        else:
            self._out.append(frames.frame(frames.PING, frames.ACK, 0, payload))

    def _take_goaway(self, _flags: int, _stream: int, payload: bytes) -> None:
        last, code, debug = frames.parse_goaway(payload)
        self.farewell = code, debug[:SHOWN_OF_GOAWAY]
        self.drain()
        for stream in [stream for stream in self._streams.open if stream > last]:
            self._streams.refuse(stream)

    def _take_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        increment = frames.parse_long(payload, rule="WINDOW_UPDATE has 4 bytes")
        self._writer.widen(stream, increment & frames.STREAM_BITS)

    _TAKERS: ClassVar[dict[int, Callable[["Connection", int, int, bytes], None]]] = {
        frames.DATA: _take_data,
        frames.HEADERS: _take_headers,
        frames.PRIORITY: _take_priority,
        frames.RST_STREAM: _take_rst_stream,
        frames.SETTINGS: _take_settings,
        frames.PUSH_PROMISE: _take_push_promise,
        frames.PING: _take_ping,
        frames.GOAWAY: _take_goaway,
        frames.WINDOW_UPDATE: _take_window_update,
        frames.CONTINUATION: _take_continuation,
    }

    # --- time ------------------------------------------------------------------------------------

    def end_overdue(self, now: float) -> None:
        """End the requests that have waited too long for their answers."""
        self._streams.end_overdue(now)

    def is_silent(self, now: float, *, ping_after: float, ping_within: float) -> bool:
        """Whether the peer has stopped talking: asked by a PING, it has not answered in time.

        Asks only while answers are waited for; some peers take other PINGs for an attack.
        """
        if not self._streams.open:
            self._ping_sent = None
        elif self._ping_sent is None:
            if now - self.last_read >= ping_after:
                self._ping_sent = now
                self._out.append(frames.frame(frames.PING, 0, 0, b"liveness"))
        elif self.last_read > self._ping_sent:
            self._ping_sent = None
        else:
            return now - self._ping_sent >= ping_within
        return False

    # --- ends ------------------------------------------------------------------------------------

    def cancel(self, exchange: Exchange) -> None:
        """Wait for no more answers of an exchange: its rows on this connection fail."""
        self._streams.cancel(exchange)

    def close(self) -> None:
        """Say goodbye; requests under way are still answered."""
        self._out.append(frames.goaway(0, Code.NO_ERROR))
        self.drain()

    def lose(self) -> None:
        """There is no peer any more: end everything that is open."""
        self.drain()
        self._streams.lose()

    def _end_with(self, fault: ConnectionFault) -> None:
        self.fault = fault
        self._rest, self._block = b"", None
        self._out.append(frames.goaway(0, fault.code, str(fault)))
        self.lose()


_WITHOUT_BODY: Final = frozenset({204, 304})  # whatever their content-length says
_OF_STREAMS: Final = frozenset(
    {
        frames.DATA,
        frames.HEADERS,
        frames.PRIORITY,
        frames.RST_STREAM,
        frames.PUSH_PROMISE,
        frames.CONTINUATION,
    }
)
