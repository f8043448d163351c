"""What time brings: deadlines of requests, and peers that have stopped talking."""

from hyperframe.frame import PingFrame, SettingsFrame

from nuncio_dispatcher.http2.exchange import Failure
from tests.unit.dispatcher.http2.peer import Peer, code_of, exchange, outcome, requests, started

CANCEL = 0x8
LIVE = {"ping_after": 10.0, "ping_within": 5.0}


def test_a_request_without_an_answer_in_time_is_cut() -> None:
    peer, of = Peer(), exchange(requests(2), answer_within=60)
    peer.write(of)
    peer.frames()
    assert peer.connection.next_due == 60
    peer.answer(1)
    peer.connection.end_overdue(59.9)
    assert of.is_open(1)
    peer.connection.end_overdue(60)
    assert outcome(of, 1) == (0, Failure.NO_ANSWER, True)
    assert peer.resets() == [(3, CANCEL)]
    assert list(peer.connection.take_touched()) == [of]
    assert peer.connection.next_due is None


def test_a_late_answer_of_a_cut_request_is_passed_over() -> None:
    peer, of = started(2)
    peer.connection.end_overdue(100)
    peer.answer(1, 3, status=400, body=b"late")
    assert code_of(peer) is None
    assert of.failures == {0: Failure.NO_ANSWER, 1: Failure.NO_ANSWER}
    assert of.statuses == [0, 0]


def test_each_exchange_has_its_own_deadline() -> None:
    peer = Peer()
    patient, hasty, later = (
        exchange(requests(2), answer_within=within) for within in (60.0, 5.0, 5.0)
    )
    peer.write(patient, hasty)
    peer.now = 3.0
    peer.write(later)
    peer.frames()
    for now, left in ((4.9, [2, 2, 2]), (5.0, [2, 0, 2]), (8.0, [2, 0, 0]), (60.0, [0, 0, 0])):
        peer.connection.end_overdue(now)
        assert [patient.open, hasty.open, later.open] == left


def test_a_row_that_is_written_again_has_its_time_anew() -> None:
    peer, of = Peer(), exchange(answer_within=10)
    peer.write(of)
    peer.now = 9.0
    peer.reset(1, 0x7)
    peer.write(of)
    peer.connection.end_overdue(10)
    assert of.is_open(0)
    peer.connection.end_overdue(19)
    assert outcome(of) == (0, Failure.NO_ANSWER, True)


def test_a_half_written_request_that_is_cut_has_taken_nothing() -> None:
    peer, of = Peer({SettingsFrame.INITIAL_WINDOW_SIZE: 1}), exchange(answer_within=10)
    peer.write(of)
    peer.connection.end_overdue(10)
    assert outcome(of) == (0, Failure.NO_ANSWER, False)


def test_deadlines_are_forgotten_once_the_requests_have_ended() -> None:
    peer, of = started(3)
    peer.answer(1, 3, 5)
    peer.connection.end_overdue(1)
    assert peer.connection.next_due is None
    assert of.accepted == 3


def test_an_exchange_that_is_cancelled_leaves_others_alone() -> None:
    peer = Peer()
    one, other = exchange(requests(2)), exchange(requests(2))
    peer.write(one, other)
    peer.frames()
    peer.connection.cancel(one)
    assert peer.resets() == [(1, CANCEL), (3, CANCEL)]
    assert (one.open, other.open) == (0, 2)
    assert outcome(one) == (0, Failure.NO_ANSWER, True)
    peer.answer(1, 3, 5, 7)
    assert other.accepted == 2
    assert one.accepted == 0


def test_a_ping_is_answered_with_its_own_data() -> None:
    peer = Peer()
    peer.send(PingFrame(0, b"01234567"))
    (pong,) = peer.only(PingFrame)
    assert (pong.opaque_data, set(pong.flags)) == (b"01234567", {"ACK"})


def test_a_peer_that_owes_answers_and_is_silent_is_asked_and_given_up() -> None:
    peer, _ = started()
    assert not peer.connection.is_silent(9.9, **LIVE)
    assert not peer.pings()
    assert not peer.connection.is_silent(10.0, **LIVE)
    assert len(peer.pings()) == 1
    assert not peer.connection.is_silent(14.9, **LIVE)
    assert not peer.pings(), "one question at a time"
    assert peer.connection.is_silent(15.0, **LIVE)


def test_a_peer_that_says_it_is_there_is_not_given_up() -> None:
    peer, _ = started()
    peer.connection.is_silent(10.0, **LIVE)
    (ping,) = peer.pings()
    peer.now = 14.0
    peer.send(PingFrame(0, ping.opaque_data, flags=["ACK"]))
    assert not peer.connection.is_silent(15.0, **LIVE)
    assert not peer.connection.is_silent(24.0, **LIVE)
    assert len(peer.pings()) == 1, "asked again"
    assert peer.connection.is_silent(29.0, **LIVE)


def test_anything_that_a_peer_says_shows_that_it_is_there() -> None:
    peer, _ = started()
    peer.connection.is_silent(10.0, **LIVE)
    peer.now = 14.0
    peer.widen(0, 1)
    assert not peer.connection.is_silent(15.0, **LIVE)


def test_a_peer_that_owes_nothing_is_not_asked() -> None:
    peer, _ = started()
    peer.answer(1)
    peer.frames()
    assert not peer.connection.is_silent(1_000, **LIVE)
    assert not peer.frames()


def test_after_the_first_deadline_comes_that_of_the_next_open_request() -> None:
    peer = Peer()
    hasty, patient = exchange(answer_within=5), exchange(answer_within=60)
    peer.write(hasty, patient)
    peer.answer(1)
    peer.connection.end_overdue(5)
    assert peer.connection.next_due == 60
    assert patient.is_open(0)


def test_a_connection_is_used_by_requests_and_answers_alone() -> None:
    peer = Peer()
    peer.now = 10.0
    peer.send(PingFrame(0, b"12345678"))
    assert peer.connection.last_used == 0
    peer.write(exchange())
    assert peer.connection.last_used == 10
    peer.now = 20.0
    peer.answer(1)
    assert peer.connection.last_used == 20
