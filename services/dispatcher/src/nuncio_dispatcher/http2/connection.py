"""Hot path: one HTTP/2 connection without I/O. Benchmark: benchmarks/engine.py.

Bytes that arrived go in, bytes to write come out, and the exchanges are filled in between. Time is
told, not asked for.

Source: RFC 9113.
"""

import heapq
from collections.abc import Callable, Collection
from datetime import datetime
from typing import ClassVar, Final

from nuncio_dispatcher.http2 import frames
from nuncio_dispatcher.http2.exchange import Exchange, Failure, Reply
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
from nuncio_dispatcher.http2.headers import (
    CONTENT_LENGTHS,
    LARGEST_LIST,
    LENGTHS,
    OK,
    AnswerDecoder,
    Form,
    PeerTable,
    check_trailers,
    content_length,
    glimpse,
    read_answer,
)
from nuncio_dispatcher.http2.streams import HalfRead, HalfWritten

MOST_STREAMS: Final = 1_000
"""Streams used at once, however many the peer allows."""
OUR_WINDOW: Final = 1 << 24
"""Bytes of answers that may be on their way to us, over all streams."""
LARGEST_BLOCK: Final = 32_768
"""Bytes of a header block in all its frames."""
MOST_CONTINUATIONS: Final = 16
MOST_CUT: Final = 4 * MOST_STREAMS
"""Streams that we reset last, whose late frames are passed over."""
SHOWN_OF_GOAWAY: Final = 200

_WHOLE_ANSWER: Final = END_STREAM | END_HEADERS
_OUR_SETTINGS: Final = {
    # Without a table, a block that opens with a status can be left unread.
    frames.HEADER_TABLE_SIZE: 0,
    frames.ENABLE_PUSH: 0,
    frames.INITIAL_WINDOW_SIZE: frames.DEFAULT_WINDOW,
    frames.MAX_HEADER_LIST_SIZE: LARGEST_LIST,
}


class _Block:
    """A header block of which CONTINUATION frames are still to come."""

    __slots__ = ("flags", "frames", "parts", "size", "stream")

    def __init__(self, stream: int, flags: int, part: bytes) -> None:
        self.stream = stream
        self.flags = flags
        self.parts = [part]
        self.size = len(part)
        self.frames = 0

    def add(self, part: bytes) -> None:
        self.parts.append(part)
        self.size += len(part)
        self.frames += 1
        if self.size > LARGEST_BLOCK or self.frames > MOST_CONTINUATIONS:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "a header block has an end")


