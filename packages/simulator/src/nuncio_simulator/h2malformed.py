"""What no server may send, and a little that a client has to pass over.

Source: RFC 9113; each entry names the section that a client enforces with it.
"""

from collections.abc import Callable
from typing import Final

from nuncio_simulator.contract import Malformation
from nuncio_simulator.h2frames import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    LARGEST_WINDOW,
    LONG,
    PING,
    PUSH_PROMISE,
    Setting,
    frame,
    settings_frame,
    window_frame,
)

UNKNOWN_TYPE: Final = 0xBA
UNKNOWN_SETTING: Final = 0xBABA
NO_SUCH_INDEX: Final = b"\xff\xff\x7f"
OK: Final = b"\x88"

HARMLESS: Final = {Malformation.UNKNOWN_FRAME, Malformation.UNKNOWN_SETTINGS}
"""The client passes over them, and the true answer follows."""

_BYTES: Final[dict[Malformation, Callable[[int, int], bytes]]] = {
    # Section 6.7: a PING has 8 bytes.
    Malformation.BAD_FRAME_SIZE: lambda _stream, _limit: frame(PING, 0, 0, bytes(7)),
    # Section 6.1.
    Malformation.DATA_ON_STREAM_0: lambda _stream, _limit: frame(DATA, END_STREAM, 0, b"{}"),
    # Section 4.3, RFC 7541, section 2.3.3: an index beyond both tables.
    Malformation.BROKEN_BLOCK: lambda stream, _limit: frame(
        HEADERS, END_HEADERS | END_STREAM, stream, NO_SUCH_INDEX
    ),
    # Section 4.2: larger than the client's MAX_FRAME_SIZE.
    Malformation.OVERSIZED_FRAME: lambda stream, limit: (
        frame(HEADERS, END_HEADERS, stream, OK) + frame(DATA, 0, stream, bytes(limit + 1))
    ),
    # Section 8.4: a client that sent ENABLE_PUSH 0 must not get one; without, it has no use.
    Malformation.PUSH_PROMISE: lambda stream, _limit: frame(
        PUSH_PROMISE, END_HEADERS, stream, LONG.pack(2) + b"\x82\x86\x84"
    ),
    # Section 6.10: only after HEADERS without END_HEADERS.
    Malformation.CONTINUATION: lambda stream, _limit: frame(CONTINUATION, END_HEADERS, stream, OK),
    # Section 6.10: nothing may come between HEADERS and its CONTINUATION.
    Malformation.INTERRUPTED_BLOCK: lambda stream, _limit: (
        frame(HEADERS, 0, stream, OK) + frame(PING, 0, 0, bytes(8))
    ),
    # Section 6.9.1: a window is at most 2**31 - 1.
    Malformation.WINDOW_OVERFLOW: lambda _stream, _limit: window_frame(0, LARGEST_WINDOW) * 2,
    # Section 6.9: an increment is at least 1.
    Malformation.WINDOW_ZERO: lambda _stream, _limit: window_frame(0, 0),
    # Section 6.5.2: at least 16,384.
    Malformation.BAD_SETTINGS: lambda _stream, _limit: settings_frame({Setting.MAX_FRAME_SIZE: 1}),
    # Section 5.1: a stream that was never opened.
    Malformation.IDLE_STREAM: lambda _stream, _limit: frame(
        HEADERS, END_HEADERS | END_STREAM, 2**31 - 1, OK
    ),
    # Section 8.3.2: a response has exactly one :status.
    Malformation.NO_STATUS: lambda stream, _limit: frame(
        HEADERS, END_HEADERS | END_STREAM, stream, b"\x00\x01a\x01b"
    ),
    # Sections 4.1 and 6.5.2: types and settings that nobody knows are ignored.
    Malformation.UNKNOWN_FRAME: lambda stream, _limit: frame(UNKNOWN_TYPE, 0xFF, stream, b"?"),
    Malformation.UNKNOWN_SETTINGS: lambda _stream, _limit: settings_frame({UNKNOWN_SETTING: 7}),
}


def malformed_bytes(kind: Malformation, *, stream_id: int, frame_size: int) -> bytes:
    """The bytes of a malformation. frame_size: the client's MAX_FRAME_SIZE."""
    return _BYTES[kind](stream_id, frame_size)
