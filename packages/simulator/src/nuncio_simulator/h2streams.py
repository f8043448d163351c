"""Hot path: the streams of a server's HTTP/2 connection. No I/O, no provider words.

Source: RFC 9113, section 5.1.
"""

from typing import Final

from nuncio_simulator.h2decode import Field
from nuncio_simulator.h2frames import Code, ConnectionFault
from nuncio_simulator.h2headers import content_length

REMEMBERED_RESETS: Final = 1_024
"""Streams that we reset and that the client may still be sending on."""
REMEMBERED_GAPS: Final = 64


class Stream:
    """A request that is being read, or waits for its answer."""

    __slots__ = ("body", "ended", "fields", "granted", "promised", "received", "window")

    def __init__(self, fields: list[Field], window: int) -> None:
        self.fields = fields
        self.promised = content_length(fields)
        self.window = window
        """Bytes that the client may still send."""
        self.granted = 0
        """Bytes of credit that are on their way to it."""
        self.body = b""
        self.received = 0
        self.ended = False


class Streams:
    """The open ones by id, and what is known of the others."""

    def __init__(self) -> None:
        self.open: dict[int, Stream] = {}
        self.last_stream_id: int | None = None
        """What our GOAWAY said; streams above it are ignored."""
        self._highest = 0
        self._gaps: list[range] = []
        self._reset: dict[int, None] = {}  # in the order in which we reset them

    def is_old(self, stream_id: int) -> bool:
        """Whether the id was used or passed over."""
        return stream_id <= self._highest

    def is_ignored(self, stream_id: int) -> bool:
        """Whether our GOAWAY said that we shall not look at the stream."""
        return self.last_stream_id is not None and stream_id > self.last_stream_id

    def advance(self, stream_id: int) -> None:
        """The client uses a new id; those below it can never be used any more."""
        if stream_id > self._highest + 2:
            passed_over = range(self._highest + 1, stream_id)
            self._gaps = [*self._gaps[1 - REMEMBERED_GAPS :], passed_over]
        self._highest = stream_id

    def reset(self, stream_id: int) -> None:
        """We end the stream; what the client still sends on it is to be ignored."""
        self.open.pop(stream_id, None)
        self._reset[stream_id] = None
        if len(self._reset) > REMEMBERED_RESETS:
            del self._reset[next(iter(self._reset))]

    def above(self, last_stream_id: int) -> list[int]:
        """The open ones with a higher id."""
        return [stream_id for stream_id in self.open if stream_id > last_stream_id]

    def judge_stray(self, stream_id: int) -> None:
        """Pass over a DATA or HEADERS frame of a stream that is not open, or raise for it."""
        self.must_not_be_idle(stream_id)
        if self.is_ignored(stream_id) or stream_id in self._reset:
            return
        # RFC 9113, section 5.1.1: an id that was passed over can never be used.
        never = any(stream_id in gap for gap in self._gaps)
        raise ConnectionFault(Code.PROTOCOL_ERROR if never else Code.STREAM_CLOSED)

    def must_not_be_idle(self, stream_id: int) -> None:
        """Raise for a frame on a stream that was never opened, or on none."""
        if stream_id == 0 or stream_id > self._highest:
            raise ConnectionFault(Code.PROTOCOL_ERROR)
