"""An HTTP/2 connection, byte for byte, against hyper-h2 as the client."""

import asyncio

import pytest
from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    RemoteSettingsChanged,
    ResponseReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes

from nuncio_simulator.h2headers import is_well_formed
from nuncio_simulator.h2server import H2Protocol, Profile
from nuncio_simulator.wire import Answer, Connection, GoAway, Reply
from tests.unit.simulator.connections import MemoryTransport, Talk

HEADERS = [
    (b":method", b"POST"),
    (b":scheme", b"https"),
    (b":path", b"/x"),
    (b":authority", b"localhost"),
]
OK = Answer(Reply(200))


class Client:
    """A client, and the connection it speaks to."""

    def __init__(self, talk: Talk, profile: Profile | None = None, *, hasty: bool = False) -> None:
        """hasty: sends requests before it has read the server's SETTINGS."""
        self.transport = MemoryTransport()
        self.live: set[Connection] = set()
        self.server = H2Protocol(talk, profile or Profile(), self.live)
        config = H2Configuration(
            header_encoding=None, validate_outbound_headers=False, normalize_outbound_headers=False
        )
        self.h2 = H2Connection(config=config)
        self.server.connection_made(self.transport)
        self.h2.initiate_connection()
        if not hasty:
            self.exchange()

    def exchange(self) -> list[Event]:
        """Carry bytes to and fro once; what the client then sees."""
        self.server.data_received(self.h2.data_to_send())
        seen = self.h2.receive_data(bytes(self.transport.out))
        self.transport.out.clear()
        return seen

    def open(self, stream_id: int, body: bytes = b"{}", *, method: bytes = b"POST") -> None:
        self.h2.send_headers(stream_id, [(b":method", method), *HEADERS[1:]])
        self.h2.send_data(stream_id, body, end_stream=True)


def kinds(events: list[Event], kind: type[Event]) -> list[int | None]:
    return [getattr(event, "stream_id", None) for event in events if isinstance(event, kind)]


def test_a_request_is_handed_on_whole_and_answered() -> None:
    talk = Talk(Answer(Reply(200, ((b"x-a", b"1"),), b"body")))
    client = Client(talk)
    client.open(1, b"0123")
    events = client.exchange()
    [request] = talk.requests
    assert (request.method, request.path, request.body) == (b"POST", b"/x", b"0123")
    assert request.repeated is False
    [response] = [event for event in events if isinstance(event, ResponseReceived)]
    assert dict(response.headers) == {b":status": b"200", b"x-a": b"1"}
    assert kinds(events, DataReceived) == [1]
    assert kinds(events, StreamEnded) == [1]


def test_a_repeated_header_is_noticed() -> None:
    talk = Talk(OK)
    client = Client(talk)
    client.h2.send_headers(1, [*HEADERS, (b"a", b"1"), (b"a", b"2")], end_stream=True)
    client.exchange()
    assert talk.requests[0].repeated is True


def test_surplus_streams_are_refused_and_the_connection_lives() -> None:
    talk = Talk(OK, stream_limit=1)
    client = Client(talk, hasty=True)
    for stream_id in (1, 3):
        client.h2.send_headers(stream_id, HEADERS)
    client.h2.send_data(1, b"{}", end_stream=True)
    events = client.exchange()
    assert kinds(events, StreamReset) == [3]
    [reset] = [event for event in events if isinstance(event, StreamReset)]
    assert reset.error_code == 7
    assert kinds(events, StreamEnded) == [1]


def test_a_new_stream_limit_is_announced_with_the_answer() -> None:
    talk = Talk(OK, stream_limit=1)
    client = Client(talk)
    talk.stream_limit = 7
    client.open(1)
    [changed] = [e for e in client.exchange() if isinstance(e, RemoteSettingsChanged)]
    assert changed.changed_settings[SettingCodes.MAX_CONCURRENT_STREAMS].new_value == 7


def test_goaway_names_the_last_stream_and_the_rest_is_ignored() -> None:
    talk = Talk(OK, Answer(Reply(200), goaway=GoAway(debug=b"why")), OK)
    client = Client(talk)
    for stream_id in (1, 3, 5, 7):
        client.open(stream_id)
    events = client.exchange()
    assert kinds(events, StreamEnded) == [1, 3]
    [goaway] = [event for event in events if isinstance(event, ConnectionTerminated)]
    assert (goaway.last_stream_id, goaway.additional_data) == (3, b"why")
    assert client.transport.closed
    assert len(talk.requests) == 2


def test_goaway_lets_earlier_streams_end() -> None:
    talk = Talk(Answer(Reply(200), goaway=GoAway(last_stream_id=3)), OK)
    client = Client(talk)
    client.h2.send_headers(1, HEADERS)
    client.open(3)
    client.exchange()
    assert not client.transport.closed
    client.server.data_received(bytes.fromhex("000000 00 01 00000001"))  # DATA, END_STREAM
    assert client.transport.closed
    assert client.transport.out  # the answer to stream 1


def test_a_reset_and_a_cut_do_what_they_say() -> None:
    client = Client(Talk(Answer(None, reset=8), Answer(None, disconnect=True)))
    client.open(1)
    assert kinds(client.exchange(), StreamReset) == [1]
    client.open(3)
    client.exchange()
    assert client.transport.closed


def test_a_stream_without_an_answer_keeps_its_place() -> None:
    client = Client(Talk(Answer(None), OK, stream_limit=2))
    client.open(1)
    assert kinds(client.exchange(), StreamEnded) == []
    client.open(3)
    assert kinds(client.exchange(), StreamEnded) == [3]
    client.h2.reset_stream(1)
    client.exchange()
    for stream_id in (5, 7):
        client.open(stream_id)
    assert kinds(client.exchange(), StreamEnded) == [5, 7]


