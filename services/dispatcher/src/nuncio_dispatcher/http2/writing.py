"""Hot path: the outgoing half of a connection. Benchmark: benchmarks/engine.py.

Rows go out as far as the windows and the settings of the peer let them.

Source: RFC 9113, sections 5.2, 6.5.2 and 6.9.
"""

from datetime import datetime

from nuncio_dispatcher.http2 import frames
from nuncio_dispatcher.http2.exchange import Exchange, Failure
from nuncio_dispatcher.http2.frames import (
    DATA,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEADERS,
    Code,
    ConnectionFault,
    StreamFault,
)
from nuncio_dispatcher.http2.halves import HalfWritten
from nuncio_dispatcher.http2.headers import (
    CONTENT_LENGTHS,
    LENGTHS,
    Form,
    PeerTable,
    content_length,
)
from nuncio_dispatcher.http2.streams import MOST_STREAMS, Streams


class Writer:
    """Writes rows as far as the peer's settings and windows let it.

    stream_limit: how many streams may be open. window: bytes of bodies that the peer takes now.
    """

    __slots__ = (
        "_largest_frame",
        "_largest_list",
        "_out",
        "_stream_window",
        "_streams",
        "_table",
        "_waits_for_window",
        "stream_limit",
        "window",
    )

    def __init__(self, streams: Streams, out: list[bytes]) -> None:
        """streams: take what was written. out: takes the frames."""
        self.stream_limit = MOST_STREAMS
        self.window = frames.DEFAULT_WINDOW
        self._waits_for_window = False  # the next row needs more than there is
        self._stream_window = frames.DEFAULT_WINDOW
        self._largest_frame = frames.DEFAULT_FRAME_SIZE
        self._largest_list = frames.LARGEST_WINDOW
        self._table = PeerTable()
        self._streams = streams
        self._out = out

    def __repr__(self) -> str:
        return f"Writer(stream_limit={self.stream_limit}, window={self.window})"

    @property
    def room(self) -> int:
        """How many requests could be opened now, as far as the number of streams goes."""
        streams = self._streams
        if streams.half_written or (streams.open and self._waits_for_window):
            return 0
        return max(0, min(self.stream_limit - len(streams.open), streams.left))

    # --- what the peer says ----------------------------------------------------------------------

    def apply(self, name: int, value: int) -> None:
        """A setting of the peer's. Raises ConnectionFault for one that cannot be."""
        if name == frames.HEADER_TABLE_SIZE:
            self._table.resize(value)
        elif name == frames.MAX_CONCURRENT_STREAMS:
            self.stream_limit = min(value, MOST_STREAMS)
        elif name == frames.MAX_FRAME_SIZE:
            self._largest_frame = value
        elif name == frames.MAX_HEADER_LIST_SIZE:
            self._largest_list = value
        elif name == frames.INITIAL_WINDOW_SIZE:
            for half in self._streams.half_written.values():
                half.window += value - self._stream_window
                if half.window > frames.LARGEST_WINDOW:
                    raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window is below 2^31")
            self._stream_window = value

    def widen(self, stream: int, increment: int) -> None:
        """A window is larger by so much; stream 0 is the connection.

        Raises ConnectionFault or StreamFault for no increment, and for too large a window.
        """
        if stream == 0:
            if not increment:
                raise ConnectionFault(Code.PROTOCOL_ERROR, "a window is updated by 1 or more")
            self.window += increment
            self._waits_for_window = False
            if self.window > frames.LARGEST_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "a window is below 2^31")
            return
        self._streams.check_used(stream)
        if not increment and stream in self._streams.open:
            raise StreamFault(Code.PROTOCOL_ERROR, "a window is updated by 1 or more")
        half = self._streams.half_written.get(stream)
        if half is not None:
            half.window += increment
            if half.window > frames.LARGEST_WINDOW:
                raise StreamFault(Code.FLOW_CONTROL_ERROR, "a window is below 2^31")

    # --- writing ---------------------------------------------------------------------------------

    def write(self, exchange: Exchange, count: int, *, at: datetime, due: float) -> int:
        """See Connection.write. due: when to give up what is written now."""
        self._streams.expect(due)
        written = 0
        while written < count and exchange.waiting:
            form = self._table.form(exchange.requests)
            wanted = count - written if form.is_lasting else 1
            done = self._write_rows(exchange, form, wanted, at, due)
            written += done
            if done < wanted:
                break
        return written

    def _write_rows(
        self, exchange: Exchange, form: Form, count: int, at: datetime, due: float
    ) -> int:
        """The loop over rows whose request is two frames; what is longer goes another way."""
        # A row:  HEADERS, END_HEADERS  before | path length | path | content-length | after | own
        #         DATA, END_STREAM      body
        # before and after are equal for the rows; after ends with the own field's name and the
        # length of its value. Path, content-length and own value leave the peer's table alone.
        requests, waiting, written_at = exchange.requests, exchange.waiting, exchange.written_at
        paths, bodies = requests.paths, requests.bodies
        own = requests.own[1] if requests.own is not None else None
        before, after = form.before, form.after
        longest = self._longest_path(form)
        simple = min(self._stream_window, self._largest_frame, len(CONTENT_LENGTHS) - 1)
        pack, lengths, sizes = HEAD.pack, LENGTHS, CONTENT_LENGTHS  # bound once: read for each row
        opened, stream, window = self._streams.open, self._streams.next_stream, self.window
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
                opened[stream] = exchange, row, due
                written_at[row] = at
                window -= size
                stream += 2
                written += 1
            else:
                row = -1
        except Exception:
            # A fault of the sender's, in this row: nothing of it is written.
            self._drop(exchange, form, row, Failure.FAULT)
            raise
        finally:
            self._out += parts
            self._streams.next_stream, self.window = stream, window
        if row >= 0:
            written += self._write_row(exchange, form, row, at, due)
        return written

    def _write_row(
        self, exchange: Exchange, form: Form, row: int, at: datetime, due: float
    ) -> bool:
        """A row that is not simple. False: it waits, in its old place, for the window."""
        requests, streams = exchange.requests, self._streams
        path, body = requests.paths[row], requests.bodies[row]
        if len(path) > self._longest_path(form):
            self._drop(exchange, form, row, Failure.TOO_LARGE)
            return True
        if len(body) > self.window and streams.open and form.is_lasting:
            exchange.waiting.appendleft(row)
            self._waits_for_window = True
            return False
        try:
            block = form.before + LENGTHS[len(path)] + path + content_length(len(body)) + form.after
            if requests.own is not None:
                block += requests.own[1][row]
        except Exception:  # as above
            self._drop(exchange, form, row, Failure.FAULT)
            raise
        stream = streams.next_stream
        streams.next_stream += 2
        streams.open[stream] = exchange, row, due
        self._out.append(
            frames.header_block(block, stream, end_stream=not body, largest=self._largest_frame)
        )
        if body:
            streams.half_written[stream] = HalfWritten(
                body, window=self._stream_window, begun_at=at
            )
            self.go_on(at)
        else:
            exchange.written_at[row] = at
        return True

    def _longest_path(self, form: Form) -> int:
        return min(len(LENGTHS) - 1, self._largest_list - form.list_size)

    def _drop(self, exchange: Exchange, form: Form, row: int, failure: Failure) -> None:
        """A row fails of which nothing is written: the peer does not see the form either."""
        exchange.fail(row, failure)
        self._streams.touch(exchange)
        if not form.is_lasting:
            self._table.take_back()

    def go_on(self, at: datetime) -> None:
        """Go on with bodies that are half written, as far as the windows let."""
        for stream, half in list(self._streams.half_written.items()):
            while not half.is_whole():
                piece = half.next_piece(window=self.window, largest=self._largest_frame)
                if not piece:
                    break
                self.window -= len(piece)
                flags = END_STREAM if half.is_whole() else 0
                self._out.append(frames.frame(DATA, flags, stream, piece))
            if half.is_whole():
                self._streams.written(stream, at)
