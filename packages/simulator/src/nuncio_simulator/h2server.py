"""One HTTP/2 connection of a server: requests in, answers out. No provider words.

`h2read` and `h2write` know the protocol; here are the transport, the clock and the conversation.
What one read brings is handled in one pass, and what it obliges us to say leaves in one write.

Source: RFC 9113.
"""

import asyncio
from collections.abc import Mapping
from typing import Final, NamedTuple, cast

from nuncio_simulator.h2decode import Field
from nuncio_simulator.h2frames import (
    ACK,
    DEFAULT_FRAME_SIZE,
    DEFAULT_WINDOW,
    PING,
    Code,
    ConnectionFault,
    Setting,
    frame,
    goaway_frame,
    settings_frame,
)
from nuncio_simulator.h2malformed import malformed_bytes
from nuncio_simulator.h2read import TABLE_SIZE, Reader
from nuncio_simulator.h2write import Writer
from nuncio_simulator.wire import (
    Answer,
    Connection,
    Conversation,
    Form,
    GoAway,
    Reply,
    carries_body,
    read_request,
)


class Limits(NamedTuple):
    """When a server sends a client away. In seconds; None: never."""

    max_age: float | None = None
    idle: float | None = None
    """Without a request."""
    pings: int | None = None
    """How many PINGs between two requests."""


class Profile(NamedTuple):
    """How a site's HTTP/2 differs from another's."""

    header_list_size: int = 8_000
    split_end: bool = False
    """Whether a body is followed by an empty DATA frame that ends the stream."""
    unindexed: frozenset[bytes] = frozenset()
    """Reply headers that differ every time, and so stay out of the client's header table."""
    limits: Limits = Limits()


MAX_AGE: Final = GoAway(debug=b"max_age")
SESSION_TIMEOUT: Final = GoAway(debug=b"session_timeout")
TOO_MANY_PINGS: Final = GoAway(code=Code.ENHANCE_YOUR_CALM, debug=b"too_many_pings")


