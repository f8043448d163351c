"""Hot path: the reading half of a server's HTTP/2 connection. No I/O, no provider words.

It takes frames apart, keeps the client to the rules, gives credit back, and hands on requests.

Source: RFC 9113.
"""

from collections.abc import Callable, Mapping
from typing import Final, Protocol

from nuncio_simulator.h2decode import BrokenBlockError, Field, FieldDecoder
from nuncio_simulator.h2frames import (
    ACK,
    CONTINUATION,
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    END_HEADERS,
    END_STREAM,
    HEAD,
    HEAD_SIZE,
    LONG,
    PADDED,
    PREFACE,
    SETTINGS,
    STREAM_BITS,
    WITH_PRIORITY,
    Code,
    ConnectionFault,
    Setting,
    StreamFault,
    frame,
    header_fragment,
    parse_settings,
    reset_frame,
    unpad,
    window_frame,
)
from nuncio_simulator.h2headers import are_trailers, is_too_long, is_well_formed
from nuncio_simulator.h2streams import Stream, Streams
from nuncio_simulator.wire import BODY_LIMIT

TABLE_SIZE: Final = 4_096
BLOCK_LIMIT: Final = 65_536
"""Bytes of a field block, before it is decoded; CONTINUATION may add to it until then."""


class Owner(Protocol):
    """Whoever the requests are for. Every method may raise ConnectionFault or StreamFault."""

    def on_request(self, stream_id: int, fields: list[Field], body: bytes) -> None:
        """A complete request; its stream is open until `close_stream`."""
        ...

    def on_reset(self, stream_id: int) -> None:
        """The stream is gone, by the client's will or for its fault."""
        ...

    def on_settings(self, values: Mapping[int, int]) -> None:
        """The client's SETTINGS, which are acknowledged afterwards."""
        ...

    def on_window(self, stream_id: int, increment: int) -> None:
        """Credit for an open stream, or with 0 for the connection."""
        ...

    def on_ping(self, payload: bytes) -> None:
        """A PING that asks for an answer."""
        ...

    def on_goaway(self) -> None:
        """The client will open no more streams."""
        ...


