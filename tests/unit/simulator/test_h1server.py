"""An HTTP/1.1 connection, byte for byte."""

import asyncio

import pytest

from nuncio_simulator.contract import Malformation
from nuncio_simulator.h1server import H1Protocol
from nuncio_simulator.wire import Answer, Form, Reply
from tests.unit.simulator.connections import MemoryTransport, Talk

POST = b"POST /x HTTP/1.1\r\nhost: x\r\ncontent-length: 2\r\n\r\n{}"


class Server:
    """A connection, and what it writes."""

    def __init__(self, *answers: Answer, body_limit: int = 100) -> None:
        self.talk = Talk(*answers)
        self.transport = MemoryTransport()
        self.protocol = H1Protocol(self.talk, set(), body_limit=body_limit)
        self.protocol.connection_made(self.transport)

    def read(self, data: bytes) -> bytes:
        """What it writes after these bytes."""
        self.transport.out.clear()
        self.protocol.data_received(data)
        return bytes(self.transport.out)


def test_requests_are_answered_one_after_another() -> None:
    server = Server(Answer(Reply(200, (), b"a")))
    assert server.read(POST * 2) == b"HTTP/1.1 200 \r\ncontent-length: 1\r\n\r\na" * 2
    assert [request.body for request in server.talk.requests] == [b"{}"] * 2


@pytest.mark.parametrize(
    ("method", "status"), [(b"HEAD", 200), (b"HEAD", 404), (b"GET", 204), (b"GET", 304)]
)
def test_what_takes_no_body_is_answered_without_one(method: bytes, status: int) -> None:
    server = Server(Answer(Reply(status, (), b"body")))
    written = server.read(method + b" / HTTP/1.1\r\nhost: x\r\n\r\n")
    assert written.startswith(b"HTTP/1.1 %d" % status)
    assert written.endswith(b"\r\n\r\n")
    assert not server.transport.closed


@pytest.mark.parametrize(
    "malformed",
    [
        b"\0\0\r\n\r\n",
        b"POST / HTTP/1.1\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: x\r\n\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\nx\r\n",
    ],
)
def test_a_malformed_request_is_told_so(malformed: bytes) -> None:
    server = Server(Answer(Reply(200)))
    assert server.read(malformed).startswith(b"HTTP/1.1 400 ")
    assert server.transport.closed
    assert server.talk.requests == []


async def test_a_malformed_request_behind_a_delayed_answer_is_told_so() -> None:
    server = Server(Answer(Reply(200), delay=0.01))
    assert server.read(POST + b"\0\r\n\r\n") == b""
    await asyncio.wait_for(server.transport.written.wait(), 5)
    first, _, second = bytes(server.transport.out).partition(b"\r\n\r\n")
    assert first.startswith(b"HTTP/1.1 200 ")
    assert second.startswith(b"HTTP/1.1 400 ")
    assert server.transport.closed


def test_a_body_is_kept_up_to_the_limit() -> None:
    server = Server(Answer(Reply(200)), body_limit=1)
    server.read(POST)
    assert server.talk.requests[0].body == b"{"


def test_a_103_comes_before_the_answer() -> None:
    server = Server(Answer(Reply(200, (), b"a"), form=Form(informational=True)))
    written = server.read(POST)
    assert written.startswith(b"HTTP/1.1 103 \r\n\r\nHTTP/1.1 200 ")


def test_a_stalling_answer_stops_half_way() -> None:
    server = Server(Answer(Reply(200, (), b"0123"), form=Form(stall=True)))
    assert server.read(POST).endswith(b"content-length: 4\r\n\r\n01")
    assert not server.transport.closed


def test_what_is_malformed_cuts_the_connection() -> None:
    server = Server(Answer(None, malformed=Malformation.BAD_FRAME_SIZE))
    assert server.read(POST) == b""
    assert server.transport.closed