class H2Protocol(asyncio.Protocol):
    """Reads requests, asks the conversation, and carries its answers out."""

    _transport: asyncio.Transport

    def __init__(self, conversation: Conversation, profile: Profile, live: set[Connection]) -> None:
        self._conversation = conversation
        self._profile = profile
        self._live = live
        self._out: list[bytes] = []
        self._reader = Reader(self, self._out, header_list_size=profile.header_list_size)
        self._writer = Writer(self._out, unindexed=profile.unindexed, split_end=profile.split_end)
        self._stream_limit = self._reader.stream_limit = conversation.stream_limit
        self._delayed: dict[int, asyncio.TimerHandle] = {}
        self._timers: dict[GoAway, asyncio.TimerHandle] = {}
        self._last_request = 0.0
        self._pings = 0
        self._highest_taken = 0
        self._ending = False  # said or heard GOAWAY: ends with the last open stream

    def __repr__(self) -> str:
        return f"H2Protocol(open={len(self._reader.streams.open)}, limit={self._stream_limit})"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._live.add(self)
        self._announce(
            {
                Setting.HEADER_TABLE_SIZE: TABLE_SIZE,
                Setting.MAX_CONCURRENT_STREAMS: self._stream_limit,
                Setting.INITIAL_WINDOW_SIZE: DEFAULT_WINDOW,
                Setting.MAX_FRAME_SIZE: DEFAULT_FRAME_SIZE,
                Setting.MAX_HEADER_LIST_SIZE: self._profile.header_list_size,
            }
        )
        self._flush()
        self._start_timers()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._live.discard(self)
        self._reader.stopped = True
        for timer in (*self._delayed.values(), *self._timers.values()):
            timer.cancel()

    def pause_writing(self) -> None:
        """Read no more from a client that does not read: what we hold for it stays bounded."""
        self._transport.pause_reading()

    def resume_writing(self) -> None:
        self._transport.resume_reading()

    def data_received(self, data: bytes) -> None:
        try:
            self._reader.receive(data)
        except ConnectionFault as fault:
            self._out.append(goaway_frame(self._highest_taken, fault.code))
            self._end()
        self._flush()

    def close(self) -> None:
        """Say GOAWAY and end the connection."""
        self._go_away(GoAway())
        self._flush()
        self._end()

    # What the reader hands on.

    def on_request(self, stream_id: int, fields: list[Field], body: bytes) -> None:
        self._pings = 0
        if self._profile.limits.idle is not None:
            self._last_request = asyncio.get_running_loop().time()
        request = read_request(fields, body)
        answer = self._conversation.answer(request)
        reply = answer.reply
        if reply is not None and reply.body and not carries_body(request.method, reply.status):
            answer = answer._replace(reply=reply._replace(body=b""))
        self._obey(stream_id, answer)

    def on_reset(self, stream_id: int) -> None:
        if (timer := self._delayed.pop(stream_id, None)) is not None:
            timer.cancel()
        self._writer.forget(stream_id)
        self._settle()

    def on_settings(self, values: Mapping[int, int]) -> None:
        self._writer.obey(values)
        self._send_blocked()

    def on_window(self, stream_id: int, increment: int) -> None:
        self._writer.credit(stream_id, increment)
        self._send_blocked()

    def on_ping(self, payload: bytes) -> None:
        if not self._conversation.answers_ping():
            return
        self._out.append(frame(PING, ACK, 0, payload))
        self._pings += 1
        if self._pings == self._profile.limits.pings:
            self._go_away(TOO_MANY_PINGS)

    def on_goaway(self) -> None:
        self._ending = True
        self._settle()

    # Answers.

    def _obey(self, stream_id: int, answer: Answer) -> None:
        if answer.disconnect:
            self._out.clear()
            self._reader.stopped = True
            self._transport.abort()
            return
        if answer.settings:
            self._announce(answer.settings)
        if answer.malformed is not None:
            size = self._writer.frame_size
            self._out.append(
                malformed_bytes(answer.malformed, stream_id=stream_id, frame_size=size)
            )
        if answer.reset is not None:
            self._reader.reset_stream(stream_id, answer.reset)
            self._settle()
        elif answer.reply is not None:
            self._highest_taken = max(self._highest_taken, stream_id)
            if answer.delay > 0:
                self._delayed[stream_id] = asyncio.get_running_loop().call_later(
                    answer.delay, self._send_late, stream_id, answer.reply, answer.form
                )
            else:
                self._send(stream_id, answer.reply, answer.form)
        if answer.goaway is not None:
            self._go_away(answer.goaway)

    def _send_late(self, stream_id: int, reply: Reply, form: Form) -> None:
        del self._delayed[stream_id]
        self._send(stream_id, reply, form)
        self._flush()

    def _send(self, stream_id: int, reply: Reply, form: Form) -> None:
        if self._writer.send(stream_id, reply, form):
            self._reader.close_stream(stream_id)
            self._settle()

    def _send_blocked(self) -> None:
        for stream_id in self._writer.send_blocked():
            self._reader.close_stream(stream_id)
            self._settle()

    def _settle(self) -> None:
        """A stream has ended: tell a new limit, and end the connection after its last one."""
        if self._conversation.stream_limit != self._stream_limit:
            self._announce({Setting.MAX_CONCURRENT_STREAMS: self._conversation.stream_limit})
        if self._ending and not self._reader.streams.open:
            self._end()

    def _announce(self, values: Mapping[int, int]) -> None:
        limit = values.get(Setting.MAX_CONCURRENT_STREAMS, self._stream_limit)
        self._stream_limit = self._reader.stream_limit = limit
        self._out.append(settings_frame(values))
        self._reader.announce(values)

    # The end.

    def _go_away(self, goaway: GoAway) -> None:
        """Write GOAWAY, forget the streams above its last id; the others are answered first."""
        last = self._highest_taken if goaway.last_stream_id is None else goaway.last_stream_id
        self._out.append(goaway_frame(last, goaway.code, goaway.debug))
        self._reader.streams.last_stream_id = last
        for stream_id in self._reader.streams.above(last):
            self._reader.close_stream(stream_id)
            self.on_reset(stream_id)
        self._ending = True
        self._settle()

    def _end(self) -> None:
        """Write what there is to say, and close."""
        self._flush()
        self._reader.stopped = True
        self._transport.close()

    def _flush(self) -> None:
        if self._out:
            out = b"".join(self._out)
            self._out.clear()
            if not self._transport.is_closing():
                self._transport.write(out)

    # What time brings.

    def _start_timers(self) -> None:
        limits = self._profile.limits
        if limits.max_age is not None:
            loop = asyncio.get_running_loop()
            self._timers[MAX_AGE] = loop.call_later(limits.max_age, self._leave, MAX_AGE)
        if limits.idle is not None:
            self._last_request = asyncio.get_running_loop().time()
            self._watch_idleness(limits.idle)

    def _leave(self, goaway: GoAway) -> None:
        if not self._ending:
            self._go_away(goaway)
            self._flush()

    def _watch_idleness(self, idle: float) -> None:
        loop = asyncio.get_running_loop()
        left = self._last_request + idle - loop.time()
        if left <= 0:
            self._leave(SESSION_TIMEOUT)
        else:
            self._timers[SESSION_TIMEOUT] = loop.call_later(left, self._watch_idleness, idle)
