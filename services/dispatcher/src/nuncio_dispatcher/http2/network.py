"""Sockets: dialling with TLS, and a Connection on what was dialled."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Sequence
from itertools import zip_longest
from typing import Final, Protocol, cast

from nuncio_dispatcher.http2.connection import Connection
from nuncio_dispatcher.http2.exchange import Failure, Origin
from nuncio_runtime.clock import Clock

HIGH_WATER: Final = 1 << 20
"""Bytes that may wait to be sent before no more is read, and no more requests are written."""

SHUTDOWN_WITHIN: Final = 2.0
"""Seconds for a peer to end TLS in good order."""
MOST_ADDRESSES: Final = 4
"""Addresses of an origin that are tried for one connection."""
ADDRESS_WITHIN: Final = 2.0
"""Seconds for an address, while there are others to try."""

Vet = Callable[[Origin, Sequence[str]], Sequence[str]]
"""Which of an origin's addresses may be connected to."""


class DialFailed(Exception):
    """No connection could be made."""

    def __init__(self, failure: Failure) -> None:
        super().__init__(failure.value)
        self.failure = failure


class Link(asyncio.Protocol):
    """A Connection on a socket.

    Calls `turned` after each read, and when the socket is gone; `is_gone` tells which.
    """

    def __init__(self, *, turned: Callable[["Link"], None], clock: Clock) -> None:
        self._loop = asyncio.get_running_loop()
        self.connection = Connection(now=self._loop.time())
        self.opened_at = self._loop.time()
        self.is_gone = False
        self.settled = asyncio.Event()
        """Set once the peer's SETTINGS are there, or the socket is gone."""
        self.gone = asyncio.Event()
        self.is_congested = False
        """Whether the socket takes no more for now."""
        self._turned = turned
        self._clock = clock
        self._socket: asyncio.Transport | None = None

    def __repr__(self) -> str:
        return f"Link({'gone' if self.is_gone else 'up'}, {self.connection!r})"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """See asyncio.Protocol."""
        self._socket = cast("asyncio.Transport", transport)
        self._socket.set_write_buffer_limits(high=HIGH_WATER)
        self.flush()

    def data_received(self, data: bytes) -> None:
        """See asyncio.Protocol."""
        self.connection.receive(data, at=self._clock.now(), now=self._loop.time())
        if self.connection.is_settled:
            self.settled.set()
        self._turned(self)
        self.flush()
        if self.connection.fault is not None:
            self.close()

    def pause_writing(self) -> None:
        """See asyncio.Protocol. What a peer asks while it does not read must not pile up here."""
        self.is_congested = True
        if self._socket is not None:
            self._socket.pause_reading()

    def resume_writing(self) -> None:
        """See asyncio.Protocol."""
        self.is_congested = False
        if self._socket is not None:
            self._socket.resume_reading()
        self._turned(self)
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        """See asyncio.Protocol."""
        del exc  # the peer's reason or the network's: gone is gone
        self.is_gone = True
        self.connection.lose()
        self.settled.set()
        self.gone.set()
        self._turned(self)

    def flush(self) -> None:
        """Write what the connection has to say, in one piece."""
        out = self.connection.take_output()
        if not out or self.is_gone or self._socket is None:
            return
        self._socket.write(out)

    def close(self) -> None:
        """Close once what was written is sent."""
        self.connection.drain()
        if self._socket is not None:
            self._socket.close()

    def abort(self) -> None:
        """Close now."""
        self.connection.drain()
        if self._socket is not None:
            self._socket.abort()


class Dial(Protocol):
    """Makes connections."""

    async def __call__(self, origin: Origin, make: Callable[[], Link]) -> Link:
        """Connect, with a Link that `make` gives. Raises DialFailed."""


class Dialer:
    """Dials with TLS that verifies the peer and agrees on HTTP/2."""

    def __init__(self, tls: ssl.SSLContext, *, vet: Vet | None = None) -> None:
        """tls: a client's context; its protocols are set here. vet: default: any address."""
        tls.set_alpn_protocols(["h2"])
        self._tls = tls
        self._vet = vet

    async def __call__(self, origin: Origin, make: Callable[[], Link]) -> Link:
        """See Dial. Resolves anew each time, and tries what it found, one after another."""
        addresses = await _resolve(origin)
        if self._vet is not None:
            addresses = self._vet(origin, addresses)
            if not addresses:
                raise DialFailed(Failure.PRIVATE_ADDRESS)
        failure = Failure.CONNECT_FAILED
        tried = _alternating(addresses)[:MOST_ADDRESSES]
        for address in tried:
            # The last one has all the time that the caller gives.
            within = ADDRESS_WITHIN if address != tried[-1] else None
            try:
                async with asyncio.timeout(within):
                    return await self._connect(origin, address, make)
            except ssl.SSLCertVerificationError:
                failure = Failure.NOT_TRUSTED
            except ssl.SSLError as error:
                is_alpn = error.reason == "TLSV1_ALERT_NO_APPLICATION_PROTOCOL"
                failure = Failure.NOT_HTTP2 if is_alpn else Failure.CONNECT_FAILED
            except OSError:  # TimeoutError is one
                failure = Failure.CONNECT_FAILED
        raise DialFailed(failure)

    async def _connect(self, origin: Origin, address: str, make: Callable[[], Link]) -> Link:
        transport, link = await asyncio.get_running_loop().create_connection(
            make,
            address,
            origin.port,
            ssl=self._tls,
            server_hostname=origin.host,
            ssl_shutdown_timeout=SHUTDOWN_WITHIN,
        )
        tls = transport.get_extra_info("ssl_object")
        if tls.selected_alpn_protocol() != "h2":
            transport.abort()
            raise DialFailed(Failure.NOT_HTTP2)
        return link


def _alternating(addresses: Sequence[str]) -> Sequence[str]:
    """IPv6 and IPv4 by turns, as one of them may lead nowhere. Source: RFC 8305, section 4."""
    families: dict[bool, list[str]] = {}  # that of the first address first
    for address in addresses:
        families.setdefault(":" in address, []).append(address)
    turns = zip_longest(*families.values())
    return [address for turn in turns for address in turn if address is not None]


async def _resolve(origin: Origin) -> Sequence[str]:
    loop = asyncio.get_running_loop()
    try:
        found = await loop.getaddrinfo(origin.host, origin.port, type=socket.SOCK_STREAM)
    # ValueError: a name that cannot be asked for, as with labels that are too long.
    except (OSError, ValueError) as error:
        raise DialFailed(Failure.CONNECT_FAILED) from error
    return list(dict.fromkeys(str(address[4][0]) for address in found))
