"""Ends of streams and connections: what waits again, what may have been taken. RFC 9113, 5.4."""

import pytest
from hyperframe.frame import Frame, GoAwayFrame, HeadersFrame, RstStreamFrame, SettingsFrame

from nuncio_dispatcher.http2.exchange import MOST_REFUSALS, Failure
from nuncio_dispatcher.http2.streams import MOST_CUT
from tests.unit.dispatcher.http2.peer import (
    Peer,
    code_of,
    exchange,
    fields_of,
    outcome,
    requests,
    started,
)

WINDOW = SettingsFrame.INITIAL_WINDOW_SIZE
REFUSED_STREAM = 0x7
CODES = [code for code in (*range(15), 0xFFFF_FFFF) if code != REFUSED_STREAM]


def test_rows_above_the_last_stream_of_a_goaway_wait_again_and_those_below_are_answered() -> None:
    peer, of = started(5)
    peer.goaway(5)
    assert list(of.waiting) == [3, 4]
    assert [of.written_at[row] is None for row in range(5)] == [False] * 3 + [True] * 2
    assert of.open == 5
    peer.answer(1, 3, 5)
    assert of.accepted == 3
    assert of.open == 2
    peer.connection.lose()
    assert list(of.waiting) == [3, 4]


def test_after_a_goaway_no_more_is_written() -> None:
    peer, of = started(2)
    peer.goaway(2**31 - 1, 0, b"draining")
    assert peer.connection.is_draining
    assert peer.connection.room == peer.connection.stream_limit == 0
    assert not of.waiting
    assert peer.connection.farewell == (0, b"draining")


def test_a_second_goaway_takes_back_more() -> None:
    peer, of = started(4)
    peer.goaway(2**31 - 1)
    peer.goaway(5)
    peer.goaway(1)
    peer.goaway(1)
    assert list(of.waiting) == [3, 1, 2]
    assert of.refusals == {1: 1, 2: 1, 3: 1}
    peer.answer(1)
    assert of.accepted == 1


def test_of_a_goaways_debug_data_only_the_beginning_is_kept() -> None:
    peer, _ = started()
    peer.goaway(0, 11, b"d" * 5_000)
    assert peer.connection.farewell == (11, b"d" * 200)


def test_a_request_whose_body_is_half_written_waits_again_after_a_goaway_below_it() -> None:
    peer, of = Peer({WINDOW: 1}), exchange()
    peer.write(of)
    peer.frames()
    peer.goaway(0)
    assert list(of.waiting) == [0]
    peer.widen(1, 10)
    assert not peer.frames()


def test_a_body_goes_on_after_a_goaway_above_it() -> None:
    peer, of = Peer({WINDOW: 1}), exchange()
    peer.write(of)
    peer.goaway(1)
    peer.widen(1, 10)
    peer.frames()
    assert peer.requests[1].is_whole
    peer.answer(1)
    assert of.accepted == 1


def test_a_refused_stream_waits_again_but_not_for_ever() -> None:
    peer, of = Peer(), exchange()
    for refusal in range(MOST_REFUSALS):
        peer.write(of)
        (stream,) = peer.streams()
        assert of.written_at[0] is not None
        peer.reset(stream, REFUSED_STREAM)
        assert outcome(of) == (0, None, False), refusal
        assert list(of.waiting) == [0]
    peer.write(of)
    peer.reset(peer.streams()[0], REFUSED_STREAM)
    assert outcome(of) == (0, Failure.REFUSED_STREAM, False)
    assert of.open == 0
    assert not of.waiting


def test_a_refused_row_of_an_exchange_that_is_over_does_not_wait() -> None:
    peer, of = started()
    of.withdraw()
    peer.reset(1, REFUSED_STREAM)
    assert outcome(of) == (0, Failure.REFUSED_STREAM, False)


