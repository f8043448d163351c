"""A server on hyper-h2, which is strict and not nuncio's: it does what a test tells it."""

import asyncio
import ssl
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from typing import cast

from h2.config import H2Configuration
from h2.connection import ConnectionState, H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    DataReceived,
    Event,
    PingReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
)
from h2.settings import SettingCodes

from nuncio_dispatcher.http2.exchange import Origin

WIDE = 2**31 - 1


class Request:
    """A request that was read to its end, or so far."""

    def __init__(self, talk: "Talk", stream: int, fields: dict[str, str]) -> None:
        self.talk = talk
        self.stream = stream
        self.fields = fields
        self.body = b""

    @property
    def path(self) -> str:
        return self.fields[":path"]

    def answer(self, status: int = 200, body: bytes = b"") -> None:
        """Answer it, in one go."""
        self.talk.h2.send_headers(self.stream, [(":status", str(status))], end_stream=not body)
        if body:
            self.talk.h2.send_data(self.stream, body, end_stream=True)
        self.talk.flush()

    def refuse(self, code: ErrorCodes = ErrorCodes.REFUSED_STREAM) -> None:
        """Reset it."""
        self.talk.h2.reset_stream(self.stream, code)
        self.talk.flush()


class Server:
    """What a server does by default, and what it has seen.

    answers: called with each request; default: 200 at once. greets: whether it sends SETTINGS.
    on_start: called with each new connection, after its SETTINGS.
    """

    def __init__(self) -> None:
        self.origin = Origin("127.0.0.1", 0)
        self.answers: Callable[[Request], None] = Request.answer
        self.on_start: Callable[[Talk], None] = lambda _: None
        self.settings: Mapping[int, int] = {}
        self.greets = True
        self.answers_pings = True
        self.talks: list[Talk] = []
        self.started: asyncio.Queue[Talk] = asyncio.Queue()
        self.requests: asyncio.Queue[Request] = asyncio.Queue()
        self.resets: asyncio.Queue[tuple[int, int]] = asyncio.Queue()
        self.pings: asyncio.Queue[Talk] = asyncio.Queue()

    def holds(self) -> None:
        """Let requests wait until the test answers them: see `requests`."""
        self.answers = self.requests.put_nowait


class Talk(asyncio.Protocol):
    """One connection of a client."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.h2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.gone = asyncio.Event()
        self.is_full = asyncio.Event()
        self._read: dict[int, Request] = {}
        self._socket: asyncio.Transport | None = None

    @property
    def socket(self) -> asyncio.Transport:
        assert self._socket is not None
        return self._socket

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._socket = cast("asyncio.Transport", transport)
        self.server.talks.append(self)
        if self.server.greets:
            self.h2.local_settings = type(self.h2.local_settings)(
                client=False, initial_values={SettingCodes(3): 100, **self._settings()}
            )
            self.h2.initiate_connection()
            self.h2.increment_flow_control_window(WIDE - 65_535)
            self.flush()
            self.server.on_start(self)
        self.server.started.put_nowait(self)

    def _settings(self) -> dict[SettingCodes, int]:
        return {SettingCodes(name): value for name, value in self.server.settings.items()}

    def data_received(self, data: bytes) -> None:
        if self.server.greets:
            for event in self.h2.receive_data(data):
                self._take(event)
            self.flush()

    def pause_writing(self) -> None:
        self.is_full.set()

    def connection_lost(self, exc: Exception | None) -> None:
        del exc
        self.gone.set()

    def flush(self) -> None:
        """Send what there is to send."""
        out = self.h2.data_to_send()
        if out and not self.socket.is_closing():
            self.socket.write(out)

    def goaway(self, last_stream: int | None = None) -> None:
        """Say goodbye."""
        self.h2.close_connection(last_stream_id=last_stream)
        self.h2.state_machine.state = ConnectionState.CLIENT_OPEN  # hyper-h2 would end at once
        self.flush()

    def set(self, settings: Mapping[int, int]) -> None:
        """New SETTINGS."""
        self.h2.update_settings({SettingCodes(name): value for name, value in settings.items()})
        self.flush()

    def _take(self, event: Event) -> None:
        if isinstance(event, RequestReceived):
            fields = cast("list[tuple[str, str]]", event.headers)
            self._read[event.stream_id] = Request(self, event.stream_id, dict(fields))
        elif isinstance(event, DataReceived):
            self._read[event.stream_id].body += event.data
            self.h2.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
        elif isinstance(event, StreamEnded):
            self.server.answers(self._read.pop(event.stream_id))
        elif isinstance(event, StreamReset):
            self.server.resets.put_nowait((event.stream_id, int(event.error_code)))
        elif isinstance(event, PingReceived):
            if not self.server.answers_pings:
                self.h2.clear_outbound_data_buffer()
            self.server.pings.put_nowait(self)


@asynccontextmanager
async def serving(tls: ssl.SSLContext | None, *, host: str = "127.0.0.1") -> AsyncIterator[Server]:
    """A server on a free port. tls: None for none."""
    server = Server()
    loop = asyncio.get_running_loop()
    listening = await loop.create_server(lambda: Talk(server), host, 0, ssl=tls)
    async with listening:
        server.origin = Origin(host, listening.sockets[0].getsockname()[1])
        yield server
        for talk in server.talks:
            if talk._socket is not None:
                talk._socket.abort()
        await asyncio.gather(*(talk.gone.wait() for talk in server.talks))
