"""How answers are laid out, what must not be sent, and what sends a client away."""

import asyncio

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.exceptions import ProtocolError

from nuncio_simulator.contract import Malformation
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
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Setting,
    frame,
    settings_frame,
    window_frame,
)
from nuncio_simulator.h2malformed import HARMLESS
from nuncio_simulator.h2server import H2Protocol, Limits, Profile
from nuncio_simulator.wire import Answer, Form, GoAway, Reply
from tests.unit.simulator.connections import MemoryTransport, Talk
from tests.unit.simulator.frames import RawClient, answered, settings_in

REPLY = Reply(200, ((b"a", b"b"),), b"0123456789")
OK = Answer(Reply(200))


def heard_in(form: Form, reply: Reply = REPLY) -> list[tuple[int, int, int, bytes]]:
    client = RawClient(Talk(Answer(reply, form=form)))
    client.hear()
    return client.say(client.request(1))


def test_a_103_comes_before_the_answer() -> None:
    client = RawClient(Talk(Answer(REPLY, form=Form(informational=True))))
    client.hear()
    first, second, data = client.say(client.request(1))
    statuses = [
        dict(client.decoder.decode(part[3], raw=True))[b":status"] for part in (first, second)
    ]
    assert statuses == [b"103", b"200"]
    assert (first[1], second[1], data[1]) == (END_HEADERS, END_HEADERS, END_STREAM)


def test_trailers_end_the_stream() -> None:
    headers, data, trailers = heard_in(Form(trailers=((b"t", b"1"),)))
    assert [part[0] for part in (headers, data, trailers)] == [HEADERS, DATA, HEADERS]
    assert (headers[1], data[1]) == (END_HEADERS, 0)
    assert (trailers[1], trailers[3]) == (END_HEADERS | END_STREAM, b"\x00\x01t\x011")


def test_padding_surrounds_fields_and_body() -> None:
    headers, data = heard_in(Form(padding=9))
    assert headers[1] == END_HEADERS | PADDED
    assert data[1] == END_STREAM | PADDED
    assert data[3] == b"\x09" + REPLY.body + bytes(9)
    assert headers[3].endswith(bytes(9))


def test_padding_counts_for_the_window() -> None:
    client = RawClient(Talk(Answer(REPLY, form=Form(padding=9))), None, {4: 15})
    client.hear()
    heard = client.say(client.request(1))
    assert heard[-1][3] == b"\x09" + REPLY.body[:5] + bytes(9)
    assert answered(heard) == []
    [(_, _, _, payload)] = client.say(window_frame(1, 11))
    assert payload == b"\x09" + REPLY.body[5:6] + bytes(9)


def test_all_bodies_share_the_connections_window() -> None:
    form = Form(padding=9)
    client = RawClient(Talk(Answer(Reply(200, (), bytes(30_000)), form=form)))
    heard = client.say(*(client.request(i) for i in (1, 3, 5)))
    assert answered(heard) == [1, 3]
    # Each frame has 10 bytes of padding: two for each body that is through, one for the rest.
    sent = sum(len(payload) for kind, _, _, payload in heard if kind == DATA)
    assert sent == 65_535
    assert client.say(window_frame(5, 1_000)) == []
    assert answered(client.say(window_frame(0, 40_000))) == [5]


def test_a_split_answer_has_continuation_and_several_data_frames() -> None:
    heard = heard_in(Form(split=True))
    assert [kind for kind, *_ in heard] == [HEADERS, CONTINUATION, CONTINUATION, *[DATA] * 3]
    assert [flags for _, flags, *_ in heard] == [0, 0, END_HEADERS, 0, 0, END_STREAM]
    assert b"".join(payload for kind, _, _, payload in heard if kind == DATA) == REPLY.body


def test_a_split_refusal_without_a_body_ends_with_its_fields() -> None:
    heard = heard_in(Form(split=True), Reply(200, ((b"a", b"bcdefgh"),)))
    assert [flags for _, flags, *_ in heard] == [END_STREAM, 0, END_HEADERS]


