"""Hot path: HTTP/2 frames, taken apart and put together. No state, no provider words.

Source: RFC 9113, sections 4, 6 and 7.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from struct import Struct
from typing import Final

PREFACE: Final = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
HEAD_SIZE: Final = 9
HEAD: Final = Struct(">HBBBI")
"""A frame's head: 16 + 8 bits of length, type, flags, stream."""
LONG: Final = Struct(">I")

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

DEFAULT_WINDOW: Final = 65_535
LARGEST_WINDOW: Final = 2**31 - 1
DEFAULT_FRAME_SIZE: Final = 16_384
LARGEST_FRAME_SIZE: Final = 2**24 - 1
STREAM_BITS: Final = 0x7FFF_FFFF

_SETTING: Final = Struct(">HI")
_TWO_LONGS: Final = Struct(">II")


class Code(IntEnum):
    """Error codes. Source: RFC 9113, section 7."""

    NO_ERROR = 0x0
    PROTOCOL_ERROR = 0x1
    INTERNAL_ERROR = 0x2
    FLOW_CONTROL_ERROR = 0x3
    STREAM_CLOSED = 0x5
    FRAME_SIZE_ERROR = 0x6
    REFUSED_STREAM = 0x7
    COMPRESSION_ERROR = 0x9
    ENHANCE_YOUR_CALM = 0xB


class Setting(IntEnum):
    """Identifiers of SETTINGS. Source: RFC 9113, section 6.5.2."""

    HEADER_TABLE_SIZE = 0x1
    ENABLE_PUSH = 0x2
    MAX_CONCURRENT_STREAMS = 0x3
    INITIAL_WINDOW_SIZE = 0x4
    MAX_FRAME_SIZE = 0x5
    MAX_HEADER_LIST_SIZE = 0x6


class ConnectionFault(Exception):
    """The client broke the connection's rules: GOAWAY with the code, and the end."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


class StreamFault(Exception):
    """The client broke one stream's rules: RST_STREAM with the code."""

    def __init__(self, code: Code) -> None:
        super().__init__(code.name)
        self.code = code


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    """One frame, whole."""
    length = len(payload)
    return HEAD.pack(length >> 8, length & 0xFF, kind, flags, stream_id) + payload


def settings_frame(values: Mapping[int, int]) -> bytes:
    """SETTINGS, by identifier."""
    return frame(SETTINGS, 0, 0, b"".join(_SETTING.pack(*pair) for pair in values.items()))


def reset_frame(stream_id: int, code: int) -> bytes:
    """RST_STREAM."""
    return frame(RST_STREAM, 0, stream_id, LONG.pack(code))


def goaway_frame(last_stream_id: int, code: int, debug: bytes = b"") -> bytes:
    """GOAWAY."""
    return frame(GOAWAY, 0, 0, _TWO_LONGS.pack(last_stream_id, code) + debug)


def window_frame(stream_id: int, increment: int) -> bytes:
    """WINDOW_UPDATE."""
    return frame(WINDOW_UPDATE, 0, stream_id, LONG.pack(increment))


def pad(payload: bytes, length: int) -> bytes:
    """The payload of a PADDED frame with so many bytes of padding, at most 255."""
    return bytes([length]) + payload + bytes(length)


def unpad(payload: bytes) -> bytes:
    """The payload without its padding. Source: RFC 9113, section 6.1."""
    if not payload:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR)
    padding = payload[0]
    if padding >= len(payload):
        raise ConnectionFault(Code.PROTOCOL_ERROR)
    return payload[1 : len(payload) - padding]


def header_fragment(flags: int, payload: bytes) -> bytes:
    """What a HEADERS frame has of its field block."""
    if flags & PADDED:
        payload = unpad(payload)
    if flags & WITH_PRIORITY:
        if len(payload) < 5:
            raise ConnectionFault(Code.FRAME_SIZE_ERROR)
        payload = payload[5:]
    return payload


def parse_settings(payload: bytes) -> dict[int, int]:
    """Identifier to value; of equal identifiers the last wins. Raises ConnectionFault."""
    if len(payload) % _SETTING.size:
        raise ConnectionFault(Code.FRAME_SIZE_ERROR)
    values = dict(_pairs(payload))
    if values.get(Setting.ENABLE_PUSH, 0) > 1:
        raise ConnectionFault(Code.PROTOCOL_ERROR)
    if values.get(Setting.INITIAL_WINDOW_SIZE, 0) > LARGEST_WINDOW:
        raise ConnectionFault(Code.FLOW_CONTROL_ERROR)
    frame_size = values.get(Setting.MAX_FRAME_SIZE, DEFAULT_FRAME_SIZE)
    if not DEFAULT_FRAME_SIZE <= frame_size <= LARGEST_FRAME_SIZE:
        raise ConnectionFault(Code.PROTOCOL_ERROR)
    return values


def _pairs(payload: bytes) -> Iterable[tuple[int, int]]:
    return ((name, value) for name, value in _SETTING.iter_unpack(payload))
