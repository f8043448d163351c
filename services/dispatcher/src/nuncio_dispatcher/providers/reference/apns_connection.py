"""One HTTP/2 connection to APNs: aioapns' protocol, with its known faults kept from us.

What is taken from aioapns is the protocol's frame (h2, flush, the idle timer); what it gets wrong
is replaced here: it assumes 1,000 streams before SETTINGS come, never ends a request that is
reset or unanswered, fails all requests at GOAWAY, takes one DATA frame for a whole body, never
gives flow-control credit back, and matches answers by a header.

Source: RFC 9113. Knows frames and streams, no verdicts.
"""

import asyncio
import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, ClassVar, Final, cast

import structlog
from aioapns.connection import APNsTLSClientProtocol
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes, Settings
from hpack import HeaderTuple, NeverIndexedHeaderTuple
from hyperframe.frame import Frame, GoAwayFrame

from nuncio_dispatcher.http2.exchange import BODY_KEPT, Failure, Reply

log = structlog.get_logger(__name__)

MOST_STREAMS: Final = 1_000
"""Streams used of a connection, however many the peer allows."""
LAST_STREAM: Final = H2Connection.HIGHEST_ALLOWED_STREAM_ID


_REASON: Final = re.compile(rb'"reason"\s*:\s*"(\w{1,64})"')


class _Http2(H2Connection):
    """h2, but streams outlive a GOAWAY.

    h2 takes the connection for closed and would refuse the answers that are still to come for the
    streams up to GOAWAY's last id.
    """

    def _receive_goaway_frame(self, frame: GoAwayFrame) -> tuple[list[Frame], list[Event]]:
        terminated = ConnectionTerminated()
        terminated.error_code = frame.error_code
        terminated.last_stream_id = frame.last_stream_id
        terminated.additional_data = frame.additional_data
        return [], [terminated]


@dataclass(slots=True)
class _Stream:
    """A request that was written and has no answer yet."""

    ended: Callable[[Reply | Failure], None]
    written_at: float
    due: float
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    body: bytearray = field(default_factory=bytearray)


