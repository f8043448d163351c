"""Hot path: frames, written and read. Benchmark: benchmarks/engine.py.

Source: RFC 9113, sections 4, 6 and 7.
"""

from collections.abc import Iterator, Mapping
from enum import IntEnum
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_SIZE: Final = 9
HEAD: Final = Struct(">HBBBL")
"""A frame's head: 16 + 8 bits of length, type, flags, stream."""

DATA: Final = 0x0
HEADERS: Final = 0x1
PRIORITY: Final = 0x2
RST_STREAM: Final = 0x3
SETTINGS: Final = 0x4
PUSH_PROMISE: Final = 0x5
PING: Final = 0x6
GOAWAY: Final = 0x7
WINDOW_UPDATE: Final = 0x8
CONTINUATION: Final = 0x9

END_STREAM: Final = 0x1
ACK: Final = 0x1
END_HEADERS: Final = 0x4
PADDED: Final = 0x8
WITH_PRIORITY: Final = 0x20

HEADER_TABLE_SIZE: Final = 0x1
ENABLE_PUSH: Final = 0x2
MAX_CONCURRENT_STREAMS: Final = 0x3
INITIAL_WINDOW_SIZE: Final = 0x4
MAX_FRAME_SIZE: Final = 0x5
MAX_HEADER_LIST_SIZE: Final = 0x6

DEFAULT_WINDOW: Final = 65_535
LARGEST_WINDOW: Final = 2**31 - 1
DEFAULT_FRAME_SIZE: Final = 16_384
LARGEST_FRAME_SIZE: Final = 2**24 - 1
LAST_STREAM: Final = 2**31 - 1
STREAM_BITS: Final = 0x7FFF_FFFF

_LONG: Final = Struct(">L")
_TWO_LONGS: Final = Struct(">LL")
_SETTING: Final = Struct(">HL")


class Code(IntEnum):
    """Error codes. Source: RFC 9113, section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    SETTINGS_TIMEOUT = 0x4
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    CANCEL = 0x8
    COMPRESSION_ERROR = 0x9
    CONNECT_ERROR = 0xA
    ENHANCE_YOUR_CALM = 0xB
    INADEQUATE_SECURITY = 0xC
    HTTP_1_1_REQUIRED = 0xD


class ConnectionFault(Exception):
    """The peer broke a rule that ends the connection. The message names the rule, no contents."""

    def __init__(self, code: Code, rule: str) -> None:
        super().__init__(rule)
        self.code = code


class StreamFault(Exception):
    """The peer broke a rule that ends one stream. The message names the rule, no contents."""

    def __init__(self, code: Code, rule: str) -> None:
        super().__init__(rule)
        self.code = code


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    """Any frame; the payload is at most as long as the peer allows."""
    size = len(payload)
    return HEAD.pack(size >> 8, size & 0xFF, kind, flags, stream) + payload


def settings(values: Mapping[int, int]) -> bytes:
    """SETTINGS."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*item) for item in values.items()))


def window_update(stream: int, increment: int) -> bytes:
    """WINDOW_UPDATE; stream 0 is the connection."""
    return frame(WINDOW_UPDATE, 0, stream, _LONG.pack(increment))


def rst_stream(stream: int, code: Code) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream, _LONG.pack(code))


def goaway(last_stream: int, code: Code, reason: str = "") -> bytes:
    """GOAWAY; reason is for people who read the peer's logs."""
    return frame(GOAWAY, 0, 0, _TWO_LONGS.pack(last_stream, code) + reason.encode())


def header_block(block: bytes, stream: int, *, end_stream: bool, largest: int) -> bytes:
    """HEADERS, and CONTINUATION where the block is longer than the peer's largest frame."""
    first, rest = block[:largest], block[largest:]
    flags = (END_STREAM if end_stream else 0) | (0 if rest else END_HEADERS)
    parts = [frame(HEADERS, flags, stream, first)]
    while rest:
        piece, rest = rest[:largest], rest[largest:]
        parts.append(frame(CONTINUATION, 0 if rest else END_HEADERS, stream, piece))
    return b"".join(parts)


def parse_settings(payload: bytes) -> Iterator[tuple[int, int]]:
    """Read a SETTINGS payload: identifiers and values, in order, as they are to be applied.

    Raises ConnectionFault for a length that is no multiple of 6, and for a value that the setting
    cannot have. Source: RFC 9113, section 6.5.
    """
    if len(payload) % _SETTING.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "SETTINGS is a multiple of 6 bytes")
    for name, value in _SETTING.iter_unpack(payload):
        if name == ENABLE_PUSH and value != 0:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "a server never sets ENABLE_PUSH")
        if name == INITIAL_WINDOW_SIZE and value > LARGEST_WINDOW:
            raise ConnectionFault(Code.FLOW_CONTROL_ERROR, "INITIAL_WINDOW_SIZE is below 2^31")
        if name == MAX_FRAME_SIZE and not DEFAULT_FRAME_SIZE <= value <= LARGEST_FRAME_SIZE:
            raise ConnectionFault(Code.PROTOCOL_ERROR, "MAX_FRAME_SIZE is 2^14 to 2^24 - 1")
        yield name, value


def parse_long(payload: bytes, *, rule: str) -> int:
    """Read a payload of 4 bytes: an error code, or an increment with its reserved bit."""
    if len(payload) != _LONG.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, rule)
    return int(_LONG.unpack(payload)[0])


def parse_goaway(payload: bytes) -> tuple[int, int, bytes]:
    """Read a GOAWAY payload: last stream, error code, debug data."""
    if len(payload) < _TWO_LONGS.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR, "GOAWAY has 8 bytes or more")
    last, code = _TWO_LONGS.unpack_from(payload)
    return last & STREAM_BITS, code, payload[_TWO_LONGS.size :]


def unpadded(payload: bytes, flags: int, *, kind: int) -> bytes:
    """What is left of a DATA or HEADERS payload without padding and priority.

    Source: RFC 9113, sections 6.1 and 6.2.
    """
    start, end = 0, len(payload)
    if flags & PADDED:
        if not payload:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "a padded frame has a pad length")
        start, end = 1, end - payload[0]
    if kind == HEADERS and flags & WITH_PRIORITY:
        start += 5
        if end < start and len(payload) - (1 if flags & PADDED else 0) < 5:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR, "priority has 5 bytes")
    if end < start:
        raise ConnectionFault(Code.PROTOCOL_ERROR, "padding is shorter than its frame")
    return payload[start:end]
