"""Frames that a peer may send, and those that end the connection. RFC 9113, sections 4 to 6."""

import pytest
from hyperframe.frame import (
    ContinuationFrame,
    DataFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    PushPromiseFrame,
    WindowUpdateFrame,
)

from nuncio_dispatcher.http2.exchange import Failure
from nuncio_dispatcher.http2.halves import LARGEST_BLOCK, MOST_CONTINUATIONS
from tests.unit.dispatcher.http2.peer import Peer, code_of, knowing, outcome, raw, started

END = ["END_HEADERS", "END_STREAM"]


# --- header blocks in pieces ---------------------------------------------------------------------


@pytest.mark.parametrize("status", [200, 400])
def test_a_header_block_may_go_on(status: int) -> None:
    peer, of = started()
    block = peer.block([(":status", str(status)), ("a", "b" * 50)])
    peer.send(HeadersFrame(1, block[:2], flags=["END_STREAM"]))
    peer.send(ContinuationFrame(1, b""))
    peer.send(ContinuationFrame(1, block[2:20]))
    assert of.is_open(0)
    peer.send(ContinuationFrame(1, block[20:], flags=["END_HEADERS"]))
    assert of.statuses == [status]


def test_a_block_that_goes_on_may_come_before_a_body() -> None:
    peer, of = started()
    block = peer.block([(":status", "400")])
    peer.send(HeadersFrame(1, block[:1]), ContinuationFrame(1, block[1:], flags=["END_HEADERS"]))
    peer.data(1, b"why", ends=True)
    assert of.replies[0].body == b"why"


@pytest.mark.parametrize(
    "other",
    [
        PingFrame(0, b"12345678"),
        DataFrame(1, b""),
        HeadersFrame(3, b"\x88", flags=END),
        ContinuationFrame(3, b"", flags=["END_HEADERS"]),
        raw(0x77, 0, 0),
    ],
    ids=["PING", "DATA", "HEADERS", "CONTINUATION of another stream", "unknown"],
)
def test_a_header_block_is_not_interrupted(other: PingFrame | bytes) -> None:
    peer, of = started(3)
    peer.answer(5)
    peer.send(HeadersFrame(1, b"\x88"), other)
    assert code_of(peer) == "PROTOCOL_ERROR"
    assert outcome(of, 1) == (0, Failure.CONNECTION_LOST, True)


def test_a_continuation_needs_a_beginning() -> None:
    peer, _ = started()
    peer.send(ContinuationFrame(1, b"\x88", flags=["END_HEADERS"]))
    assert code_of(peer) == "PROTOCOL_ERROR"


@pytest.mark.parametrize("piece", [b"", b"\x00" * 10, b"\x00" * 16_000])
def test_a_header_block_has_an_end(piece: bytes) -> None:
    peer, _ = started()
    peer.send(HeadersFrame(1, b"\x88"))
    sent = 0
    while peer.connection.fault is None:
        peer.send(ContinuationFrame(1, piece))
        sent += 1
        assert sent <= MOST_CONTINUATIONS + 1
    assert code_of(peer) == "ENHANCE_YOUR_CALM"
    assert sent * len(piece) <= LARGEST_BLOCK + len(piece)


# --- padding and priority ------------------------------------------------------------------------


@pytest.mark.parametrize("pad_length", [0, 1, 255])
def test_padding_is_taken_off(pad_length: int) -> None:
    peer, of = started()
    block = peer.block([(":status", "400"), ("a", "b")])
    peer.send(HeadersFrame(1, block, pad_length=pad_length, flags=["END_HEADERS", "PADDED"]))
    peer.send(DataFrame(1, b"body", pad_length=pad_length, flags=["END_STREAM", "PADDED"]))
    assert of.replies[0].headers == {"a": "b"}
    assert of.replies[0].body == b"body"


def test_a_frame_may_be_all_padding() -> None:
    peer, of = started()
    peer.answer(1, status=400, ends=False)
    peer.send(raw(0, 0x8 | 0x1, 1, b"\x04\0\0\0\0"))
    assert of.replies[0].body == b""


@pytest.mark.parametrize("kind", [0, 1], ids=["DATA", "HEADERS"])
@pytest.mark.parametrize(
    ("payload", "code"),
    [(b"\x05\0\0\0\0", "PROTOCOL_ERROR"), (b"\xff", "PROTOCOL_ERROR"), (b"", "FRAME_SIZE_ERROR")],
    ids=["one byte too long", "longest", "no length"],
)
def test_padding_is_shorter_than_its_frame(kind: int, payload: bytes, code: str) -> None:
    peer, _ = knowing()
    if kind == 0:
        peer.answer(3, status=400, ends=False)
    peer.send(raw(kind, 0x8 | 0x4, 3, payload))
    assert code_of(peer) == code


@pytest.mark.parametrize("status", [200, 400])
def test_priority_is_passed_over(status: int) -> None:
    peer, of = knowing()
    block = peer.block([(":status", str(status))])
    peer.send(PriorityFrame(3, depends_on=1, stream_weight=9), PriorityFrame(99))
    peer.send(HeadersFrame(3, block, pad_length=3, flags=[*END, "PRIORITY", "PADDED"]))
    assert of.statuses == [200, status]


