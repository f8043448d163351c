"""Flow control, out and in. RFC 9113, sections 5.2 and 6.9."""

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame, WindowUpdateFrame

from nuncio_dispatcher.http2.connection import OUR_WINDOW
from nuncio_dispatcher.http2.exchange import BODY_KEPT, Failure
from tests.unit.dispatcher.http2.peer import (
    Peer,
    code_of,
    exchange,
    outcome,
    raw,
    requests,
    started,
)

WINDOW = SettingsFrame.INITIAL_WINDOW_SIZE


def test_rows_stay_within_the_connections_window() -> None:
    peer, of = Peer(), exchange(requests(100, body=b"x" * 1_000))
    assert peer.write(of) == 65
    assert peer.connection.room == 0
    peer.widen(0, 465)  # 535 are left
    assert peer.write(of) == 1
    assert peer.write(of) == 0
    peer.frames()
    assert all(request.is_whole for request in peer.requests.values())
    assert list(of.waiting) == list(range(66, 100))


def test_a_body_larger_than_the_connections_window_goes_in_pieces() -> None:
    body = bytes(range(256)) * 400
    peer, of = Peer({WINDOW: 200_000}), exchange(requests(body=body))
    peer.write(of)
    assert sum(len(frame.data) for frame in peer.only(DataFrame)) == 65_535
    assert outcome(of) == (0, None, False)
    peer.widen(0, 100_000)
    peer.frames()
    assert peer.requests[1].body == body
    assert peer.requests[1].is_whole
    assert outcome(of) == (0, None, True)


def test_a_body_larger_than_the_streams_window_goes_in_pieces() -> None:
    peer, of = Peer({WINDOW: 10}), exchange(requests(body=b"0123456789abcdef"))
    peer.write(of)
    peer.frames()
    assert peer.requests[1].body == b"0123456789"
    peer.widen(1, 3)
    peer.frames()
    assert peer.requests[1].body == b"0123456789abc"
    peer.widen(0, 1_000)
    assert not peer.frames()
    peer.widen(1, 3)
    peer.frames()
    assert peer.requests[1].is_whole


def test_a_body_waits_for_a_window_of_nothing() -> None:
    peer, of = Peer({WINDOW: 0}), exchange(requests(2))
    assert peer.write(of, count=1) == 1
    assert [type(frame) for frame in peer.frames()] == [HeadersFrame]
    assert peer.connection.room == 0, "nothing overtakes a body that is half written"
    peer.widen(1, 2)
    (data,) = peer.frames()
    assert (data.stream_id, set(data.flags)) == (1, {"END_STREAM"})
    assert peer.connection.room > 0


def test_a_request_without_a_body_needs_no_window() -> None:
    peer, of = Peer({WINDOW: 0}), exchange(requests(2, body=b""))
    while of.waiting:
        assert peer.write(of)
    assert [set(frame.flags) for frame in peer.frames()] == [{"END_HEADERS", "END_STREAM"}] * 2
    assert outcome(of, 1) == (0, None, True)


def test_smaller_rows_wait_behind_one_that_the_window_does_not_let_through() -> None:
    bodies = [b"x" * 8_000] * 8 + [b"x" * 8_000, b"y"]
    peer, of = Peer(), exchange(requests(bodies=bodies))
    assert peer.write(of) == 8
    assert list(of.waiting) == [8, 9]
    assert peer.connection.room == 0
    peer.answer(*range(1, 17, 2))
    assert peer.connection.room > 0, "with nothing under way, a body may go in pieces"
    assert peer.write(of) == 1
    peer.widen(0, 100_000)
    assert peer.write(of) == 1
    peer.frames()
    assert [peer.requests[stream].body for stream in (17, 19)] == [b"x" * 8_000, b"y"]


def test_a_connections_window_beyond_2_31_ends_the_connection() -> None:
    peer = Peer()
    peer.widen(0, 2**31 - 1 - 65_535)
    assert code_of(peer) is None
    peer.widen(0, 1)
    assert code_of(peer) == "FLOW_CONTROL_ERROR"


