"""The network below httpx: what httpcore needs so that one silent stream does not hold up others.

httpcore has one request read for all requests of an HTTP/2 connection; the others learn of their
answers when their turn to read comes. When that turn falls to a request that is never answered,
the answers already read lie there unseen until something else arrives. So when nothing has arrived
for a moment, the reader is given a frame of a type that does not exist. Peers ignore such frames
(RFC 9113, section 5.5), and the turn passes on.
"""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Final

import httpcore

from nuncio_dispatcher.http2.exchange import Origin

Vet = Callable[[Origin, Sequence[str]], Sequence[str]]
"""Which of an origin's addresses may be connected to."""

NUDGE_AFTER: Final = 0.1
"""Seconds of silence."""
NOTHING: Final = bytes([0, 0, 0, 0xBE, 0, 0, 0, 0, 0])
"""A frame of an unknown type, without payload, about the connection."""

_HEAD_SIZE: Final = 9
_HEADER_BLOCK_TYPES: Final = frozenset({0x1, 0x5, 0x9})  # HEADERS, PUSH_PROMISE, CONTINUATION
_END_HEADERS: Final = 0x4


class PrivateAddress(httpcore.ConnectError):
    """The host has no address that may be connected to."""


class FrameBoundaries:
    """Follows frames through what is read, to know where another one may be put in."""

    def __init__(self) -> None:
        self._head = b""
        self._payload_left = 0
        self._in_header_block = False

    @property
    def is_between(self) -> bool:
        """Whether the next byte starts a frame, and that frame may be of any type."""
        return not (self._head or self._payload_left or self._in_header_block)

    def feed(self, data: bytes) -> None:
        """Take note of bytes as they arrive, in pieces of any size."""
        at = 0
        while at < len(data):
            skipped = min(self._payload_left, len(data) - at)
            self._payload_left -= skipped
            at += skipped
            if self._payload_left == 0 and at < len(data):
                taken = data[at : at + _HEAD_SIZE - len(self._head)]
                self._head += taken
                at += len(taken)
                if len(self._head) == _HEAD_SIZE:
                    self._open_frame()

    def _open_frame(self) -> None:
        self._payload_left = int.from_bytes(self._head[:3], "big")
        if self._head[3] in _HEADER_BLOCK_TYPES:
            self._in_header_block = not self._head[4] & _END_HEADERS
        self._head = b""


class _Stream(httpcore.AsyncNetworkStream):
    """A connection; once TLS has chosen HTTP/2, one whose silence does not last.

    A read goes on when its caller is nudged or cancelled, and the next caller gets its data: a
    read that is cut off in the middle may break the TLS stream. Deadlines are the callers' own.
    """

    def __init__(self, stream: httpcore.AsyncNetworkStream) -> None:
        self._stream = stream
        tls = stream.get_extra_info("ssl_object")
        is_http2 = tls is not None and tls.selected_alpn_protocol() == "h2"
        self._frames = FrameBoundaries() if is_http2 else None
        self._reading: asyncio.Task[bytes] | None = None

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        if self._frames is None:
            return await self._stream.read(max_bytes, timeout)
        if self._reading is None:
            self._reading = asyncio.create_task(self._stream.read(max_bytes))
        while not (await asyncio.wait({self._reading}, timeout=NUDGE_AFTER))[0]:
            if self._frames.is_between:
                return NOTHING
        reading, self._reading = self._reading, None
        data = reading.result()
        self._frames.feed(data)
        return data

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:
        await self._stream.write(buffer, timeout)

    async def aclose(self) -> None:
        if self._reading is not None:
            self._reading.cancel()
            await asyncio.gather(self._reading, return_exceptions=True)
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,
    ) -> httpcore.AsyncNetworkStream:
        return _Stream(await self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class Network(httpcore.AsyncNetworkBackend):
    """Connects as httpcore's own network does."""

    def __init__(self) -> None:
        self._network = httpcore.AnyIOBackend()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve the host and connect. Raises httpcore.ConnectError or ConnectTimeout."""
        stream = await self._network.connect_tcp(host, port, timeout, local_address, socket_options)
        return _Stream(stream)

    async def sleep(self, seconds: float) -> None:
        """As the pool asks for between retries, of which there are none."""
        await self._network.sleep(seconds)


class VettedNetwork(Network):
    """Connects to vetted addresses only, as resolved, so that no second look-up can differ."""

    def __init__(self, vet: Vet) -> None:
        super().__init__()
        self._vet = vet

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        """Resolve once and connect to what was found, address by address."""
        addresses = self._vet(Origin(host, port), await _resolve(host, port))
        failure: httpcore.ConnectError | httpcore.ConnectTimeout = PrivateAddress(host)
        for address in addresses:
            try:
                return await super().connect_tcp(
                    address, port, timeout, local_address, socket_options
                )
            except (httpcore.ConnectError, httpcore.ConnectTimeout) as error:
                failure = error
        raise failure


async def _resolve(host: str, port: int) -> list[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    except OSError as error:
        message = "cannot be resolved"
        raise httpcore.ConnectError(message) from error
    return list(dict.fromkeys(str(address[4][0]) for address in found))
