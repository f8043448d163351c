"""Clients that ask whether the server is alive, seen by an HTTP/2 stack that is not gRPC's."""

import asyncio
from collections.abc import AsyncIterator

from h2.connection import H2Connection
from h2.events import ConnectionTerminated, Event, PingAckReceived

from nuncio_runtime.clock import SYSTEM_CLOCK
from tests.integration.runtime.echo import Echo, mount
from tests.integration.runtime.running import running

# gRPC ends a connection after a few pings that come too soon.
PINGS = 6
INTERVAL = 1.1


class Idle:
    """A connection without calls."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer
        self._http = H2Connection()
        self._http.initiate_connection()

    async def ping(self, number: int) -> Event:
        """Ask once; gives the answer, or the end of the connection."""
        self._http.ping(number.to_bytes(8))
        self._writer.write(self._http.data_to_send())
        async for event in self._events():
            if isinstance(event, PingAckReceived | ConnectionTerminated):
                return event
        raise ConnectionResetError

    async def _events(self) -> AsyncIterator[Event]:
        while data := await self._reader.read(65_536):
            for event in self._http.receive_data(data):
                yield event


async def test_an_idle_client_may_ask_every_second_whether_the_server_is_alive() -> None:
    async with running([mount(Echo())]) as address:
        host, port = address.split(":")
        reader, writer = await asyncio.open_connection(host, int(port))
        client = Idle(reader, writer)
        for number in range(PINGS):
            answer = await client.ping(number)
            assert isinstance(answer, PingAckReceived), answer
            await SYSTEM_CLOCK.sleep(INTERVAL)
        writer.close()
        await writer.wait_closed()
