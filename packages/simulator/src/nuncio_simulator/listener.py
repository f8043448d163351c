"""Listening sockets: TLS, the choice of HTTP version, and an orderly end. No provider words."""

import asyncio
import socket
import ssl
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple, cast

from nuncio_simulator.h1server import H1Protocol
from nuncio_simulator.h2server import H2Protocol, Profile
from nuncio_simulator.wire import BODY_LIMIT, Connection, Conversation

LOOPBACK = "127.0.0.1"


class Site(NamedTuple):
    """What a port serves."""

    converse: Callable[[bytes], Conversation]
    """Takes the client's certificate in DER, or nothing when it showed none."""
    profile: Profile | None
    """How it speaks HTTP/2; None: not at all."""
    http1: bool
    """Whether it speaks HTTP/1.1, also to clients that do not say what they speak."""
    body_limit: int = BODY_LIMIT
    """Bytes kept of a request body over HTTP/1.1."""
    client_authority: Path | None = None
    """Whose certificates clients may show; None: they are not asked for one."""
    tls: bool = True


def bind(port: int) -> socket.socket:
    """A loopback socket on the port, 0 for any free one. Raises OSError when it is taken."""
    bound = socket.socket()
    bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    bound.bind((LOOPBACK, port))
    return bound


def tls_context(certificate: Path, key: Path, site: Site) -> ssl.SSLContext:
    """TLS 1.2 or newer, offering by ALPN what the site speaks."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_cert_chain(certificate, key)
    versions = ["h2"] if site.profile is not None else []
    context.set_alpn_protocols([*versions, "http/1.1"] if site.http1 else versions)
    if site.client_authority is not None:
        context.verify_mode = ssl.CERT_OPTIONAL
        context.load_verify_locations(site.client_authority)
    return context


async def listen(
    bound: socket.socket, site: Site, *, live: set[Connection], tls: ssl.SSLContext | None
) -> asyncio.Server:
    """Serve the site; `live` always holds its open connections."""
    loop = asyncio.get_running_loop()
    greeter = partial(_Greeter, site, live)
    return await loop.create_server(greeter, sock=bound, ssl=tls, backlog=1024)


class _Greeter(asyncio.Protocol):
    """Picks the HTTP version once TLS is up, then steps aside."""

    def __init__(self, site: Site, live: set[Connection]) -> None:
        self._site = site
        self._live = live

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        protocol = self._choose(transport.get_extra_info("ssl_object"))
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)

    def _choose(self, tls: ssl.SSLObject | None) -> H1Protocol | H2Protocol:
        chosen = tls.selected_alpn_protocol() if tls is not None else None
        certificate = tls.getpeercert(binary_form=True) if tls is not None else None
        conversation, profile = self._site.converse(certificate or b""), self._site.profile
        # A site without HTTP/1.1 takes any client for an HTTP/2 one, as APNs does.
        if profile is not None and (chosen == "h2" or not self._site.http1):
            return H2Protocol(conversation, profile, self._live)
        return H1Protocol(conversation, self._live, body_limit=self._site.body_limit)
