"""What a server must not put up with, and with which error code. Source: RFC 9113."""

import pytest

from nuncio_simulator.h2frames import (
    ACK,
    CONTINUATION,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PADDED,
    PING,
    PREFACE,
    PRIORITY,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Code,
    Setting,
    frame,
    settings_frame,
    window_frame,
)
from nuncio_simulator.h2server import H2Protocol, Profile
from nuncio_simulator.wire import Answer, Reply
from tests.unit.simulator.connections import MemoryTransport, Talk
from tests.unit.simulator.frames import RawClient, answered, code_of, settings_in

OK = Answer(Reply(200))
TOO_LARGE = 2**31 - 1
ACKNOWLEDGED = frame(SETTINGS, ACK, 0, b"")


def fresh() -> H2Protocol:
    server = H2Protocol(Talk(OK), Profile(), set())
    server.connection_made(MemoryTransport())
    return server


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", Code.PROTOCOL_ERROR),
        (PREFACE + frame(PING, 0, 0, bytes(8)), Code.PROTOCOL_ERROR),
        (PREFACE + ACKNOWLEDGED, Code.PROTOCOL_ERROR),
    ],
)
def test_a_connection_begins_with_the_preface_and_settings(said: bytes, code: Code) -> None:
    server = fresh()
    server.data_received(said)
    transport = server._transport
    assert isinstance(transport, MemoryTransport)
    assert bytes(transport.out).endswith(bytes(7) + bytes([code]))
    assert transport.closed


def test_the_preface_may_come_byte_by_byte() -> None:
    server = fresh()
    for byte in PREFACE + settings_frame({}):
        server.data_received(bytes([byte]))
    transport = server._transport
    assert isinstance(transport, MemoryTransport)
    assert bytes(transport.out).endswith(ACKNOWLEDGED)
    assert not transport.closed


@pytest.mark.parametrize(
    ("said", "code"),
    [
        (frame(PING, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
        (frame(PING, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
        (frame(DATA, 0, 0, b"x"), Code.PROTOCOL_ERROR),
        (frame(DATA, 0, 1, b"x"), Code.PROTOCOL_ERROR),  # idle
        (frame(DATA, 0, 1, bytes(16_385)), Code.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 0, bytes(5)), Code.FRAME_SIZE_ERROR),
        (frame(SETTINGS, 0, 1, b""), Code.PROTOCOL_ERROR),
        (frame(SETTINGS, ACK, 0, bytes(6)), Code.FRAME_SIZE_ERROR),
        (settings_frame({Setting.ENABLE_PUSH: 2}), Code.PROTOCOL_ERROR),
        (settings_frame({Setting.INITIAL_WINDOW_SIZE: 2**31}), Code.FLOW_CONTROL_ERROR),
        (settings_frame({Setting.MAX_FRAME_SIZE: 16_383}), Code.PROTOCOL_ERROR),
        (settings_frame({Setting.MAX_FRAME_SIZE: 2**24}), Code.PROTOCOL_ERROR),
        (frame(PUSH_PROMISE, END_HEADERS, 1, bytes(4)), Code.PROTOCOL_ERROR),
        (frame(RST_STREAM, 0, 1, bytes(4)), Code.PROTOCOL_ERROR),  # idle
        (frame(RST_STREAM, 0, 1, bytes(3)), Code.FRAME_SIZE_ERROR),
        (frame(GOAWAY, 0, 0, bytes(7)), Code.FRAME_SIZE_ERROR),
        (frame(GOAWAY, 0, 1, bytes(8)), Code.PROTOCOL_ERROR),
        (frame(PRIORITY, 0, 0, bytes(5)), Code.PROTOCOL_ERROR),
        (frame(WINDOW_UPDATE, 0, 0, bytes(3)), Code.FRAME_SIZE_ERROR),
        (window_frame(0, 0), Code.PROTOCOL_ERROR),
        (window_frame(1, 1), Code.PROTOCOL_ERROR),  # idle
        (window_frame(0, TOO_LARGE), Code.FLOW_CONTROL_ERROR),
        (frame(CONTINUATION, END_HEADERS, 1, b"\x88"), Code.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 2, b"\x83\x87\x84"), Code.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 0, b"\x83\x87\x84"), Code.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS, 1, b"\xff\xff\x7f"), Code.COMPRESSION_ERROR),
        (frame(HEADERS, END_HEADERS | PADDED, 1, b"\x04\x83\x87"), Code.PROTOCOL_ERROR),
        (frame(HEADERS, END_HEADERS | PADDED, 1, b""), Code.FRAME_SIZE_ERROR),
        (frame(HEADERS, END_HEADERS | 0x20, 1, bytes(4)), Code.FRAME_SIZE_ERROR),
        (frame(HEADERS, 0, 1, b"\x83") + frame(PING, 0, 0, bytes(8)), Code.PROTOCOL_ERROR),
        (frame(HEADERS, 0, 1, b"\x83") + frame(0xBA, 0, 0, b""), Code.PROTOCOL_ERROR),
        (
            frame(HEADERS, 0, 1, b"\x83") + frame(CONTINUATION, END_HEADERS, 3, b"\x87\x84"),
            Code.PROTOCOL_ERROR,
        ),
        (
            frame(HEADERS, 0, 1, b"") + frame(CONTINUATION, 0, 1, bytes(16_000)) * 5,
            Code.ENHANCE_YOUR_CALM,
        ),
        (
            frame(HEADERS, 0, 1, b"\x83") + frame(CONTINUATION, 0, 1, b"") * 9,
            Code.ENHANCE_YOUR_CALM,
        ),
    ],
)
def test_what_breaks_the_connections_rules_ends_it(said: bytes, code: Code) -> None:
    client = RawClient(Talk(OK))
    client.hear()
    assert code_of(client.say(said)) == ("connection", code)
    assert client.transport.closed


