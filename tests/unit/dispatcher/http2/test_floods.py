"""Frames that are allowed one by one, and bring nothing in masses. RFC 9113, section 10.5."""

import pytest
from hyperframe.frame import (
    DataFrame,
    Frame,
    GoAwayFrame,
    HeadersFrame,
    PingFrame,
    PriorityFrame,
    RstStreamFrame,
    SettingsFrame,
    WindowUpdateFrame,
)

from nuncio_dispatcher.http2.connection import MOST_FRUITLESS
from nuncio_dispatcher.http2.exchange import Failure
from tests.unit.dispatcher.http2.peer import Peer, code_of, knowing, outcome, raw, started

UNKNOWN = raw(0x77, 0, 0, b"x")


@pytest.mark.parametrize(
    "frame",
    [
        PingFrame(0, b"12345678"),
        PingFrame(0, b"12345678", flags=["ACK"]),
        SettingsFrame(0),
        SettingsFrame(0, flags=["ACK"]),
        GoAwayFrame(0, last_stream_id=2**31 - 1),
        PriorityFrame(1),
        RstStreamFrame(1),
        WindowUpdateFrame(3, window_increment=1),
        UNKNOWN,
    ],
    ids=str,
)
def test_a_flood_of_frames_ends_the_connection(frame: Frame | bytes) -> None:
    peer, of = knowing()
    encoded = frame if isinstance(frame, bytes) else frame.serialize()
    peer.send(encoded * (MOST_FRUITLESS - 10))
    assert code_of(peer) is None
    peer.send(encoded * 20)
    assert code_of(peer) == "ENHANCE_YOUR_CALM"
    assert outcome(of, 1) == (0, Failure.CONNECTION_LOST, True)


def test_a_flood_of_empty_data_ends_the_connection() -> None:
    peer, of = knowing()
    peer.answer(3, status=400, ends=False)
    peer.send(DataFrame(3).serialize() * MOST_FRUITLESS)
    assert code_of(peer) == "ENHANCE_YOUR_CALM"
    assert of.statuses == [200, 400]


def test_interim_answers_count_by_their_length() -> None:
    peer, _ = knowing()
    block = peer.block([(":status", "103"), ("link", "\\" * 6_000)])
    hint = HeadersFrame(3, block, flags=["END_HEADERS"]).serialize()
    enough = 64 * MOST_FRUITLESS // len(block)
    peer.send(hint * (enough // 2))
    assert code_of(peer) is None
    peer.send(hint * enough)
    assert code_of(peer) == "ENHANCE_YOUR_CALM"


def test_late_answers_count_by_their_length() -> None:
    peer, of = knowing()
    peer.connection.cancel(of)
    block = peer.block([(":status", "400"), ("why", "\\" * 6_000)])
    late = HeadersFrame(3, block, flags=["END_HEADERS"]).serialize()
    peer.send(late * (64 * MOST_FRUITLESS // len(block) + 1))
    assert code_of(peer) == "ENHANCE_YOUR_CALM"


def test_the_same_over_a_longer_time_is_no_flood() -> None:
    peer, _ = started()
    for _ in range(5):
        peer.now += 1
        peer.send(PingFrame(0, b"12345678").serialize() * (MOST_FRUITLESS - 10))
    assert code_of(peer) is None


def test_answers_make_up_for_what_came_with_them() -> None:
    peer, of = started(5)
    for stream in (1, 3, 5, 7, 9):
        peer.send(WindowUpdateFrame(0, window_increment=1).serialize() * (MOST_FRUITLESS - 10))
        peer.answer(stream, status=400)
    assert code_of(peer) is None
    assert of.statuses == [400] * 5


def test_what_was_read_of_a_peer_that_is_faulty_is_let_go() -> None:
    peer = Peer()
    peer.send(PingFrame(0, b"12345678").serialize() * (2 * MOST_FRUITLESS))
    assert code_of(peer) == "ENHANCE_YOUR_CALM"
    peer.send(PingFrame(0, b"12345678"))
    assert not peer.connection._rest