class ApnsConnection(APNsTLSClientProtocol):
    """Writes requests, and tells of each of them once what came of it.

    `on_turn` is called when room may have come up: after each read, and when the connection ends.
    """

    transport: asyncio.Transport | None

    def __init__(
        self,
        *,
        authority: str,
        idle_after: int,
        on_turn: Callable[["ApnsConnection"], None],
    ) -> None:
        loop = asyncio.get_running_loop()
        super().__init__(apns_topic="", loop=loop)
        self.conn = _Http2(H2Configuration(client_side=True, header_encoding="utf-8"))
        self.conn.local_settings = Settings(
            client=True,
            initial_values={SettingCodes.ENABLE_PUSH: 0, SettingCodes.MAX_HEADER_LIST_SIZE: 8000},
        )
        self.INACTIVITY_TIME = idle_after
        self.answered = 0
        """How many requests got an answer."""
        self.ended = asyncio.Event()
        """Set once the connection is lost, for whatever reason."""
        self._authority = authority
        self._on_turn = on_turn
        self._clock = loop.time
        # One stream until the peer's SETTINGS allow more; they may also take it back.
        self._stream_limit = 1
        self._streams: dict[int, _Stream] = {}  # in the order they were written
        self._draining = False
        self._last_read = 0.0
        self._sweep: asyncio.TimerHandle | None = None

    def __repr__(self) -> str:
        state = "draining" if self._draining else "open"
        return f"ApnsConnection({state}, streams={len(self._streams)}/{self._stream_limit})"

    def has_room(self, body_size: int) -> bool:
        """Whether a request with such a body can be written now."""
        return (
            not self._draining
            and len(self._streams) < self._stream_limit
            and self.conn.outbound_flow_control_window >= body_size
            and self.conn.remote_settings.initial_window_size >= body_size
        )

    @property
    def in_flight(self) -> int:
        """Requests without an answer."""
        return len(self._streams)

    @property
    def stream_limit(self) -> int:
        """How many requests it takes at once."""
        return self._stream_limit

    @property
    def takes_more(self) -> bool:
        """Whether it will have room again."""
        return not self._draining

    @property
    def is_closed(self) -> bool:
        """Whether nothing more will come of it."""
        return self.transport is None or self.transport.is_closing()

    def post(
        self,
        path: bytes,
        headers: Iterable[HeaderTuple],
        body: bytes,
        *,
        answer_within: float,
        ended: Callable[[Reply | Failure], None],
    ) -> int:
        """Write a request; the caller asked `has_room`, and flushes. Gives its stream's id.

        answer_within: seconds. `ended` gets the answer, or why there is none.
        """
        stream_id = self.conn.get_next_available_stream_id()
        if stream_id >= LAST_STREAM:
            self._draining = True
        block: list[HeaderTuple | tuple[str, str]] = [
            (":method", "POST"),
            (":scheme", "https"),
            # Literals: a path or an id must not push what repeats out of the peer's small table.
            NeverIndexedHeaderTuple(":path", path.decode()),
            (":authority", self._authority),
            *headers,
        ]
        self.conn.send_headers(stream_id, block)
        self.conn.send_data(stream_id, body, end_stream=True)
        now = self._clock()
        self._streams[stream_id] = _Stream(ended, now, now + answer_within)
        if self._sweep is None:
            self._sweep = self.loop.call_later(answer_within, self._end_overdue)
        return stream_id

    def forget(self, stream_id: int) -> None:
        """Wait for no answer on a stream, and tell the peer; the caller flushes."""
        if self._streams.pop(stream_id, None) is not None:
            self.conn.reset_stream(stream_id, ErrorCodes.CANCEL)

    def drain(self) -> None:
        """Take nothing more; close once the written requests have ended."""
        self._draining = True
        if not self._streams:
            self.close()

    def close(self) -> None:
        """Close now. aioapns' idle timer comes here too."""
        self._draining = True
        super().close()

    def data_received(self, data: bytes) -> None:
        """Read frames, end the requests they answer, then offer the room."""
        self._last_read = self._clock()
        try:
            for event in self.conn.receive_data(data):
                react = self._REACTIONS.get(type(event))
                if react is not None:
                    react(self, event)
        except ProtocolError as error:
            log.warning("apns_protocol_error", connection=repr(self), error=type(error).__name__)
            self.abort()
            return
        self._on_turn(self)
        if not self.is_closed:
            self.flush()
            if self._draining and not self._streams:
                self.close()

    def connection_lost(self, exc: Exception | None) -> None:
        """End what is open: it was written, and no answer can come."""
        super().connection_lost(exc)
        self._draining = True
        if self._sweep is not None:
            self._sweep.cancel()
        self._end_all(Failure.CONNECTION_LOST)
        self.ended.set()
        self._on_turn(self)

    def abort(self) -> None:
        """Cut the connection; what is open ends as lost."""
        self._draining = True
        if self.transport is not None:
            self.transport.abort()

    def _end(self, stream_id: int, result: Reply | Failure) -> None:
        stream = self._streams.pop(stream_id, None)
        if stream is not None:
            stream.ended(result)

    def _end_all(self, result: Reply | Failure) -> None:
        for stream_id in list(self._streams):
            self._end(stream_id, result)

    def _end_overdue(self) -> None:
        """End the requests that waited too long; cut a connection that has fallen silent."""
        self._sweep = None
        now = self._clock()
        silent = False
        for stream_id, stream in list(self._streams.items()):
            if stream.due > now:
                continue
            silent = silent or self._last_read < stream.written_at
            self.conn.reset_stream(stream_id, ErrorCodes.CANCEL)
            self._end(stream_id, Failure.NO_ANSWER)
        if self._streams:
            due = min(stream.due for stream in self._streams.values())
            self._sweep = self.loop.call_later(max(due - now, 0.0), self._end_overdue)
        if silent:
            self._end_all(Failure.NO_ANSWER)
            self.abort()
        elif not self.is_closed:
            self._on_turn(self)
            self.flush()

    def _on_response(self, event: ResponseReceived) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            headers = dict(cast("list[tuple[str, str]]", event.headers))
            stream.status = int(headers.pop(":status"))
            stream.headers = headers

    def _on_data(self, event: DataReceived) -> None:
        self.conn.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        stream = self._streams.get(event.stream_id)
        if stream is not None and len(stream.body) < BODY_KEPT:
            stream.body.extend(event.data)

    def _on_end(self, event: StreamEnded) -> None:
        stream = self._streams.get(event.stream_id)
        if stream is not None:
            self.answered += 1
            reply = Reply(stream.status, stream.headers, bytes(stream.body), self)
            self._end(event.stream_id, reply)

    def _on_reset(self, event: StreamReset) -> None:
        if event.error_code == ErrorCodes.REFUSED_STREAM:
            self._end(event.stream_id, Failure.REFUSED_STREAM)
        else:
            self._end(event.stream_id, Failure.STREAM_RESET)

    def _on_settings(self, _event: RemoteSettingsChanged) -> None:
        allowed = self.conn.remote_settings.max_concurrent_streams
        self._stream_limit = min(allowed, MOST_STREAMS)

    def _on_goaway(self, event: ConnectionTerminated) -> None:
        """Streams above the last id were not looked at; the others still get their answers."""
        self._draining = True
        last = event.last_stream_id or 0
        log.info("apns_goaway", connection=repr(self), reason=_goaway_reason(event))
        for stream_id in [stream_id for stream_id in self._streams if stream_id > last]:
            self._end(stream_id, Failure.REFUSED_STREAM)

    _REACTIONS: ClassVar[dict[type[Event], Callable[["ApnsConnection", Any], None]]] = {
        ResponseReceived: _on_response,
        DataReceived: _on_data,
        StreamEnded: _on_end,
        StreamReset: _on_reset,
        RemoteSettingsChanged: _on_settings,
        ConnectionTerminated: _on_goaway,
    }


def _goaway_reason(event: ConnectionTerminated) -> str:
    """The reason in GOAWAY's debug data, which is JSON like a refusal's body; else ""."""
    found = _REASON.search(event.additional_data or b"")
    return found[1].decode() if found else ""