def test_a_stalling_answer_stops_half_way() -> None:
    client = RawClient(Talk(Answer(REPLY, form=Form(stall=True)), OK))
    client.hear()
    heard = client.say(client.request(1))
    assert heard[-1][3] == b"01234"
    assert answered(heard) == []
    assert answered(client.say(client.request(3))) == [3]


def test_a_large_body_comes_in_the_clients_frame_size() -> None:
    reply = Reply(200, (), bytes(40_000))
    client = RawClient(Talk(Answer(reply)), None, {5: 20_000})
    heard = client.say(client.request(1))
    assert [len(payload) for kind, _, _, payload in heard if kind == DATA] == [20_000, 20_000]
    assert answered(heard) == [1]


def test_a_field_block_beyond_the_frame_size_is_continued() -> None:
    heard = heard_in(Form(), Reply(200, ((b"a", b"x" * 20_000),)))
    assert [kind for kind, *_ in heard] == [HEADERS, CONTINUATION]
    assert answered(heard) == [1]


@pytest.mark.parametrize("kind", sorted(set(Malformation) - HARMLESS))
def test_a_strict_client_refuses_what_is_malformed(kind: Malformation) -> None:
    """hyper-h2 is the strict client; a stream that was never opened it only resets."""
    server = H2Protocol(Talk(Answer(None, malformed=kind)), Profile(), set())
    transport = MemoryTransport()
    client = H2Connection(H2Configuration(header_encoding=None))
    client.initiate_connection()
    client.update_settings({2: 0})
    server.connection_made(transport)
    headers = [(":method", "POST"), (":scheme", "https"), (":path", "/"), (":authority", "x")]
    client.send_headers(1, headers, end_stream=True)
    server.data_received(client.data_to_send())
    with pytest.raises(ProtocolError):
        client.receive_data(bytes(transport.out))


@pytest.mark.parametrize("kind", sorted(HARMLESS))
def test_what_a_client_has_to_pass_over_precedes_the_answer(kind: Malformation) -> None:
    client = RawClient(Talk(Answer(Reply(200), malformed=kind)))
    client.hear()
    first, *rest = client.say(client.request(1))
    assert first[0] in {0xBA, SETTINGS}
    assert answered(rest) == [1]


def test_changed_settings_precede_the_answer() -> None:
    changed: dict[int, int] = {Setting.INITIAL_WINDOW_SIZE: 7, Setting.MAX_FRAME_SIZE: 16_500}
    client = RawClient(Talk(Answer(Reply(200), settings=changed)))
    client.hear()
    heard = client.say(client.request(1))
    assert [kind for kind, *_ in heard] == [SETTINGS, HEADERS]
    assert settings_in(heard) == [bytes.fromhex("0004 00000007 0005 00004074")]


def test_a_ping_is_answered_unless_the_conversation_is_silent() -> None:
    talk = Talk(OK)
    client = RawClient(talk)
    client.hear()
    ping = frame(PING, 0, 0, b"12345678")
    assert client.say(ping) == [(PING, ACK, 0, b"12345678")]
    talk.pings = False
    assert client.say(ping) == []
    talk.pings = True
    assert client.say(frame(PING, ACK, 0, b"12345678")) == []


def test_too_many_pings_without_a_request_end_the_connection() -> None:
    client = RawClient(Talk(OK), Profile(limits=Limits(pings=3)))
    ping = frame(PING, 0, 0, bytes(8))
    client.hear()
    for stream_id in (1, 3):
        assert len(client.say(ping, ping)) == 2
        client.say(client.request(stream_id))
    assert [kind for kind, *_ in client.say(ping, ping)] == [PING, PING]
    *_, goaway = client.say(ping)
    assert goaway[3] == bytes.fromhex("00000003 0000000b") + b"too_many_pings"
    assert client.transport.closed


