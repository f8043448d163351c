"""Answers, right and malformed. RFC 9113, sections 8.1 to 8.3."""

import pytest
from hyperframe.frame import DataFrame, HeadersFrame

from nuncio_dispatcher.http2.exchange import Exchange, Failure, Field
from tests.unit.dispatcher.http2.peer import Peer, code_of, knowing, outcome, started

PROTOCOL_ERROR = 0x1
BAD = (0, Failure.BAD_ANSWER, True)


def assert_only_stream_3_failed(peer: Peer, *, reset: int = PROTOCOL_ERROR) -> None:
    """The connection goes on for others."""
    (of, _, _) = peer.connection._streams.open[5]
    assert peer.resets() == [(3, reset)]
    assert outcome(of, 1) == BAD
    peer.answer(5, status=400, body=b"why")
    assert of.replies[2].body == b"why"
    assert code_of(peer) is None


@pytest.fixture
def peer() -> Peer:
    """A peer that has answered stream 1, and owes answers on 3 and 5."""
    peer, _ = started(3)
    peer.answer(1)
    peer.frames()
    return peer


@pytest.mark.parametrize("status", [200, 201, 204, 299])
@pytest.mark.parametrize("body", [b"", b"fine"])
def test_any_2xx_is_accepted(peer: Peer, status: int, body: bytes) -> None:
    (of, _, _) = peer.connection._streams.open[3]
    peer.answer(3, status=status, body=body, fields=[("apns-id", "x")])
    assert outcome(of, 1) == (status, None, True)
    assert of.accepted == peer.connection.answered == 2
    assert not of.replies


@pytest.mark.parametrize("status", [300, 304, 400, 410, 429, 500, 503, 599])
def test_any_other_answer_is_read(peer: Peer, status: int) -> None:
    (of, _, _) = peer.connection._streams.open[3]
    peer.answer(3, status=status, fields=[("retry-after", "5")], body=b'{"reason":"Some"}')
    assert outcome(of, 1) == (status, None, True)
    reply = of.replies[1]
    assert (reply.status, reply.headers, reply.body) == (
        status,
        {"retry-after": "5"},
        b'{"reason":"Some"}',
    )
    assert reply.via is peer.connection
    assert reply.via.answered == 2


def test_a_body_may_come_in_pieces(peer: Peer) -> None:
    (of, _, _) = peer.connection._streams.open[3]
    peer.answer(3, status=400, ends=False)
    for piece in (b"one ", b"", b"two"):
        peer.data(3, piece)
    assert of.is_open(1)
    peer.data(3, ends=True)
    assert of.replies[1].body == b"one two"


@pytest.mark.parametrize(
    "fields",
    [
        [],
        [("a", "b")],
        [(":status", "400"), (":status", "400")],
        [("a", "b"), (":status", "400")],
        [(":status", "40")],
        [(":status", "4000")],
        [(":status", "4O0")],
        [(":status", "000")],
        [(":status", "600")],
        [(":status", "+40")],
        [(":status", "\u0664\u0660\u0660")],
        [(":status", "400"), (":path", "/")],
        [(":status", "400"), (":unknown", "x")],
        [(":status", "400"), ("Retry-After", "5")],
        [(":status", "400"), ("", "x")],
        [(":status", "400"), ("two words", "x")],
        [(":status", "400"), ("co:lon", "x")],
        [(":status", "400"), ("caf\u00e9", "x")],
        [(":status", "400"), ("line\n", "x")],
        [(":status", "400"), ("a", "two\nlines")],
        [(":status", "400"), ("a", "two\rlines")],
        [(":status", "400"), ("a", "nul\0")],
        [(":status", "400"), ("a", " blank before")],
        [(":status", "400"), ("a", "blank after\t")],
        [(":status", "400"), ("connection", "close")],
        [(":status", "400"), ("keep-alive", "1")],
        [(":status", "400"), ("proxy-connection", "x")],
        [(":status", "400"), ("transfer-encoding", "chunked")],
        [(":status", "400"), ("upgrade", "h2c")],
        [(":status", "400"), ("content-length", "x")],
        [(":status", "400"), ("content-length", "-1")],
        [(":status", "400"), ("content-length", "+1")],
        [(":status", "400"), ("content-length", "")],
        [(":status", "400"), ("content-length", "9" * 30)],
        [(":status", "400"), ("content-length", "1")],
        [(":status", "101")],
        [(":status", "100")],
    ],
    ids=repr,
)
def test_a_malformed_answer_ends_its_request_alone(peer: Peer, fields: list[Field]) -> None:
    block = peer.block(fields) or b"\x20"
    peer.send(HeadersFrame(3, block, flags=["END_HEADERS", "END_STREAM"]))
    assert_only_stream_3_failed(peer)


def test_a_body_shorter_than_it_says_is_malformed(peer: Peer) -> None:
    peer.answer(3, status=400, fields=[("content-length", "5")], body=b"four")
    assert_only_stream_3_failed(peer)


def test_a_body_longer_than_it_says_is_malformed(peer: Peer) -> None:
    peer.answer(3, status=400, fields=[("content-length", "3")], body=b"four", ends=False)
    assert_only_stream_3_failed(peer)


def test_a_body_as_long_as_it_says_is_right(peer: Peer) -> None:
    (of, _, _) = peer.connection._streams.open[3]
    peer.answer(3, status=400, fields=[("content-length", "4")], body=b"four")
    assert of.replies[1].body == b"four"