@pytest.mark.parametrize("code", CODES)
def test_any_other_reset_may_have_been_taken(code: int) -> None:
    peer, of = started(2)
    peer.reset(1, code)
    assert outcome(of) == (0, Failure.STREAM_RESET, True)
    assert not of.waiting
    peer.answer(3)
    assert of.accepted == 1


def test_a_stream_may_be_reset_twice() -> None:
    peer, of = started()
    peer.reset(1, 0x8)
    peer.reset(1, REFUSED_STREAM)
    assert outcome(of) == (0, Failure.STREAM_RESET, True)
    assert (of.open, code_of(peer)) == (0, None)


def test_a_reset_after_the_answer_changes_nothing() -> None:
    peer, of = started()
    peer.answer(1, status=413)
    peer.reset(1, 0x0)
    assert outcome(of) == (413, None, True)
    assert code_of(peer) is None


def test_a_reset_within_the_body_of_an_answer_leaves_what_was_read() -> None:
    peer, of = started()
    peer.answer(1, status=410, body=b'{"rea', ends=False)
    peer.reset(1, 0x2)
    assert outcome(of) == (410, None, True)
    assert of.replies[0].body == b'{"rea'


def test_a_reset_of_a_half_written_request_has_taken_nothing() -> None:
    peer, of = Peer({WINDOW: 1}), exchange()
    peer.write(of)
    peer.frames()
    peer.reset(1, 0x8)
    assert outcome(of) == (0, Failure.STREAM_RESET, False)
    peer.widen(1, 5)
    assert not peer.frames()


def test_frames_on_a_stream_that_the_peer_has_reset_end_the_connection() -> None:
    peer, _ = started(2)
    peer.reset(1, 0x8)
    peer.answer(1)
    assert code_of(peer) == "STREAM_CLOSED"


def test_what_was_written_when_the_connection_is_lost_may_have_been_taken() -> None:
    peer, of = started(2)
    peer.connection.lose()
    assert outcome(of, 0) == outcome(of, 1) == (0, Failure.CONNECTION_LOST, True)
    assert of.open == peer.connection.in_flight == 0


def test_what_was_half_written_when_the_connection_is_lost_waits_again() -> None:
    peer, of = Peer({WINDOW: 1}), exchange()
    peer.write(of)
    peer.connection.lose()
    assert outcome(of) == (0, None, False)
    assert list(of.waiting) == [0]


def test_an_answer_that_is_half_read_when_the_connection_is_lost_counts() -> None:
    peer, of = started()
    peer.answer(1, status=410, body=b"gon", ends=False)
    peer.connection.lose()
    assert outcome(of) == (410, None, True)


def test_a_fault_ends_everything_and_says_goodbye() -> None:
    peer, of = started(2)
    peer.answer(1)
    peer.frames()
    peer.send(b"\0\0\0\x04\0\0\0\0\x07")  # SETTINGS on a stream
    assert outcome(of, 1) == (0, Failure.CONNECTION_LOST, True)
    (goodbye,) = peer.only(GoAwayFrame)
    assert goodbye.error_code == 0x1
    peer.answer(3)
    assert of.statuses == [200, 0], "nothing more is read"


def test_closing_says_goodbye_and_lets_requests_end() -> None:
    peer, of = started()
    peer.connection.close()
    (goodbye,) = peer.only(GoAwayFrame)
    assert (goodbye.error_code, goodbye.last_stream_id) == (0, 0)
    assert peer.connection.room == 0
    peer.answer(1)
    assert of.accepted == 1


def test_a_drained_connection_writes_no_more_and_still_answers() -> None:
    peer, of = started()
    peer.connection.drain()
    assert peer.connection.room == 0
    peer.answer(1)
    assert of.accepted == 1


def test_stream_numbers_run_out() -> None:
    peer, of = Peer(), exchange(requests(5))
    peer.connection._streams.next_stream = 2**31 - 5
    assert peer.connection.room == 3
    assert peer.write(of, count=3) == 3
    assert peer.streams() == [2**31 - 5, 2**31 - 3, 2**31 - 1]
    assert peer.connection.is_draining
    assert peer.connection.room == 0
    peer.answer(2**31 - 1)
    assert of.accepted == 1
    assert code_of(peer) is None


