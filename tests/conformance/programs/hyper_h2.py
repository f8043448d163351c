"""A server on hyper-h2 that forgives nothing: what its validation refuses is kept as a fault.

Usage: hyper_h2.py CERTIFICATE KEY. Prints its port. GET /books/<beginning of ids> tells what came.
"""

import asyncio
import hashlib
import json
import ssl
import sys
from collections import defaultdict
from collections.abc import Iterator
from itertools import cycle
from typing import Any

from h2.config import H2Configuration
from h2.connection import H2Connection
from h2.errors import ErrorCodes
from h2.events import (
    ConnectionTerminated,
    DataReceived,
    Event,
    PingAckReceived,
    RequestReceived,
    StreamEnded,
    StreamReset,
    WindowUpdated,
)
from h2.exceptions import ProtocolError
from h2.settings import SettingCodes
from hyperframe.frame import GoAwayFrame

Fields = list[tuple[str, str]]

RECEIVED: dict[str, list[str]] = defaultdict(list)
FAULTS: list[str] = []
SEEN: set[str] = set()
CHANGES: Iterator[dict[SettingCodes | int, int]] = cycle(
    [
        {SettingCodes.MAX_CONCURRENT_STREAMS: 3},
        {SettingCodes.INITIAL_WINDOW_SIZE: 1_000},
        {SettingCodes.HEADER_TABLE_SIZE: 0},
        {
            SettingCodes.MAX_CONCURRENT_STREAMS: 100,
            SettingCodes.INITIAL_WINDOW_SIZE: 100_000,
            SettingCodes.HEADER_TABLE_SIZE: 4_096,
            SettingCodes.MAX_FRAME_SIZE: 32_768,
        },
    ]
)


class Server(asyncio.Protocol):
    """One connection."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.http2 = H2Connection(H2Configuration(client_side=False, header_encoding="utf-8"))
        self.asked: dict[int, dict[str, str]] = {}
        self.bodies: dict[int, bytearray] = {}
        self.unsent: dict[int, tuple[bytes, Fields]] = {}
        self.awaiting_ping: dict[bytes, int] = {}
        self.last_stream: int | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.http2.initiate_connection()
        self.flush()

    def data_received(self, data: bytes) -> None:
        try:
            for event in self.http2.receive_data(data):
                self.react(event)
        except ProtocolError as error:
            FAULTS.append(f"{type(error).__name__}: {error}")
            self.flush()
            self.transport.close()
        self.flush()

    def flush(self) -> None:
        if not self.transport.is_closing():
            self.transport.write(self.http2.data_to_send())

    def react(self, event: Event) -> None:
        match event:
            case RequestReceived(stream_id=int(stream), headers=headers) if headers:
                self.asked[stream] = {str(name): str(value) for name, value in headers}
                self.bodies[stream] = bytearray()
            case DataReceived(stream_id=int(stream), data=bytes(data)):
                self.http2.acknowledge_received_data(event.flow_controlled_length or 0, stream)
                self.bodies[stream] += data
            case StreamEnded(stream_id=int(stream)):
                self.request(stream)
            case StreamReset(stream_id=int(stream)):
                self.unsent.pop(stream, None)
            case PingAckReceived(ping_data=bytes(opaque)):
                self.respond(self.awaiting_ping.pop(opaque), 200)
            case WindowUpdated():
                self.send_bodies()
            case ConnectionTerminated(error_code=code) if code:
                FAULTS.append(f"the client said GOAWAY, {code}")

    def request(self, stream: int) -> None:
        """Do what the path says: /<action>/<argument>/<id>."""
        if self.last_stream is not None and stream > self.last_stream:
            return  # promised by GOAWAY not to be looked at
        asked, body = self.asked.pop(stream), bytes(self.bodies.pop(stream))
        _, action, argument, *_ = asked[":path"].split("/")
        if action == "books":
            self.respond(stream, 200, json.dumps(books(argument)).encode())
            return
        name = asked["apns-id"]
        if action == "refuse" and name not in SEEN:
            SEEN.add(name)
            self.http2.reset_stream(stream, ErrorCodes.REFUSED_STREAM)
            return
        RECEIVED[name].append(hashlib.sha256(body).hexdigest())
        self.obey(stream, action, argument, asked)

    def obey(self, stream: int, action: str, argument: str, asked: dict[str, str]) -> None:
        match action:
            case "cut":
                self.transport.abort()
            case "reset":
                self.http2.reset_stream(stream, ErrorCodes.INTERNAL_ERROR)
            case "ping":
                opaque = stream.to_bytes(8, "big")
                self.awaiting_ping[opaque] = stream
                self.http2.ping(opaque)
            case "hints":
                self.http2.send_headers(stream, [(":status", "103"), ("link", "</style.css>")])
                self.respond(stream, 200)
            case "trailers":
                self.respond(stream, 200, b"body", trailers=[("x-checksum", "17")])
            case "fields":
                self.respond(
                    stream, 400, echo(asked), fields=[(f"x-{n}", "v" * n) for n in range(1, 81)]
                )
            case "status":
                self.respond(stream, int(argument), f'{{"reason":"R{argument}"}}'.encode())
            case "answer" | "failure":
                self.respond(stream, 200 if action == "answer" else 500, b"a" * int(argument))
            case "settings":
                self.http2.update_settings(next(CHANGES))
                self.respond(stream, 200)
            case "goaway":
                self.go_away(stream)
                self.respond(stream, 200)  # after it, as it may be for all that it promises
            case _:
                self.respond(stream, 200)

    def respond(
        self,
        stream: int,
        status: int,
        body: bytes = b"",
        *,
        fields: Fields | None = None,
        trailers: Fields | None = None,
    ) -> None:
        headers = [(":status", str(status)), *(fields or [])]
        self.http2.send_headers(stream, headers, end_stream=not body)
        if body:
            self.unsent[stream] = body, trailers or []
            self.send_bodies()

    def send_bodies(self) -> None:
        """As far as the client's windows let."""
        for stream, (body, trailers) in list(self.unsent.items()):
            while body:
                room = self.http2.local_flow_control_window(stream)
                piece = body[: min(room, self.http2.max_outbound_frame_size)]
                if not piece:
                    break
                body = body[len(piece) :]
                self.http2.send_data(stream, piece, end_stream=not body and not trailers)
            self.unsent[stream] = body, trailers
            if not body:
                del self.unsent[stream]
                if trailers:
                    self.http2.send_headers(stream, trailers, end_stream=True)

    def go_away(self, last_stream: int) -> None:
        """Past h2, which would take the connection for closed although answers are still due."""
        self.last_stream = last_stream
        self.flush()
        self.transport.write(GoAwayFrame(0, last_stream_id=last_stream).serialize())


def echo(asked: dict[str, str]) -> bytes:
    """The fields of a request, for the client to compare."""
    return json.dumps({k: v for k, v in asked.items() if k.startswith("x-")}).encode()


def books(beginning: str) -> dict[str, Any]:
    """What came: for each id that begins so, the digests of its bodies."""
    received = {name: found for name, found in RECEIVED.items() if name.startswith(beginning)}
    return {"received": received, "faults": FAULTS}


async def main(certificate: str, key: str) -> None:
    """Serve until terminated."""
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(certificate, key)
    tls.set_alpn_protocols(["h2"])
    server = await asyncio.get_running_loop().create_server(Server, "127.0.0.1", 0, ssl=tls)
    print(server.sockets[0].getsockname()[1], flush=True)  # noqa: T201  # for who started it
    await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