@pytest.mark.parametrize(
    "more",
    [
        (b"Upper", b"x"),
        (b"connection", b"close"),
        (b"transfer-encoding", b"chunked"),
        (b"keep-alive", b"1"),
        (b"te", b"gzip"),
        (b"a b", b"x"),
        (b"a:b", b"x"),
        (b"a", b" x"),
        (b"a", b"x\t"),
        (b"a", b"x\0"),
        (b":path", b"/y"),
        (b":status", b"200"),
        (b"content-length", b"3"),
        (b"content-length", b"two"),
        (b"content-length", b"-2"),
        (b"x", b"x" * 8_000),
    ],
)
def test_a_malformed_request_is_reset_and_the_connection_goes_on(more: tuple[bytes, bytes]) -> None:
    talk = Talk(OK)
    client = RawClient(talk)
    client.hear()
    heard = client.say(client.headers(1, more), frame(DATA, END_STREAM, 1, b"{}"))
    assert code_of(heard) == ("stream", Code.PROTOCOL_ERROR)
    assert answered(client.say(client.request(3))) == [3]
    assert len(talk.requests) == 1


def test_what_is_well_formed_is_taken() -> None:
    client = RawClient(Talk(OK))
    more = [(b"content-length", b"2"), (b"te", b"trailers"), (b"a", b""), (b"a-b_c", b"\x01 x")]
    said = client.headers(1, *more), frame(DATA, END_STREAM | PADDED, 1, b"\x03{}" + bytes(3))
    assert answered(client.say(*said)) == [1]


def test_a_block_may_come_in_pieces_with_padding_and_priority() -> None:
    client = RawClient(Talk(OK))
    block = client.block()
    said = (
        frame(HEADERS, END_STREAM | PADDED | 0x20, 1, b"\x02" + bytes(5) + block[:3] + bytes(2)),
        frame(CONTINUATION, 0, 1, block[3:5]),
        frame(CONTINUATION, END_HEADERS, 1, block[5:]),
    )
    assert answered(client.say(*said)) == [1]


def test_stream_ids_only_grow() -> None:
    client = RawClient(Talk(OK))
    client.say(client.request(5))
    assert code_of(client.say(client.request(3))) == ("connection", Code.PROTOCOL_ERROR)


def test_a_stream_that_was_answered_is_closed() -> None:
    client = RawClient(Talk(OK))
    client.say(client.request(1))
    assert code_of(client.say(client.request(1))) == ("connection", Code.STREAM_CLOSED)


@pytest.mark.parametrize("kind", [DATA, HEADERS])
def test_a_request_that_ended_takes_no_more(kind: int) -> None:
    client = RawClient(Talk(Answer(None)))
    client.say(client.request(1))
    more = frame(DATA, 0, 1, b"x") if kind == DATA else client.headers(1)
    assert code_of(client.say(more)) == ("stream", Code.STREAM_CLOSED)


def test_trailers_end_a_request_and_hold_no_pseudo_fields() -> None:
    client = RawClient(Talk(OK))
    good = client.encoder.encode([(b"a", b"b")])
    said = client.headers(1), frame(HEADERS, END_HEADERS | END_STREAM, 1, good)
    assert answered(client.say(*said)) == [1]
    for stream_id, flags, pairs in (
        (3, END_HEADERS, [(b"a", b"b")]),
        (5, END_HEADERS | END_STREAM, [(b":path", b"/")]),
    ):
        trailers = frame(HEADERS, flags, stream_id, client.encoder.encode(pairs))
        heard = client.say(client.headers(stream_id), trailers)
        assert code_of(heard) == ("stream", Code.PROTOCOL_ERROR)