def test_stream_numbers_run_out_with_a_body_that_waits_for_the_window() -> None:
    peer, of = Peer({WINDOW: 1}), exchange(requests(2))
    peer.connection._streams.next_stream = 2**31 - 1
    assert peer.write(of) == 1
    assert peer.connection.is_draining
    peer.widen(2**31 - 1, 10)
    peer.frames()
    assert peer.requests[2**31 - 1].is_whole


def test_streams_that_we_reset_are_remembered_up_to_a_bound() -> None:
    peer, of = Peer(), exchange(requests(MOST_CUT + 10))
    while of.waiting:
        peer.write(of)
        peer.frames()
        peer.connection.cancel(of)
    peer.frames()
    assert len(peer.connection._streams.cut) == MOST_CUT
    peer.send(
        HeadersFrame(2 * MOST_CUT + 19, peer.block([(":status", "200")]), flags=["END_HEADERS"])
    )
    assert code_of(peer) is None
    peer.answer(1)
    assert code_of(peer) == "STREAM_CLOSED"


def test_a_row_that_cannot_be_put_in_bytes_ends_alone_and_the_connection_goes_on() -> None:
    peer = Peer()
    paths = [b"/1", "/2", b"/3"]
    odd = exchange(requests(3, paths=paths))  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        peer.write(odd, count=3)
    assert outcome(odd, 1) == (0, Failure.FAULT, False)
    assert list(odd.waiting) == [2]
    peer.frames()
    peer.answer(1)
    assert outcome(odd, 0) == (200, None, True)
    after = exchange(requests(2))
    assert peer.write(after) == 2
    assert peer.streams() == [3, 5]


def test_fields_that_cannot_be_put_in_bytes_leave_the_table_as_the_peer_knows_it() -> None:
    peer, _ = started()
    odd = exchange(requests(fields=(("new-field", "x"), ("other", "\ud800"))))
    with pytest.raises(UnicodeEncodeError):
        peer.write(odd)
    new = requests(fields=(("new-field", "x"),))
    peer.write(exchange(new), exchange(new))
    peer.frames()
    assert peer.requests[3].fields == peer.requests[5].fields == fields_of(new, 0)


@pytest.mark.parametrize(("status", "accepted"), [(200, 1), (410, 0)])
def test_a_status_counts_although_the_rest_of_its_answer_never_comes(
    status: int, accepted: int
) -> None:
    peer, of = started()
    peer.answer(1, status=status, ends=False)
    peer.connection.end_overdue(peer.now + of.answer_within)
    assert of.statuses == [status]
    assert of.accepted == accepted
    assert peer.resets() == [(1, 0x8)]


def test_a_row_without_a_body_that_cannot_be_put_in_bytes_ends_alone() -> None:
    peer = Peer()
    own = ("apns-id", [b"1", "2"])
    odd = exchange(requests(bodies=[b"", b""], own=own))  # type: ignore[arg-type]
    assert peer.write(odd, count=1) == 1
    with pytest.raises(TypeError):
        peer.write(odd, count=1)
    assert outcome(odd, 1) == (0, Failure.FAULT, False)
    assert list(peer.connection.take_touched()) == [odd]
    peer.answer(1)
    assert odd.open == 0


@pytest.mark.parametrize(
    "undoing", [GoAwayFrame(0, last_stream_id=0), RstStreamFrame(1, error_code=0x7)], ids=str
)
def test_an_answer_that_has_begun_is_not_undone(undoing: Frame) -> None:
    peer, of = started()
    peer.answer(1, status=410, ends=False)
    peer.send(undoing)
    assert outcome(of) == (410, None, True)
    assert not of.waiting, "a second request would be one too many"