def test_a_streams_window_beyond_2_31_ends_the_stream() -> None:
    peer, of = Peer({WINDOW: 0}), exchange(requests(2, body=b"x" * 70_000))
    peer.write(of, count=1)
    peer.widen(1, 65_535)
    peer.frames()
    peer.widen(1, 2**31 - 1)
    assert code_of(peer) is None
    peer.widen(1, 1)
    assert peer.resets() == [(1, 0x3)]
    assert outcome(of) == (0, Failure.BAD_ANSWER, False)
    peer.widen(0, 5)
    assert peer.write(of) == 1, "the connection goes on"


def test_an_update_by_nothing_ends_what_it_is_about() -> None:
    peer, of = started(2)
    peer.send(raw(8, 0, 1, bytes(4)))
    assert peer.resets() == [(1, 0x1)]
    assert outcome(of) == (0, Failure.BAD_ANSWER, True)
    assert code_of(peer) is None
    peer.send(raw(8, 0, 0, bytes(4)))
    assert code_of(peer) == "PROTOCOL_ERROR"


def test_the_reserved_bit_of_an_update_is_passed_over() -> None:
    peer, of = Peer({WINDOW: 0}), exchange()
    peer.write(of)
    peer.send(raw(8, 0, 1, bytes.fromhex("80000002")))
    peer.frames()
    assert peer.requests[1].is_whole


def test_updates_of_streams_that_have_ended_are_passed_over() -> None:
    peer, _ = started()
    peer.answer(1)
    peer.widen(1, 5)
    peer.send(raw(8, 0, 1, bytes(4)))
    assert code_of(peer) is None


def test_credit_for_answers_is_given_back_before_it_runs_out() -> None:
    peer, of = started(1_000)
    body, credit = b"x" * 14_000, OUR_WINDOW
    for stream in range(1, 1_999, 2):
        peer.answer(stream, status=400, body=body)
        credit -= len(body)
        assert credit > 0
        credit += sum(frame.window_increment for frame in peer.only(WindowUpdateFrame))
    assert len(of.replies) == 999
    assert OUR_WINDOW // 2 <= credit <= OUR_WINDOW


def test_a_peer_that_overruns_a_streams_window_ends_the_stream() -> None:
    peer, of = started()
    peer.answer(1, status=400, ends=False)
    padded = DataFrame(1, b"", pad_length=254, flags=["PADDED"])  # 255 bytes of the window
    peer.send(*[padded] * 257)  # 65,535
    assert not peer.resets()
    peer.send(padded)
    assert peer.resets() == [(1, 0x3)]
    assert outcome(of) == (0, Failure.BAD_ANSWER, True)


def test_of_a_long_answer_only_the_beginning_is_read() -> None:
    peer, of = started()
    body = bytes(range(256)) * 80
    peer.answer(1, status=400, body=body, ends=False)
    assert of.replies[0].body == body[:BODY_KEPT]
    assert peer.resets() == [(1, 0x8)]
    peer.data(1, b"more", ends=True)
    assert code_of(peer) is None
    assert len(of.replies[0].body) == BODY_KEPT


def test_an_answer_as_long_as_is_read_is_not_cut() -> None:
    peer, of = started()
    peer.answer(1, status=400, body=b"x" * BODY_KEPT)
    assert len(of.replies[0].body) == BODY_KEPT
    assert not peer.resets()


@pytest.mark.parametrize("status", [200, 400])
def test_an_answer_before_the_body_is_out_ends_the_request(status: int) -> None:
    peer, of = Peer({WINDOW: 10}), exchange(requests(2, body=b"x" * 30))
    peer.write(of, count=1)
    peer.frames()
    peer.answer(1, status=status)
    assert peer.resets() == [(1, 0x8)]
    assert outcome(of) == (status, None, True)
    peer.widen(1, 100)
    assert not peer.frames(), "nothing more of the body"
    assert peer.write(of) == 1


def test_a_long_answer_before_the_body_is_out_is_cut_once() -> None:
    peer, of = Peer({WINDOW: 10}), exchange(requests(body=b"x" * 30))
    peer.write(of)
    peer.frames()
    peer.answer(1, status=413, body=b"y" * 20_000, ends=False)
    assert peer.resets() == [(1, 0x8)]
    assert outcome(of) == (413, None, True)