class Connection:
    """Writes rows of exchanges and reads their answers; each row ends once, or waits again.

    answered: how many requests got an answer. fault: the rule that the peer broke, if it did;
    then nothing more is read. farewell: the code and the debug data of the peer's GOAWAY.
    """

    def __init__(self, *, now: float) -> None:
        """now: seconds of a monotonic clock, as everywhere here."""
        self.answered = 0
        self.fault: ConnectionFault | None = None
        self.farewell: tuple[int, bytes] | None = None
        self.is_settled = False
        """Whether the peer has sent its SETTINGS: before that, nothing is written."""
        self.is_draining = False
        """Whether no more requests may be written; those under way may end."""
        self.last_read = now
        self._out = [
            frames.PREFACE,
            frames.settings(_OUR_SETTINGS),
            frames.window_update(0, OUR_WINDOW - frames.DEFAULT_WINDOW),
        ]
        self._rest = b""
        self._streams: dict[int, tuple[Exchange, int]] = {}  # in the order they were opened
        self._next_stream = 1
        self._half_written: dict[int, HalfWritten] = {}
        self._half_read: dict[int, HalfRead] = {}
        self._cut: dict[int, None] = {}
        self._touched: dict[Exchange, None] = {}
        self._dues: list[tuple[float, int, int]] = []  # a heap: due, first and last stream
        self._block: _Block | None = None
        self._table = PeerTable()
        self._decoder = AnswerDecoder()
        self._knows_no_table = False  # the peer has acknowledged our SETTINGS
        self._uses_no_table = False  # and has said so in a block
        self._stream_limit = MOST_STREAMS
        self._window = frames.DEFAULT_WINDOW
        self._waits_for_window = False  # the next row needs more than there is
        self._stream_window = frames.DEFAULT_WINDOW
        self._largest_frame = frames.DEFAULT_FRAME_SIZE
        self._largest_list = frames.LARGEST_WINDOW
        self._unread_window = OUR_WINDOW
        self._ping_sent: float | None = None

    def __repr__(self) -> str:
        state = "faulty" if self.fault else "draining" if self.is_draining else "open"
        return (
            f"Connection({state}, streams={len(self._streams)}/{self._stream_limit}, "
            f"window={self._window}, answered={self.answered})"
        )

    # --- what the pool asks ----------------------------------------------------------------------

    @property
    def in_flight(self) -> int:
        """Requests without their answer."""
        return len(self._streams)

    @property
    def was_used(self) -> bool:
        """Whether any request was opened on it."""
        return self._next_stream > 1

    @property
    def next_due(self) -> float | None:
        """When `end_overdue` may have something to do."""
        return self._dues[0][0] if self._dues else None

    @property
    def stream_limit(self) -> int:
        """How many requests it takes at once; 0 once it takes no more."""
        return 0 if self.is_draining or not self.is_settled else self._stream_limit

    @property
    def room(self) -> int:
        """How many requests could be opened now, as far as the number of streams goes."""
        if self.is_draining or not self.is_settled or self._half_written:
            return 0
        if self._streams and self._waits_for_window:
            return 0
        return max(0, min(self._stream_limit - len(self._streams), self._streams_left))

    @property
    def _streams_left(self) -> int:
        """How many stream numbers the connection has not used."""
        return (frames.LAST_STREAM - self._next_stream) // 2 + 1

    def take_output(self) -> bytes:
        """What is to be written to the peer now."""
        out = b"".join(self._out)
        self._out.clear()
        return out

    def take_touched(self) -> Collection[Exchange]:
        """The exchanges of which rows have ended, or wait again, since the last call."""
        if not self._touched:
            return ()
        touched, self._touched = self._touched, {}
        return touched

    def drain(self) -> None:
        """See Carrier.drain."""
        self.is_draining = True

    # --- writing ---------------------------------------------------------------------------------

    def write(self, exchange: Exchange, count: int, *, at: datetime, now: float) -> int:
        """Write up to so many of the waiting rows, `room` at most; returns how many were.

        Fewer when a window does not let more through. Raises what a request raises that cannot be
        put in bytes; then its row has ended, and the connection is as good as before.
        """
        first, written = self._next_stream, 0
        try:
            while written < count and exchange.waiting:
                form = self._table.form(exchange.requests)
                wanted = count - written if form.is_lasting else 1
                done = self._write_rows(exchange, form, wanted, at)
                written += done
                if done < wanted:
                    break
        finally:
            if self._next_stream > first:
                due = now + exchange.answer_within
                heapq.heappush(self._dues, (due, first, self._next_stream - 2))
        return written

    def _write_rows(self, exchange: Exchange, form: Form, count: int, at: datetime) -> int:
        """The loop over rows whose request is two frames; what is longer goes another way."""
        # A row:  HEADERS, END_HEADERS  before | path length | path | content-length | after | own
        #         DATA, END_STREAM      body
        # before and after are equal for the rows; after ends with the own field's name and the
        # length of its value. Path, content-length and own value leave the peer's table alone.
        requests, waiting, written_at = exchange.requests, exchange.waiting, exchange.written_at
        paths, bodies = requests.paths, requests.bodies
        own = requests.own[1] if requests.own is not None else None
        before, after = form.before, form.after
        longest = min(len(LENGTHS) - 1, self._largest_list - form.list_size)
        simple = min(self._stream_window, self._largest_frame, len(CONTENT_LENGTHS) - 1)
        pack, lengths, sizes = HEAD.pack, LENGTHS, CONTENT_LENGTHS  # bound once: read for each row
        streams, stream, window = self._streams, self._next_stream, self._window
        parts: list[bytes] = []
        written = 0
        row = -1
        try:
            while written < count and waiting:
                row = waiting.popleft()
                path, body = paths[row], bodies[row]
                size, length = len(body), len(path)
                if length > longest or not 0 < size <= simple or size > window:
                    break
                block = before + lengths[length] + path + sizes[size] + after
                if own is not None:
                    block += own[row]
                block_size = len(block)
                if block_size > frames.DEFAULT_FRAME_SIZE:
                    break
                parts += (
                    pack(block_size >> 8, block_size & 0xFF, HEADERS, END_HEADERS, stream),
                    block,
                    pack(size >> 8, size & 0xFF, DATA, END_STREAM, stream),
                    body,
                )
                streams[stream] = exchange, row
                written_at[row] = at
                window -= size
                stream += 2
                written += 1
            else:
                row = -1
        except Exception:
            # A fault of the sender's, in this row: nothing of it is written.
            exchange.fail(row, Failure.FAULT)
            self._touched[exchange] = None
            if not form.is_lasting:
                self._table.take_back()
            raise
        finally:
            self._out += parts
            self._next_stream, self._window = stream, window
        if row >= 0:
            written += self._write_row(exchange, form, row, at)
        if self._next_stream > frames.LAST_STREAM:
            self.is_draining = True
        return written

    def _write_row(self, exchange: Exchange, form: Form, row: int, at: datetime) -> bool:
        """A row that is not simple. False: it waits, in its old place, for the window."""
        requests = exchange.requests
        path, body = requests.paths[row], requests.bodies[row]
        if len(path) > min(len(LENGTHS) - 1, self._largest_list - form.list_size):
            exchange.fail(row, Failure.TOO_LARGE)
            self._touched[exchange] = None
            if not form.is_lasting:
                self._table.take_back()
            return True
        if len(body) > self._window and self._streams and form.is_lasting:
            exchange.waiting.appendleft(row)
            self._waits_for_window = True
            return False
        block = form.before + LENGTHS[len(path)] + path + content_length(len(body)) + form.after
        if requests.own is not None:
            block += requests.own[1][row]
        stream = self._next_stream
        self._next_stream += 2
        self._streams[stream] = exchange, row
        self._out.append(
            frames.header_block(block, stream, end_stream=not body, largest=self._largest_frame)
        )
        if body:
            self._half_written[stream] = HalfWritten(body, window=self._stream_window, begun_at=at)
            self._write_bodies(at)
        else:
            exchange.written_at[row] = at
        return True

    def _write_bodies(self, at: datetime) -> None:
        """Go on with bodies, as far as the windows let."""
        for stream, half in list(self._half_written.items()):
            while not half.is_whole():
                piece = half.next_piece(window=self._window, largest=self._largest_frame)
                if not piece:
                    break
                self._window -= len(piece)
                flags = END_STREAM if half.is_whole() else 0
                self._out.append(frames.frame(DATA, flags, stream, piece))
            if half.is_whole():
                del self._half_written[stream]
                exchange, row = self._streams[stream]
                exchange.written_at[row] = at

    # --- reading ---------------------------------------------------------------------------------

    def receive(self, data: bytes, *, at: datetime, now: float) -> None:
        """Take bytes that arrived. When they break a rule, `fault` says which one."""
        self.last_read = now
        if self.fault is not None:
            return
        try:
            self._read(data)
        except ConnectionFault as fault:
            self._end_with(fault)
            return
        if self._half_written:
            self._write_bodies(at)

    def _read(self, data: bytes) -> None:
        """The loop over frames: answers that are one frame and a 200 end here, others go on."""
        if self._rest:
            data = self._rest + data
        start, end = 0, len(data)
        unpack, streams, touched = HEAD.unpack_from, self._streams, self._touched
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
                and flags == _WHOLE_ANSWER
                and self._uses_no_table
                and size
                and data[payload] == OK
                and stream in streams
                and not (self._half_read or self._half_written or self._block)
            ):
                exchange, row = streams.pop(stream)
                exchange.statuses[row] = 200
                exchange.accepted += 1
                exchange.open -= 1
                self.answered += 1
                if exchange is not last:
                    touched[exchange] = None
                    last = exchange
            else:
                self._take_frame(kind, flags, stream & frames.STREAM_BITS, data[payload:start])
        self._rest = data[start:]

    def _take_frame(self, kind: int, flags: int, stream: int, payload: bytes) -> None:
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
            self._reset(stream, fault.code, Failure.BAD_ANSWER)

    def _take_data(self, flags: int, stream: int, payload: bytes) -> None:
        self._unread_window -= len(payload)
        if self._unread_window < OUR_WINDOW // 2:
            self._out.append(frames.window_update(0, OUR_WINDOW - self._unread_window))
            self._unread_window = OUR_WINDOW
        data = frames.unpadded(payload, flags, kind=DATA)
        if not self._is_open(stream):
            return
        half = self._half_read.get(stream)
        if half is None:
            raise StreamFault(Code.PROTOCOL_ERROR, "DATA comes after HEADERS")
        goes_on = half.add(data, framed=len(payload))
        if flags & END_STREAM:
            half.end()
            self._answer(stream, half.status, half)
        elif not goes_on:
            self._answer(stream, half.status, half)
            self._tell_reset(stream, Code.CANCEL)

    def _take_headers(self, flags: int, stream: int, payload: bytes) -> None:
        block = frames.unpadded(payload, flags, kind=HEADERS)
        if flags & END_HEADERS:
            self._take_block(flags, stream, block)
        else:
            self._block = _Block(stream, flags, block)

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
        half = self._half_read.get(stream)
        status = glimpse(block) if self._uses_no_table and half is None else 0
        if 200 <= status < 300:  # nothing in it is of interest
            if not self._is_open(stream):
                return
            if ends:
                self._answer(stream, status, None)
            else:
                self._half_read[stream] = HalfRead(status, {})
            return
        fields = self._decoder.decode(block)
        self._uses_no_table = self._knows_no_table
        if not self._is_open(stream):
            return
        if half is not None:
            check_trailers(fields)
            if not ends:
                raise StreamFault(Code.PROTOCOL_ERROR, "trailers end the stream")
            half.end()
            self._answer(stream, half.status, half)
            return
        status, headers = read_answer(fields)
        if status < 200:
            if ends or status == 101:
                raise StreamFault(Code.PROTOCOL_ERROR, "an interim answer is not the last")
            return
        half = HalfRead(status, headers)
        if ends:
            if status not in _WITHOUT_BODY:
                half.end()
            self._answer(stream, status, half)
        else:
            self._half_read[stream] = half

    def _take_rst_stream(self, _flags: int, stream: int, payload: bytes) -> None:
        code = frames.parse_long(payload, rule="RST_STREAM has 4 bytes")
        self._check_used(stream)
        if stream in self._streams:
            half = self._half_read.get(stream)
            if half is not None:
                self._answer(stream, half.status, half)
            elif code == Code.REFUSED_STREAM:
                self._refuse(stream)
            else:
                self._fail(stream, Failure.STREAM_RESET)

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
            self._apply(name, value)
        self.is_settled = True
        self._out.append(frames.frame(frames.SETTINGS, frames.ACK, 0))

    def _apply(self, name: int, value: int) -> None:
        if name == frames.HEADER_TABLE_SIZE:
            self._table.resize(value)
        elif name == frames.MAX_CONCURRENT_STREAMS:
            self._stream_limit = min(value, MOST_STREAMS)
        elif name == frames.MAX_FRAME_SIZE:
            self._largest_frame = value
        elif name == frames.MAX_HEADER_LIST_SIZE:
            self._largest_list = value
        elif name == frames.INITIAL_WINDOW_SIZE:
            for half in self._half_written.values():
                half.window += value - self._stream_window
                if half.window > frames.LARGEST_WINDOW:
                    raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window is below 2^31")
            self._stream_window = value

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
        self.is_draining = True
        for stream in [stream for stream in self._streams if stream > last]:
            self._refuse(stream)

    def _take_window_update(self, _flags: int, stream: int, payload: bytes) -> None:
        increment = frames.parse_long(payload, rule="WINDOW_UPDATE has 4 bytes")
        increment &= frames.STREAM_BITS
        if stream == 0:
            if not increment:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "a window is updated by 1 or more")
            self._window += increment
            self._waits_for_window = False
            if self._window > frames.LARGEST_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window is below 2^31")
            return
        self._check_used(stream)
        if not increment and stream in self._streams:
            raise StreamFault(Code.PROTOCOL_ERROR, "a window is updated by 1 or more")
        half = self._half_written.get(stream)
        if half is not None:
            half.window += increment
            if half.window > frames.LARGEST_WINDOW:
                raise StreamFault(Code.FLOW_CONTROL_ERROR, "a window is below 2^31")

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
        while self._dues:
            due, first, last = self._dues[0]
            oldest = next(iter(self._streams), frames.LAST_STREAM)
            if due > now and oldest <= last:
                break
            heapq.heappop(self._dues)
            for stream in range(max(first, oldest), last + 1, 2):
                if stream in self._streams:
                    self._give_up(stream)

    def is_silent(self, now: float, *, ping_after: float, ping_within: float) -> bool:
        """Whether the peer has stopped talking: asked by a PING, it has not answered in time.

        Asks only while answers are waited for; some peers take other PINGs for an attack.
        """
        if not self._streams:
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
        for stream, (of, _) in list(self._streams.items()):
            if of is exchange:
                self._give_up(stream)

    def close(self) -> None:
        """Say goodbye; requests under way are still answered."""
        self._out.append(frames.goaway(0, Code.NO_ERROR))
        self.is_draining = True

    def lose(self) -> None:
        """There is no peer any more: end everything that is open."""
        self.is_draining = True
        for stream in list(self._streams):
            half = self._half_read.get(stream)
            if half is not None:
                self._answer(stream, half.status, half)
            elif stream in self._half_written:
                self._refuse(stream)
            else:
                self._fail(stream, Failure.CONNECTION_LOST)

    def _end_with(self, fault: ConnectionFault) -> None:
        self.fault = fault
        self._out.append(frames.goaway(0, fault.code, str(fault)))
        self.lose()

    def _answer(self, stream: int, status: int, half: HalfRead | None) -> None:
        """A request has its answer."""
        exchange, row = self._streams.pop(stream)
        self._half_read.pop(stream, None)
        half_written = self._half_written.pop(stream, None)
        if half_written is not None:
            exchange.written_at[row] = half_written.begun_at
            self._tell_reset(stream, Code.CANCEL)
        self.answered += 1
        self._touched[exchange] = None
        if 200 <= status < 300:
            exchange.statuses[row] = status
            exchange.accepted += 1
            exchange.open -= 1
        else:
            assert half is not None, "what is no 2xx was read"
            exchange.reply(row, Reply(status, half.headers, half.body, self))

    def _fail(self, stream: int, failure: Failure) -> None:
        exchange, row = self._forget(stream)
        exchange.fail(row, failure)

    def _refuse(self, stream: int) -> None:
        exchange, row = self._forget(stream)
        exchange.refuse(row)

    def _forget(self, stream: int) -> tuple[Exchange, int]:
        self._half_read.pop(stream, None)
        self._half_written.pop(stream, None)
        exchange, row = self._streams.pop(stream)
        self._touched[exchange] = None
        return exchange, row

    def _reset(self, stream: int, code: Code, failure: Failure) -> None:
        """End a stream from our side."""
        self._tell_reset(stream, code)
        if stream in self._streams:
            self._fail(stream, failure)

    def _give_up(self, stream: int) -> None:
        """Wait no longer for the end of an answer; a status without its body still counts."""
        self._tell_reset(stream, Code.CANCEL)
        half = self._half_read.get(stream)
        if half is not None:
            self._answer(stream, half.status, half)
        else:
            self._fail(stream, Failure.NO_ANSWER)

    def _tell_reset(self, stream: int, code: Code) -> None:
        if stream in self._cut:
            return
        self._out.append(frames.rst_stream(stream, code))
        self._cut[stream] = None
        if len(self._cut) > MOST_CUT:
            del self._cut[next(iter(self._cut))]

    def _is_open(self, stream: int) -> bool:
        """Whether a frame belongs to an open request. False: it is late, and passed over."""
        if stream in self._streams:
            return True
        self._check_used(stream)
        if stream not in self._cut:
            raise ConnectionFault(Code.STREAM_CLOSED, "nothing follows the end of a stream")
        return False

    def _check_used(self, stream: int) -> None:
        if stream % 2 == 0 or stream >= self._next_stream:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a stream is opened before it is used")


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