@pytest.mark.parametrize("flags", [0x20, 0x20 | 0x8])
@pytest.mark.parametrize("size", [0, 3])
def test_priority_has_five_bytes(flags: int, size: int) -> None:
    peer, _ = knowing()
    pad = b"\0" if flags & 0x8 else b""
    peer.send(raw(1, flags | 0x4, 3, pad + bytes(size)))
    assert code_of(peer) == "FRAME_SIZE_ERROR"


# --- frames in the wrong place or of the wrong size ----------------------------------------------


@pytest.mark.parametrize("kind", [0, 1, 2, 3, 5, 9])
def test_frames_of_streams_are_on_one(kind: int) -> None:
    peer, _ = started()
    peer.send(raw(kind, 0x4, 0, bytes(5 if kind == 2 else 4)))
    assert code_of(peer) == "PROTOCOL_ERROR"


@pytest.mark.parametrize("kind", [4, 6, 7])
def test_frames_of_the_connection_are_on_no_stream(kind: int) -> None:
    peer, _ = started()
    peer.send(raw(kind, 0, 1, bytes({4: 6, 6: 8, 7: 8}[kind])))
    assert code_of(peer) == "PROTOCOL_ERROR"


@pytest.mark.parametrize("stream", [3, 2**31 - 1, 2, 2**31 - 2])
@pytest.mark.parametrize(
    ("kind", "payload"),
    [(0, b"x"), (1, b"\x88"), (3, b"\0\0\0\x08"), (8, b"\0\0\0\x01")],
    ids=["DATA", "HEADERS", "RST_STREAM", "WINDOW_UPDATE"],
)
def test_nothing_comes_on_streams_that_we_have_not_opened(
    kind: int, payload: bytes, stream: int
) -> None:
    peer, _ = started()
    peer.answer(1)
    peer.send(raw(kind, 0x4, stream, payload))
    assert code_of(peer) == "PROTOCOL_ERROR"


@pytest.mark.parametrize("status", [200, 400])
@pytest.mark.parametrize(("kind", "payload"), [(0, b"x"), (1, b"\x88"), (1, b"\x8d")])
def test_nothing_follows_the_end_of_an_answer(kind: int, payload: bytes, status: int) -> None:
    peer, _ = knowing()
    peer.answer(3, status=status)
    peer.send(raw(kind, 0x5, 3, payload))
    assert code_of(peer) == "STREAM_CLOSED"


def test_a_push_is_refused() -> None:
    peer, _ = started()
    peer.send(PushPromiseFrame(1, 2, b"\x82", flags=["END_HEADERS"]))
    assert code_of(peer) == "PROTOCOL_ERROR"


@pytest.mark.parametrize("stream", [0, 1, 2, 99])
def test_frames_of_unknown_types_are_passed_over(stream: int) -> None:
    peer, of = started()
    peer.send(raw(0x77, 0xFF, stream, b"whatever"), raw(0x0A, 0, stream))
    peer.answer(1)
    assert of.accepted == 1


def test_unknown_flags_and_the_reserved_bit_are_passed_over() -> None:
    peer, of = knowing()
    peer.send(raw(1, 0x5 | 0xD2, 3 | 2**31, b"\x88"))
    assert of.accepted == 2


@pytest.mark.parametrize(
    ("kind", "size"),
    [
        (2, 4),
        (2, 6),
        (3, 3),
        (3, 5),
        (6, 7),
        (6, 9),
        (7, 7),
        (8, 3),
        (8, 5),
        (4, 5),
        (0, 16_385),
        (0x77, 16_385),
    ],
)
def test_frames_of_the_wrong_size_end_the_connection(kind: int, size: int) -> None:
    peer, _ = started()
    stream = 0 if kind in {4, 6, 7} else 1
    peer.send(raw(kind, 0, stream, b"\1" * size))
    assert code_of(peer) == "FRAME_SIZE_ERROR"


def test_a_frame_that_is_too_long_is_refused_by_its_head() -> None:
    peer, _ = started()
    peer.send(raw(0, 0, 1, bytes(16_385))[:9])
    assert code_of(peer) == "FRAME_SIZE_ERROR"


def test_a_frame_as_long_as_we_allow_is_read() -> None:
    peer, of = started()
    peer.answer(1, status=400, body=b"x" * 16_384)
    assert len(of.replies[0].body) == 16_384


def test_a_fault_names_a_rule_and_nothing_that_was_sent() -> None:
    peer, _ = started()
    peer.send(raw(1, 0x4, 1, b"\x00\x05token\x85secret"))
    assert peer.connection.fault is not None
    for shown in (str(peer.connection.fault), repr(peer.connection), repr(peer.connection.fault)):
        assert "token" not in shown
        assert "secret" not in shown


def test_an_update_of_the_connection_is_taken_before_any_request() -> None:
    peer = Peer()
    peer.send(WindowUpdateFrame(0, window_increment=5))
    assert peer.connection._writer.window == 65_540