def test_an_answer_that_never_has_a_body_may_name_the_length_of_one(peer: Peer) -> None:
    (of, _, _) = peer.connection._streams.open[3]
    peer.answer(3, status=304, fields=[("content-length", "4")])
    assert of.statuses[1] == 304


def test_a_body_before_the_answer_is_malformed(peer: Peer) -> None:
    peer.data(3, b"early")
    assert_only_stream_3_failed(peer)


def test_late_frames_of_a_malformed_answer_are_passed_over(peer: Peer) -> None:
    peer.data(3, b"early")
    peer.answer(3, status=400, body=b"late", ends=False)
    peer.data(3, b"late", ends=True)
    assert_only_stream_3_failed(peer)


def test_an_interim_answer_comes_before_the_last(peer: Peer) -> None:
    (of, _, _) = peer.connection._streams.open[3]
    for status in (100, 103, 102):
        peer.answer(3, status=status, fields=[("link", "x")], ends=False)
        assert of.is_open(1)
    peer.answer(3, status=410, body=b"gone")
    assert of.replies[1].headers == {}
    assert outcome(of, 1) == (410, None, True)


def test_a_body_after_an_interim_answer_is_malformed(peer: Peer) -> None:
    peer.answer(3, status=100, ends=False)
    peer.data(3, b"body", ends=True)
    assert_only_stream_3_failed(peer)


def test_a_switch_of_protocols_is_refused(peer: Peer) -> None:
    peer.answer(3, status=101, ends=False)
    assert_only_stream_3_failed(peer)


@pytest.mark.parametrize("status", [200, 400])
def test_trailers_end_an_answer(peer: Peer, status: int) -> None:
    (of, _, _) = peer.connection._streams.open[3]
    peer.answer(3, status=status, body=b"body", ends=False)
    trailers = peer.block([("checksum", "1")])
    peer.send(HeadersFrame(3, trailers, flags=["END_HEADERS", "END_STREAM"]))
    assert outcome(of, 1) == (status, None, True)


def test_trailers_that_do_not_end_the_stream_are_malformed(peer: Peer) -> None:
    peer.answer(3, status=400, ends=False)
    peer.send(HeadersFrame(3, peer.block([("checksum", "1")]), flags=["END_HEADERS"]))
    assert_only_stream_3_failed(peer)


@pytest.mark.parametrize("field", [(":status", "200"), ("Upper", "x"), ("connection", "close")])
def test_trailers_with_fields_that_they_cannot_have_are_malformed(peer: Peer, field: Field) -> None:
    peer.answer(3, status=400, ends=False)
    block = peer.block([field])
    peer.send(HeadersFrame(3, block, flags=["END_HEADERS", "END_STREAM"]))
    assert_only_stream_3_failed(peer)


def test_trailers_do_not_make_up_for_a_body_that_is_too_short(peer: Peer) -> None:
    peer.answer(3, status=400, fields=[("content-length", "9")], body=b"four", ends=False)
    block = peer.block([("checksum", "1")])
    peer.send(HeadersFrame(3, block, flags=["END_HEADERS", "END_STREAM"]))
    assert_only_stream_3_failed(peer)


def test_answers_come_in_any_order_and_any_pieces() -> None:
    peer, of = started(4)
    parts = []
    for stream, status in ((7, 200), (3, 410), (1, 200), (5, 503)):
        block = peer.block([(":status", str(status))])
        parts.append(HeadersFrame(stream, block, flags=["END_HEADERS"]).serialize())
        parts.append(DataFrame(stream, b"x", flags=["END_STREAM"]).serialize())
    data = b"".join(parts)
    for at in range(0, len(data), 5):
        peer.send(data[at : at + 5])
    assert of.statuses == [200, 410, 503, 200]
    assert (of.accepted, of.open) == (2, 0)


def test_an_exchange_is_touched_once_however_many_of_its_rows_end() -> None:
    peer, of = started(50)
    peer.connection.take_touched()
    peer.answer(*range(1, 101, 2))
    assert list(peer.connection.take_touched()) == [of]
    assert not peer.connection.take_touched()


def test_the_answer_of_one_request_may_go_on_while_others_end() -> None:
    peer, of = knowing()
    assert of.accepted == 1
    peer.answer(3, status=500, ends=False)
    assert peer.connection.in_flight == 1
    peer.data(3, b"trouble", ends=True)
    assert of.replies[1].body == b"trouble"


def test_bodies_of_accepted_answers_are_measured_apart() -> None:
    peer, of = knowing_two()
    peer.answer(3, 5, ends=False)
    peer.data(3, b"x" * 10_000)
    peer.data(5, b"y" * 10_000)
    peer.data(5, ends=True)
    assert of.accepted == 2
    assert not peer.resets()
    peer.data(3, b"x" * 10_000)  # more than we read
    assert of.accepted == 3
    assert peer.resets() == [(3, 0x8)]


def test_a_status_of_200_counts_when_the_connection_is_lost_before_its_body() -> None:
    peer, of = knowing_two()
    peer.answer(3, 5, ends=False)
    peer.connection.lose()
    assert of.accepted == 3


def knowing_two() -> tuple[Peer, Exchange]:
    """A peer whose first answer is read, so that the next ones need only a glance."""
    peer, of = started(3)
    peer.answer(1)
    peer.frames()
    return peer, of
