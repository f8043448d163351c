"""One HTTP/2 connection of a server, on hyper-h2: streams in, answers out. No provider words.

Source: RFC 9113.
"""

import asyncio
from collections.abc import Callable
from typing import Any, ClassVar, Final, NamedTuple, cast

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import Encoder
from hyperframe.frame import GoAwayFrame

from nuncio_simulator.h2headers import is_well_formed
from nuncio_simulator.wire import (
    BODY_LIMIT,
    Answer,
    Connection,
    Conversation,
    GoAway,
    Reply,
    carries_body,
    read_request,
)

WINDOW: Final = 65_535
SWEEP_EVERY: Final = 256
"""Streams between two sweeps of closed ones out of h2's table."""

CONFIG: Final = H2Configuration(
    client_side=False,
    header_encoding=None,
    validate_inbound_headers=False,  # is_well_formed does it in less time
    # What we send is our own and valid; checking it again would cost a tenth of a request.
    validate_outbound_headers=False,
    normalize_outbound_headers=False,
)


class Profile(NamedTuple):
    """How a site's HTTP/2 differs from another's."""

    header_list_size: int = 8_000
    split_end: bool = False
    """Whether a body is followed by an empty DATA frame that ends the stream."""
    unindexed: frozenset[bytes] = frozenset()
    """Reply headers that differ every time, and so stay out of the client's header table."""


class Streams(H2Connection):
    """An H2Connection that leaves the stream limit to us.

    h2 ends the connection at the first stream too many; a provider refuses the stream.
    """

    _until_sweep = SWEEP_EVERY

    @property
    def open_inbound_streams(self) -> int:
        """Always 0, so that h2 sees no limit broken; now and then lets h2 forget closed streams."""
        self._until_sweep -= 1
        if self._until_sweep == 0:
            self._until_sweep = SWEEP_EVERY
            _ = super().open_inbound_streams  # h2 sweeps while it counts
        return 0


class ReplyEncoder(Encoder):
    """An encoder for replies, which are small: no Huffman coding, a tidy header table."""

    def __init__(self, unindexed: frozenset[bytes]) -> None:
        super().__init__()
        self._unindexed = unindexed

    def add(self, to_add: tuple[bytes, bytes], sensitive: bool, huffman: bool = False) -> bytes:
        """The representation of one header."""
        del huffman
        return super().add(to_add, sensitive or to_add[0] in self._unindexed, huffman=False)


class _Incoming(NamedTuple):
    headers: list[tuple[bytes, bytes]]
    body: bytearray


