"""What is there of something whose rest is to come: half a body, half an answer, half a block."""

from collections.abc import Mapping
from datetime import datetime
from typing import Final

from nuncio_dispatcher.http2.exchange import BODY_KEPT
from nuncio_dispatcher.http2.frames import DEFAULT_WINDOW, Code, ConnectionFault, StreamFault

LARGEST_BLOCK: Final = 32_768
"""Bytes of a header block in all its frames."""
MOST_CONTINUATIONS: Final = 16


class HalfWritten:
    """A request whose body is not wholly written: the windows or the frame size did not let it."""

    __slots__ = ("begun_at", "body", "sent", "window")

    def __init__(self, body: bytes, *, window: int, begun_at: datetime) -> None:
        self.begun_at = begun_at
        self.body = body
        self.sent = 0
        self.window = window  # of the stream; may be negative after a change of SETTINGS

    def next_piece(self, *, window: int, largest: int) -> bytes:
        """What may be written now, given the connection's window; counts as written."""
        size = max(0, min(window, self.window, largest))
        piece = self.body[self.sent : self.sent + size]
        self.sent += len(piece)
        self.window -= len(piece)
        return piece

    def is_whole(self) -> bool:
        """Whether nothing is left to write."""
        return self.sent == len(self.body)


def _content_length(headers: Mapping[str, str]) -> int | None:
    value = headers.get("content-length")
    if value is None:
        return None
    if not value.isascii() or not value.isdigit() or len(value) > len(str(2**63)):
        raise StreamFault(Code.PROTOCOL_ERROR, "content-length is a number")
    return int(value)


class HalfRead:
    """An answer whose status is known, and of which more will come."""

    __slots__ = ("body", "headers", "length", "size", "status", "window")

    def __init__(self, status: int, headers: Mapping[str, str]) -> None:
        """Raises StreamFault for a content-length that is none."""
        self.status = status
        self.headers = headers
        self.length = _content_length(headers)
        self.size = 0
        self.window = DEFAULT_WINDOW  # never updated: it is larger than what we read
        self.body = b""

    def add(self, data: bytes, *, framed: int) -> bool:
        """Take a piece of the body. False: that is as much as we read.

        framed: its length with padding, as flow control counts it. Raises StreamFault when it is
        more than the stream's window lets through, or than content-length says.
        """
        self.window -= framed
        if self.window < 0:
            raise StreamFault(Code.FLOW_CONTROL_ERROR, "DATA stays within the window")
        self.size += len(data)
        if self.length is not None and self.size > self.length:
            raise StreamFault(Code.PROTOCOL_ERROR, "a body is as long as content-length says")
        if len(self.body) < BODY_KEPT:
            self.body += data[: BODY_KEPT - len(self.body)]
        return self.size <= BODY_KEPT

    def end(self) -> None:
        """The body is whole. Raises StreamFault when it is less than content-length says."""
        if self.length is not None and self.size != self.length:
            raise StreamFault(Code.PROTOCOL_ERROR, "a body is as long as content-length says")


GLANCED: Final = HalfRead(200, {})
"""Stands for every answer whose block opens with a 200, until more than one DATA frame comes."""


class HalfBlock:
    """A header block of which CONTINUATION frames are still to come."""

    __slots__ = ("flags", "frames", "parts", "size", "stream")

    def __init__(self, stream: int, flags: int, part: bytes) -> None:
        self.stream = stream
        self.flags = flags
        self.parts = [part]
        self.size = len(part)
        self.frames = 0

    def add(self, part: bytes) -> None:
        """Take a piece more. Raises ConnectionFault when there is no end of them."""
        self.parts.append(part)
        self.size += len(part)
        self.frames += 1
        if self.size > LARGEST_BLOCK or self.frames > MOST_CONTINUATIONS:
            raise ConnectionFault(Code.ENHANCE_YOUR_CALM, "a header block has an end")