async def test_a_delayed_answer_comes_and_a_cancelled_one_does_not() -> None:
    client = Client(Talk(Answer(Reply(200), delay=0.01)))
    client.open(1)
    client.open(3)
    assert kinds(client.exchange(), StreamEnded) == []
    client.h2.reset_stream(3)
    client.exchange()
    client.transport.written.clear()
    await asyncio.wait_for(client.transport.written.wait(), 5)
    assert kinds(client.exchange(), StreamEnded) == [1]
    client.server.connection_lost(None)


def test_a_large_body_is_cut_short_but_read_to_its_end() -> None:
    talk = Talk(OK)
    client = Client(talk)
    client.h2.send_headers(1, HEADERS)
    left = 300_000
    while left:
        chunk = min(left, 16_384, client.h2.local_flow_control_window(1))
        assert chunk, "the server stopped reading"
        client.h2.send_data(1, b"x" * chunk, end_stream=chunk == left)
        left -= chunk
        client.exchange()
    assert 32_768 <= len(talk.requests[0].body) < 65_536


def test_a_body_waits_for_the_clients_window() -> None:
    client = Client(Talk(Answer(Reply(200, (), b"x" * 100))))
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 60})
    client.exchange()
    client.exchange()
    client.open(1)
    events = client.exchange()
    assert kinds(events, DataReceived) == [1]
    assert kinds(events, StreamEnded) == []
    client.h2.increment_flow_control_window(40, 1)
    assert kinds(client.exchange(), StreamEnded) == [1]


def test_a_body_waits_though_the_client_makes_its_window_smaller() -> None:
    client = Client(Talk(Answer(Reply(200, (), b"x" * 100))))
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 60})
    client.exchange()
    client.exchange()
    client.open(1)
    client.exchange()
    client.h2.update_settings({SettingCodes.INITIAL_WINDOW_SIZE: 30})
    client.exchange()
    client.exchange()
    client.h2.increment_flow_control_window(69, 1)
    assert kinds(client.exchange(), StreamEnded) == []
    client.h2.increment_flow_control_window(1, 1)
    assert kinds(client.exchange(), StreamEnded) == [1]


def test_head_is_answered_without_a_body() -> None:
    client = Client(Talk(Answer(Reply(404, (), b"x"))))
    client.open(1, method=b"HEAD")
    events = client.exchange()
    assert kinds(events, ResponseReceived) == kinds(events, StreamEnded) == [1]
    assert kinds(events, DataReceived) == []


def test_a_success_may_come_in_two_data_frames() -> None:
    client = Client(Talk(Answer(Reply(200, (), b"x"))), Profile(split_end=True))
    client.open(1)
    events = client.exchange()
    assert kinds(events, DataReceived) == [1, 1]
    assert kinds(events, StreamEnded) == [1]


def test_thousands_of_streams_leave_nothing_behind() -> None:
    client = Client(Talk(OK))
    for number in range(2_000):
        client.open(2 * number + 1)
        client.exchange()
    assert not client.server._reader.streams.open
    assert not client.server._writer._windows


def test_a_client_that_takes_a_stream_back_at_once_does_no_harm() -> None:
    client = Client(Talk(OK, stream_limit=1))
    client.open(1)
    client.h2.reset_stream(1)
    client.exchange()
    client.open(3)
    assert kinds(client.exchange(), StreamEnded) == [3]


def test_a_client_that_leaves_in_the_same_breath_is_answered_first() -> None:
    client = Client(Talk(OK))
    client.open(1)
    client.h2.close_connection()
    client.server.data_received(client.h2.data_to_send())  # hyper-h2 would hear no more of it
    assert bytes(client.transport.out) == bytes.fromhex("000001 01 05 00000001 88")
    assert client.transport.closed


def test_a_client_that_leaves_waits_for_its_open_streams() -> None:
    client = Client(Talk(Answer(None)))
    client.open(1)
    client.h2.close_connection()
    client.server.data_received(client.h2.data_to_send())
    assert not client.transport.closed
    client.server.data_received(bytes.fromhex("000004 03 00 00000001 00000008"))  # RST_STREAM
    assert client.transport.closed


def test_garbage_ends_the_connection_with_goaway() -> None:
    client = Client(Talk(OK))
    client.server.data_received(b"\0" * 100)
    events = client.h2.receive_data(bytes(client.transport.out))
    assert isinstance(events[-1], ConnectionTerminated)
    assert client.transport.closed


def test_a_malformed_request_is_reset() -> None:
    talk = Talk(OK)
    client = Client(talk)
    client.h2.send_headers(1, [*HEADERS, (b"connection", b"close")], end_stream=True)
    [reset] = [event for event in client.exchange() if isinstance(event, StreamReset)]
    assert (reset.stream_id, reset.error_code) == (1, 1)
    assert talk.requests == []


@pytest.mark.parametrize(
    "pairs",
    [
        HEADERS[1:],
        [*HEADERS, HEADERS[0]],
        [*HEADERS, (b":other", b"x")],
        [(b"a", b"1"), *HEADERS],
        [*HEADERS, (b"Upper", b"x")],
        [*HEADERS, (b"", b"x")],
        [*HEADERS, (b"a", b"x\r\ny: z")],
        [*HEADERS[:2], (b":path", b"")],
    ],
)
def test_header_lists_that_a_server_must_not_act_on(pairs: list[tuple[bytes, bytes]]) -> None:
    assert is_well_formed(HEADERS)
    assert not is_well_formed(pairs)


def test_live_connections_are_counted() -> None:
    client = Client(Talk(OK))
    assert client.live == {client.server}
    client.server.close()
    assert client.transport.closed
    client.server.connection_lost(None)
    assert client.live == set()