class Reader:
    """Frames in, calls to the owner out; what they oblige us to say is added to `out`."""

    def __init__(self, owner: Owner, out: list[bytes], *, header_list_size: int) -> None:
        self._owner = owner
        self._out = out
        self._header_list_size = header_list_size
        self._decoder = FieldDecoder(TABLE_SIZE)
        self._rest = b""
        self._greeted = False
        self._greeting = len(PREFACE)  # bytes to pass over
        self._only: int | None = SETTINGS  # the one frame type that may come next
        self._block: tuple[int, int, bytes] | None = None  # stream, flags, fragments so far
        self.streams = Streams()
        self._open = self.streams.open  # bound once: read for every frame
        self._window = DEFAULT_WINDOW
        self._consumed = 0
        self._granted = 0
        self._waiting: list[Stream] = []  # for credit of their own
        self._stream_window = DEFAULT_WINDOW
        self._frame_size = DEFAULT_FRAME_SIZE
        self._unacknowledged: list[Mapping[int, int]] = []
        self.stream_limit = 1
        self.stopped = False
        """Whether the rest of what was read is of no interest any more."""
        self._takers: tuple[Callable[[int, int, bytes], None], ...] = (
            self._on_data,
            self._on_headers,
            self._on_priority,
            self._on_reset,
            self._on_settings,
            self._on_push_promise,
            self._on_ping,
            self._on_goaway,
            self._on_window_update,
            self._on_continuation,
        )

    def announce(self, values: Mapping[int, int]) -> None:
        """Note that SETTINGS were written; they bind the client once it acknowledges them."""
        self._unacknowledged.append(values)
        larger = values.get(Setting.MAX_FRAME_SIZE, 0)
        self._frame_size = max(self._frame_size, larger)

    def close_stream(self, stream_id: int) -> None:
        """Forget a stream whose answer is written."""
        self._open.pop(stream_id, None)

    def reset_stream(self, stream_id: int, code: int) -> None:
        """End a stream with RST_STREAM."""
        self._out.append(reset_frame(stream_id, code))
        self.streams.reset(stream_id)

    def receive(self, data: bytes) -> None:
        """Take in what came. Raises ConnectionFault, after which there is no more to receive."""
        if self._rest:
            data = self._rest + data
        if not self._greeted and not self._greet(data):
            self._rest = data
            return
        position, self._greeting = self._greeting, 0
        if self._granted or self._waiting:
            self._count_credit()
        end, unpack, takers = len(data), HEAD.unpack_from, self._takers
        while end - position >= HEAD_SIZE and not self.stopped:
            high, low, kind, flags, stream_id = unpack(data, position)
            start = position + HEAD_SIZE
            length = high << 8 | low
            if length > self._frame_size:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR)
            if start + length > end:
                break
            position = start + length
            if self._only is not None and kind != self._only:
                raise ConnectionFault(Code.PROTOCOL_ERROR)
            if kind > CONTINUATION:
                continue  # RFC 9113, section 5.5: of an unknown type
            try:
                takers[kind](stream_id & STREAM_BITS, flags, data[start:position])
            except StreamFault as fault:
                self.reset_stream(stream_id & STREAM_BITS, fault.code)
                self._owner.on_reset(stream_id & STREAM_BITS)
        self._rest = data[position:]

    def _greet(self, data: bytes) -> bool:
        """Whether the preface is complete."""
        if not PREFACE.startswith(data[: len(PREFACE)]):
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        self._greeted = len(data) >= len(PREFACE)
        return self._greeted

    def _on_data(self, stream_id: int, flags: int, payload: bytes) -> None:
        size = len(payload)
        self._window -= size
        if self._window < 0:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR)
        self._consumed += size
        if self._consumed > DEFAULT_WINDOW // 2:
            self._out.append(window_frame(0, self._consumed))
            self._granted += self._consumed
            self._consumed = 0
        stream = self._open.get(stream_id)
        if stream is None:
            self.streams.judge_stray(stream_id)
            return
        if stream.ended:
            raise StreamFault(Code.STREAM_CLOSED)
        stream.window -= size
        if stream.window < 0:
            raise StreamFault(Code.FLOW_CONTROL_ERROR)
        if flags & PADDED:
            payload = unpad(payload)
        stream.received += len(payload)
        if len(stream.body) < BODY_LIMIT:
            stream.body += payload
        if flags & END_STREAM:
            self._end(stream_id, stream)
        elif stream.window + stream.granted <= self._stream_window // 2:
            self._give_back(stream_id, stream)

    def _give_back(self, stream_id: int, stream: Stream) -> None:
        credit = self._stream_window - stream.window - stream.granted
        if credit > 0:
            self._out.append(window_frame(stream_id, credit))
            stream.granted += credit
            self._waiting.append(stream)

    def _count_credit(self) -> None:
        """What was given back in the last pass is written by now, so the client may use it."""
        self._window += self._granted
        self._granted = 0
        for stream in self._waiting:
            stream.window += stream.granted
            stream.granted = 0
        self._waiting.clear()

    def _end(self, stream_id: int, stream: Stream) -> None:
        if stream.promised is not None and stream.promised != stream.received:
            raise StreamFault(Code.PROTOCOL_ERROR)
        stream.ended = True
        self._owner.on_request(stream_id, stream.fields, stream.body)

    def _on_headers(self, stream_id: int, flags: int, payload: bytes) -> None:
        if flags & (PADDED | WITH_PRIORITY):
            payload = header_fragment(flags, payload)
        if not flags & END_HEADERS:
            self._block = (stream_id, flags, payload)
            self._only = CONTINUATION
            return
        self._on_block(stream_id, flags, payload)

    def _on_continuation(self, stream_id: int, flags: int, payload: bytes) -> None:
        if self._block is None or self._block[0] != stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        block = self._block[2] + payload
        if len(block) > BLOCK_LIMIT or not (payload or flags & END_HEADERS):
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM)
        if not flags & END_HEADERS:
            self._block = (stream_id, self._block[1], block)
            return
        flags = self._block[1]
        self._block = self._only = None
        self._on_block(stream_id, flags, block)

    def _on_block(self, stream_id: int, flags: int, block: bytes) -> None:
        if not stream_id & 1:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        try:
            fields = self._decoder.decode(block)
        except BrokenBlockError as error:
            raise ConnectionFault(Code.COMPRESSION_ERROR) from error
        stream = self._open.get(stream_id)
        if stream is not None:
            self._on_trailers(stream_id, flags, stream, fields)
            return
        if self.streams.is_old(stream_id):
            self.streams.judge_stray(stream_id)
            return
        self.streams.advance(stream_id)
        if self.streams.is_ignored(stream_id):
            return
        if len(self._open) >= self.stream_limit:
            raise StreamFault(Code.REFUSED_STREAM)
        # RFC 9113, section 10.5.1, lets a list that is too long count as malformed.
        if is_too_long(fields, self._header_list_size) or not is_well_formed(fields):
            raise StreamFault(Code.PROTOCOL_ERROR)
        stream = self._open[stream_id] = Stream(fields, self._stream_window)
        if flags & END_STREAM:
            self._end(stream_id, stream)

    def _on_trailers(self, stream_id: int, flags: int, stream: Stream, fields: list[Field]) -> None:
        if stream.ended:
            raise StreamFault(Code.STREAM_CLOSED)
        if not flags & END_STREAM or not are_trailers(fields):
            raise StreamFault(Code.PROTOCOL_ERROR)
        self._end(stream_id, stream)

    def _on_priority(self, stream_id: int, _flags: int, payload: bytes) -> None:
        if stream_id == 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        if len(payload) != 5:
            raise StreamFault(Code.FRAME_SIZE_ERROR)

    def _on_reset(self, stream_id: int, _flags: int, payload: bytes) -> None:
        if len(payload) != LONG.size:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR)
        self.streams.must_not_be_idle(stream_id)
        if self._open.pop(stream_id, None) is not None:
            self._owner.on_reset(stream_id)

    def _on_settings(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        if flags & ACK:
            if payload:
                raise ConnectionFault(Code.FRAME_SIZE_ERROR)
            if self._only is not None:  # the first SETTINGS cannot be an acknowledgement
                raise ConnectionFault(Code.PROTOCOL_ERROR)
            self._on_acknowledgement()
            return
        self._only = None
        self._owner.on_settings(parse_settings(payload))
        self._out.append(frame(SETTINGS, ACK, 0, b""))

    def _on_acknowledgement(self) -> None:
        if not self._unacknowledged:
            return
        values = self._unacknowledged.pop(0)
        window = values.get(Setting.INITIAL_WINDOW_SIZE, self._stream_window)
        for stream in self._open.values():
            stream.window += window - self._stream_window
        self._stream_window = window
        self._frame_size = values.get(Setting.MAX_FRAME_SIZE, self._frame_size)

    def _on_push_promise(self, _stream_id: int, _flags: int, _payload: bytes) -> None:
        raise ConnectionFault(Code.PROTOCOL_ERROR)

    def _on_ping(self, stream_id: int, flags: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        if len(payload) != 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR)
        if not flags & ACK:
            self._owner.on_ping(payload)

    def _on_goaway(self, stream_id: int, _flags: int, payload: bytes) -> None:
        if stream_id:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
        if len(payload) < 8:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR)
        self._owner.on_goaway()

    def _on_window_update(self, stream_id: int, _flags: int, payload: bytes) -> None:
        if len(payload) != LONG.size:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR)
        if stream_id:
            self.streams.must_not_be_idle(stream_id)
        increment = LONG.unpack(payload)[0] & STREAM_BITS
        if not increment:
            if stream_id == 0:
                raise ConnectionFault(Code.PROTOCOL_ERROR)
            raise StreamFault(Code.PROTOCOL_ERROR)
        if stream_id == 0 or stream_id in self._open:
            self._owner.on_window(stream_id, increment)