async def closed_with(limits: Limits) -> bytes:
    """The debug data with which time ends a connection."""
    client = RawClient(Talk(OK), Profile(limits=limits))
    client.hear()
    client.transport.written.clear()
    async with asyncio.timeout(5):
        await client.transport.written.wait()
    [(kind, _, _, payload)] = client.hear()
    assert kind == GOAWAY
    assert client.transport.closed
    client.server.connection_lost(None)
    return payload[8:]


async def test_time_ends_a_connection_by_age_or_for_idleness() -> None:
    assert await closed_with(Limits(max_age=0.01)) == b"max_age"
    assert await closed_with(Limits(idle=0.01)) == b"session_timeout"


async def test_a_request_puts_idleness_off() -> None:
    client = RawClient(Talk(OK), Profile(limits=Limits(idle=0.5)))
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0.1)
    asked = loop.time()
    client.say(client.request(1))
    client.transport.written.clear()
    async with asyncio.timeout(5):
        await client.transport.written.wait()
    assert loop.time() - asked >= 0.49
    client.server.connection_lost(None)


def test_goaway_leaves_what_is_above_it_unprocessed() -> None:
    """Streams 3 and 5 hang; the GOAWAY on 7 says that only 1 was looked at."""
    hang = Answer(None)
    client = RawClient(Talk(OK, hang, hang, Answer(None, goaway=GoAway())))
    client.hear()
    heard = client.say(*(client.request(i) for i in (1, 3, 5, 7, 9)))
    assert answered(heard) == [1]
    [goaway] = [payload for kind, _, _, payload in heard if kind == GOAWAY]
    assert goaway == bytes.fromhex("00000001 00000000")
    assert client.transport.closed


def test_answers_of_one_read_leave_in_one_write() -> None:
    client = RawClient(Talk(OK))
    before = client.transport.writes
    heard = client.say(*(client.request(i) for i in range(1, 101, 2)))
    assert len(answered(heard)) == 50
    assert client.transport.writes == before + 1


def test_a_slow_reader_is_read_no_more() -> None:
    class Transport(MemoryTransport):
        reading = True

        def pause_reading(self) -> None:
            self.reading = False

        def resume_reading(self) -> None:
            self.reading = True

    server, transport = H2Protocol(Talk(OK), Profile(), set()), Transport()
    server.connection_made(transport)
    server.pause_writing()
    assert not transport.reading
    server.resume_writing()
    assert transport.reading


def test_a_cut_connection_hears_nothing_more() -> None:
    talk = Talk(Answer(None, disconnect=True), OK)
    client = RawClient(talk)
    client.hear()
    assert client.say(client.request(1), client.request(3)) == []
    assert len(talk.requests) == 1


def test_the_table_size_is_told_after_our_acknowledgement() -> None:
    server = H2Protocol(Talk(OK), Profile(), set())
    transport = MemoryTransport()
    server.connection_made(transport)
    transport.out.clear()
    block = bytes.fromhex("83 87 84 41 01 78")
    server.data_received(
        PREFACE
        + settings_frame({Setting.HEADER_TABLE_SIZE: 0})
        + frame(HEADERS, END_HEADERS | END_STREAM, 1, block)
        + frame(HEADERS, END_HEADERS | END_STREAM, 3, block)
    )
    ends = END_HEADERS | END_STREAM
    assert bytes(transport.out) == (
        frame(SETTINGS, ACK, 0, b"")
        + frame(HEADERS, ends, 1, b"\x20\x88")
        + frame(HEADERS, ends, 3, b"\x88")
    )


def test_a_reset_stream_frees_its_place() -> None:
    client = RawClient(Talk(Answer(None), OK, stream_limit=1))
    client.say(client.request(1))
    client.say(frame(RST_STREAM, 0, 1, bytes(4)))
    assert answered(client.say(client.request(3))) == [3]
    assert not [kind for kind, *_ in client.hear() if kind == WINDOW_UPDATE]
