"""Hot path: the writing half of a server's HTTP/2 connection. No I/O, no provider words.

Source: RFC 9113.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from nuncio_simulator.h2encode import ReplyEncoder
from nuncio_simulator.h2frames import (
    CONTINUATION,
    DATA,
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEADERS,
    LARGEST_WINDOW,
    PADDED,
    Code,
    ConnectionFault,
    Setting,
    StreamFault,
    frame,
    pad,
)
from nuncio_simulator.wire import PLAIN, Form, Reply

SPLIT: Final = 3
"""Pieces of a block or body that is to come in several frames."""
EARLY_HINTS: Final = 103


@dataclass(slots=True)
class _Body:
    """What is to send on a stream."""

    content: bytes
    piece: int
    """Bytes in a frame, at most."""
    form: Form
    split_end: bool
    sent: int = 0


class Writer:
    """Replies in, frames added to `out` as far as the client's windows allow."""

    def __init__(self, out: list[bytes], *, unindexed: frozenset[bytes], split_end: bool) -> None:
        self._out = out
        self._split_end = split_end
        self._encoder = ReplyEncoder(unindexed)
        self._window = DEFAULT_WINDOW
        self._initial_window = DEFAULT_WINDOW
        self._windows: dict[int, int] = {}
        """By stream: how far its window is from the initial one; no entry for those at it."""
        self.frame_size = DEFAULT_FRAME_SIZE
        self._blocked: dict[int, _Body] = {}

    def obey(self, values: Mapping[int, int]) -> None:
        """Follow the client's SETTINGS. Source: RFC 9113, sections 6.5.2 and 6.9.2."""
        if Setting.HEADER_TABLE_SIZE in values:
            self._encoder.resize(values[Setting.HEADER_TABLE_SIZE])
        self.frame_size = values.get(Setting.MAX_FRAME_SIZE, self.frame_size)
        self._initial_window = values.get(Setting.INITIAL_WINDOW_SIZE, self._initial_window)
        if self._initial_window + max(self._windows.values(), default=0) > LARGEST_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR)

    def credit(self, stream_id: int, increment: int) -> None:
        """Widen an open stream's window, or with 0 the connection's."""
        if stream_id == 0:
            self._window += increment
            if self._window > LARGEST_WINDOW:
                raise ConnectionFault(Code.FLOW_CONTROL_ERROR)
            return
        window = self._windows.get(stream_id, 0) + increment
        if self._initial_window + window > LARGEST_WINDOW:
            raise StreamFault(Code.FLOW_CONTROL_ERROR)
        self._windows[stream_id] = window

    def forget(self, stream_id: int) -> None:
        """Drop what is kept for a stream that ended."""
        self._windows.pop(stream_id, None)
        self._blocked.pop(stream_id, None)

    def send(self, stream_id: int, reply: Reply, form: Form = PLAIN) -> bool:
        """Write a reply; False while some of it waits for the client's window, or for ever."""
        if form.informational:
            hint = self._encoder.encode(EARLY_HINTS, ((b"link", b"</>; rel=preconnect"),))
            self._write_block(stream_id, hint, END_HEADERS, form=PLAIN)
        block = self._encoder.encode(reply.status, reply.headers)
        ends = not (reply.body or form.trailers or form.stall)
        if form is PLAIN and len(block) <= self.frame_size:
            flags = END_HEADERS | END_STREAM if ends else END_HEADERS
            length = len(block)
            self._out.append(HEAD.pack(length >> 8, length & 0xFF, HEADERS, flags, stream_id))
            self._out.append(block)
        else:
            self._write_block(stream_id, block, END_STREAM if ends else 0, form=form)
        if ends:
            self.forget(stream_id)
            return True
        content = reply.body[: len(reply.body) // 2] if form.stall else reply.body
        piece = -(-len(content) // SPLIT) if form.split and content else self.frame_size
        return self._send_body(stream_id, _Body(content, piece, form, self._split_end))

    def send_blocked(self) -> list[int]:
        """Write what the windows allow by now; the streams that are complete with it."""
        return [
            stream_id
            for stream_id, body in list(self._blocked.items())
            if self._send_body(stream_id, body)
        ]

    def _write_block(self, stream_id: int, block: bytes, flags: int, *, form: Form) -> None:
        """HEADERS, and CONTINUATION as often as needed."""
        flags &= ~END_HEADERS
        room = self.frame_size - (form.padding + 1 if form.padding else 0)
        piece = min(room, -(-len(block) // SPLIT)) if form.split else room
        pieces = [block[start : start + piece] for start in range(0, len(block), piece)]
        first, *others = pieces
        if form.padding:
            first, flags = pad(first, form.padding), flags | PADDED
        ending = 0 if others else END_HEADERS
        self._out.append(frame(HEADERS, flags | ending, stream_id, first))
        for number, part in enumerate(others, start=1):
            ending = END_HEADERS if number == len(others) else 0
            self._out.append(frame(CONTINUATION, ending, stream_id, part))

    def _send_body(self, stream_id: int, body: _Body) -> bool:
        overhead = body.form.padding + 1 if body.form.padding else 0
        while body.sent < len(body.content):
            own = self._initial_window + self._windows.get(stream_id, 0)
            # Below zero after the client made its window smaller. RFC 9113, section 6.9.2.
            room = min(own, self._window, self.frame_size) - overhead
            if room <= 0:
                self._blocked[stream_id] = body
                return False
            chunk = body.content[body.sent : body.sent + min(room, body.piece)]
            body.sent += len(chunk)
            self._write_data(stream_id, chunk, body, overhead)
        return self._end(stream_id, body)

    def _write_data(self, stream_id: int, chunk: bytes, body: _Body, overhead: int) -> None:
        form = body.form
        more = body.sent < len(body.content) or body.split_end or form.trailers or form.stall
        flags = 0 if more else END_STREAM
        self._window -= len(chunk) + overhead
        self._windows[stream_id] = self._windows.get(stream_id, 0) - len(chunk) - overhead
        if form.padding:
            chunk, flags = pad(chunk, form.padding), flags | PADDED
        self._out.append(frame(DATA, flags, stream_id, chunk))

    def _end(self, stream_id: int, body: _Body) -> bool:
        """Write what follows the last of a body, if something does."""
        self._blocked.pop(stream_id, None)
        if body.form.stall:
            return False
        if body.form.trailers:
            block = self._encoder.trailers(body.form.trailers)
            self._out.append(frame(HEADERS, END_HEADERS | END_STREAM, stream_id, block))
        elif body.split_end:
            self._out.append(frame(DATA, END_STREAM, stream_id, b""))
        self.forget(stream_id)
        return True