def test_data_on_a_stream_that_was_refused_is_passed_over() -> None:
    client = RawClient(Talk(Answer(None), stream_limit=1))
    client.say(client.request(1))
    assert code_of(client.say(client.request(3))) == ("stream", Code.REFUSED_STREAM)
    assert client.say(frame(DATA, END_STREAM, 3, b"x")) == []
    assert not client.transport.closed


def test_the_connections_window_is_enforced_and_given_back() -> None:
    client = RawClient(Talk(OK))
    client.hear()
    client.say(client.headers(1))
    chunk = bytes(16_384)
    heard = client.say(frame(DATA, 0, 1, chunk), frame(DATA, 0, 1, chunk))
    given = {i: int.from_bytes(p) for kind, _, i, p in heard if kind == WINDOW_UPDATE}
    assert given == {0: 32_768, 1: 32_768}


def test_a_client_beyond_the_connections_window_is_sent_away() -> None:
    client = RawClient(Talk(OK))
    said = [client.headers(1), client.headers(3), *[frame(DATA, 0, 1, bytes(16_384))] * 3]
    heard = client.say(*said, *[frame(DATA, 0, 3, bytes(16_384))] * 2)
    assert code_of(heard) == ("connection", Code.FLOW_CONTROL_ERROR)


def test_a_smaller_stream_window_binds_once_it_is_acknowledged() -> None:
    shrink = Answer(Reply(200), settings={Setting.INITIAL_WINDOW_SIZE: 5})
    client = RawClient(Talk(shrink, OK))
    client.say(ACKNOWLEDGED)  # of the SETTINGS at the beginning
    heard = client.say(client.request(1))
    assert settings_in(heard) == [bytes.fromhex("0004 00000005")]
    assert answered(client.say(client.request(3, b"123456"))) == [3]
    heard = client.say(ACKNOWLEDGED, client.request(5, b"123456"))
    assert code_of(heard) == ("stream", Code.FLOW_CONTROL_ERROR)
    assert answered(client.say(client.request(7, b"12345"))) == [7]


def test_a_smaller_window_binds_streams_that_are_open() -> None:
    shrink = Answer(Reply(200), settings={Setting.INITIAL_WINDOW_SIZE: 5})
    client = RawClient(Talk(shrink))
    client.say(ACKNOWLEDGED, client.headers(1), frame(DATA, 0, 1, b"12"), client.request(3))
    heard = client.say(ACKNOWLEDGED, frame(DATA, 0, 1, b"3456"))
    assert code_of(heard) == ("stream", Code.FLOW_CONTROL_ERROR)


def test_a_smaller_frame_size_binds_once_it_is_acknowledged() -> None:
    sizes = [
        Answer(Reply(200), settings={Setting.MAX_FRAME_SIZE: size}) for size in (20_000, 17_000)
    ]
    client = RawClient(Talk(*sizes, OK))
    client.say(ACKNOWLEDGED, client.request(1), client.request(3))
    client.say(ACKNOWLEDGED)
    assert answered(client.say(client.request(5, bytes(20_000)))) == [5]
    heard = client.say(ACKNOWLEDGED, client.request(7, bytes(17_001)))
    assert code_of(heard) == ("connection", Code.FRAME_SIZE_ERROR)


def test_a_larger_frame_may_come_once_it_is_announced() -> None:
    grow = Answer(Reply(200), settings={Setting.MAX_FRAME_SIZE: 20_000})
    client = RawClient(Talk(grow, OK))
    client.say(client.request(1))
    assert answered(client.say(client.request(3, bytes(20_000)))) == [3]


def test_window_updates_of_streams_are_checked() -> None:
    client = RawClient(Talk(Answer(None)))
    client.say(client.request(1), client.request(3))
    assert code_of(client.say(window_frame(1, 0))) == ("stream", Code.PROTOCOL_ERROR)
    heard = client.say(window_frame(3, TOO_LARGE))
    assert code_of(heard) == ("stream", Code.FLOW_CONTROL_ERROR)
    assert client.say(window_frame(1, 1)) == []  # closed: it may have been on its way


def test_an_initial_window_that_overflows_a_stream_ends_the_connection() -> None:
    client = RawClient(Talk(Answer(None)))
    client.say(client.request(1), window_frame(1, 1_000))
    heard = client.say(settings_frame({Setting.INITIAL_WINDOW_SIZE: TOO_LARGE}))
    assert code_of(heard) == ("connection", Code.FLOW_CONTROL_ERROR)


def test_unknown_frames_settings_and_flags_are_passed_over() -> None:
    client = RawClient(Talk(OK))
    client.hear()
    said = frame(0xBA, 0xFF, 7, b"?"), settings_frame({0xBABA: 1}), frame(PING, 0xFE, 0, bytes(8))
    assert [kind for kind, *_ in client.say(*said)] == [SETTINGS, PING]