class H2Protocol(asyncio.Protocol):
    """Reads requests, asks the conversation, and carries its answers out."""

    _transport: asyncio.Transport

    def __init__(self, conversation: Conversation, profile: Profile, live: set[Connection]) -> None:
        self._conversation = conversation
        self._profile = profile
        self._live = live
        self._h2 = Streams(config=CONFIG)
        self._h2.encoder = ReplyEncoder(profile.unindexed)
        self._stream_limit = conversation.stream_limit
        self._incoming: dict[int, _Incoming] = {}
        self._open: set[int] = set()  # not answered yet: being read, delayed or left hanging
        self._delayed: dict[int, asyncio.TimerHandle] = {}
        self._blocked: dict[int, bytes] = {}  # bodies that wait for the client's window
        self._consumed = 0
        self._highest_taken = 0
        self._last_stream_id: int | None = None  # what our GOAWAY said

    def __repr__(self) -> str:
        return f"H2Protocol(open={len(self._open)}, limit={self._stream_limit})"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._live.add(self)
        self._h2.local_settings = Settings(
            client=False,
            initial_values={
                SettingCodes.HEADER_TABLE_SIZE: 4096,
                SettingCodes.MAX_CONCURRENT_STREAMS: self._stream_limit,
                SettingCodes.INITIAL_WINDOW_SIZE: WINDOW,
                SettingCodes.MAX_FRAME_SIZE: 16_384,
                SettingCodes.MAX_HEADER_LIST_SIZE: self._profile.header_list_size,
            },
        )
        self._h2.decoder.max_header_list_size = self._profile.header_list_size
        self._h2.initiate_connection()
        self._flush()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._live.discard(self)
        for timer in self._delayed.values():
            timer.cancel()
        self._open.clear()

    def data_received(self, data: bytes) -> None:
        try:
            events = self._h2.receive_data(data)
        except ProtocolError:  # h2 has put its GOAWAY into the buffer
            self._flush()
            self._transport.close()
            return
        for event in events:
            self._react(event)
        self._flush()

    def _react(self, event: Event) -> None:
        react = self._REACTIONS.get(type(event))
        if react is None:
            return
        try:
            react(self, event)
        except ProtocolError:
            # The client took the stream or the connection back within the same read; the event
            # that says so comes next and tidies up.
            return

    def close(self) -> None:
        """Say GOAWAY and end the connection."""
        self._go_away(GoAway())
        self._transport.close()

    def _flush(self) -> None:
        out = self._h2.data_to_send()
        if out and not self._transport.is_closing():
            self._transport.write(out)

    def _on_request(self, event: RequestReceived) -> None:
        stream_id = event.stream_id
        if self._last_stream_id is not None and stream_id > self._last_stream_id:
            return
        if len(self._open) >= self._stream_limit:
            self._h2.reset_stream(stream_id, ErrorCodes.REFUSED_STREAM)
            return
        if not is_well_formed(event.headers):
            self._h2.reset_stream(stream_id, ErrorCodes.PROTOCOL_ERROR)
            return
        self._open.add(stream_id)
        self._incoming[stream_id] = _Incoming(event.headers, bytearray())

    def _on_data(self, event: DataReceived) -> None:
        stream_id = event.stream_id
        self._consumed += event.flow_controlled_length or 0
        if self._consumed > WINDOW // 2:
            self._h2.increment_flow_control_window(self._consumed)
            self._consumed = 0
        incoming = self._incoming.get(stream_id)
        if incoming is None:
            return
        if len(incoming.body) < BODY_LIMIT:
            incoming.body.extend(event.data or b"")
        elif event.flow_controlled_length:
            # Too large already, but the client may only hear so once it has sent everything.
            self._h2.increment_flow_control_window(event.flow_controlled_length, stream_id)

    def _on_end(self, event: StreamEnded) -> None:
        incoming = self._incoming.pop(event.stream_id, None)
        if incoming is not None:
            request = read_request(incoming.headers, bytes(incoming.body))
            answer = self._conversation.answer(request)
            reply = answer.reply
            if reply is not None and not carries_body(request.method, reply.status):
                answer = answer._replace(reply=reply._replace(body=b""))
            self._obey(event.stream_id, answer)

    def _on_reset(self, event: StreamReset) -> None:
        stream_id = event.stream_id
        self._incoming.pop(stream_id, None)
        self._blocked.pop(stream_id, None)
        if (timer := self._delayed.pop(stream_id, None)) is not None:
            timer.cancel()
        self._finish(stream_id)

    def _on_window(self, _event: Event) -> None:
        for stream_id, body in list(self._blocked.items()):
            del self._blocked[stream_id]
            self._send_body(stream_id, body)

    def _on_terminated(self, _event: ConnectionTerminated) -> None:
        self._flush()
        self._transport.close()

    def _obey(self, stream_id: int, answer: Answer) -> None:
        if answer.disconnect:
            self._transport.abort()
            return
        if answer.reset is not None:
            self._h2.reset_stream(stream_id, answer.reset)
            self._finish(stream_id)
        elif answer.reply is not None:
            self._highest_taken = max(self._highest_taken, stream_id)
            self._schedule(stream_id, answer.reply, answer.delay)
        if answer.goaway is not None:
            self._go_away(answer.goaway)

    def _schedule(self, stream_id: int, reply: Reply, delay: float) -> None:
        if delay <= 0:
            self._send(stream_id, reply)
        else:
            loop = asyncio.get_running_loop()
            self._delayed[stream_id] = loop.call_later(delay, self._send_late, stream_id, reply)

    def _send_late(self, stream_id: int, reply: Reply) -> None:
        del self._delayed[stream_id]
        self._send(stream_id, reply)
        self._flush()

    def _send(self, stream_id: int, reply: Reply) -> None:
        headers = [(b":status", b"%d" % reply.status), *reply.headers]
        self._h2.send_headers(stream_id, headers, end_stream=not reply.body)
        if reply.body:
            self._send_body(stream_id, reply.body)
        else:
            self._finish(stream_id)

    def _send_body(self, stream_id: int, body: bytes) -> None:
        """Send what the client's window allows; the rest waits for WINDOW_UPDATE."""
        # Below zero after the client has made its window smaller. Source: RFC 9113, section 6.9.2.
        room = max(self._h2.local_flow_control_window(stream_id), 0)
        chunk = body[: min(room, self._h2.max_outbound_frame_size)]
        rest = body[len(chunk) :]
        if rest:
            if chunk:
                self._h2.send_data(stream_id, chunk)
            self._blocked[stream_id] = rest
            return
        self._h2.send_data(stream_id, chunk, end_stream=not self._profile.split_end)
        if self._profile.split_end:
            self._h2.send_data(stream_id, b"", end_stream=True)
        self._finish(stream_id)

    def _finish(self, stream_id: int) -> None:
        self._open.discard(stream_id)
        if self._conversation.stream_limit != self._stream_limit:
            self._stream_limit = self._conversation.stream_limit
            self._h2.update_settings({SettingCodes.MAX_CONCURRENT_STREAMS: self._stream_limit})
        if self._last_stream_id is not None and not self._open:
            self._flush()
            self._transport.close()

    def _go_away(self, goaway: GoAway) -> None:
        """Write GOAWAY, forget the streams above its last id, answer the others, then close."""
        last = self._highest_taken if goaway.last_stream_id is None else goaway.last_stream_id
        # Past h2, which would send nothing more after a GOAWAY of its own.
        frame = GoAwayFrame(
            0, last_stream_id=last, error_code=goaway.code, additional_data=goaway.debug
        )
        self._flush()
        if not self._transport.is_closing():
            self._transport.write(frame.serialize())
        self._last_stream_id = last
        for stream_id in [stream_id for stream_id in self._open if stream_id > last]:
            self._incoming.pop(stream_id, None)
            if (timer := self._delayed.pop(stream_id, None)) is not None:
                timer.cancel()
            self._open.discard(stream_id)
        if not self._open:
            self._transport.close()

    _REACTIONS: ClassVar[dict[type[Event], Callable[["H2Protocol", Any], None]]] = {
        RequestReceived: _on_request,
        DataReceived: _on_data,
        StreamEnded: _on_end,
        StreamReset: _on_reset,
        WindowUpdated: _on_window,
        RemoteSettingsChanged: _on_window,
        ConnectionTerminated: _on_terminated,
    }
