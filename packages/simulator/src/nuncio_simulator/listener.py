"""Listening sockets: TLS, the choice of HTTP version, and an orderly end. No provider words."""

import asyncio
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple, cast

from nuncio_simulator.h1server import H1Protocol
from nuncio_simulator.h2server import H2Protocol, Profile
from nuncio_simulator.wire import Conversation

LOOPBACK = "127.0.0.1"


class Site(NamedTuple):
    """What a port serves."""

    converse: Callable[[], Conversation]
    profile: Profile | None
    """How it speaks HTTP/2; None: not at all."""
    http1: bool
    """Whether it speaks HTTP/1.1, also to clients that do not say what they speak."""


class _Greeter(asyncio.Protocol):
    """Picks the HTTP version once TLS is up, then steps aside."""

    def __init__(self, site: Site, live: "set[H1Protocol | H2Protocol]") -> None:
        self._site = site
        self._live = live

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        protocol = self._choose(transport.get_extra_info("ssl_object"))
        self._live.add(protocol)
        cast("asyncio.Transport", transport).set_protocol(protocol)
        protocol.connection_made(transport)

    def _choose(self, tls: ssl.SSLObject | None) -> H1Protocol | H2Protocol:
        chosen = tls.selected_alpn_protocol() if tls is not None else None
        profile = self._site.profile
        speaks_h2 = chosen == "h2" or not self._site.http1
        if profile is not None and speaks_h2:
            return _LiveH2(self._site.converse(), profile, self._live)
        return _LiveH1(self._site.converse(), self._live)


class _LiveH2(H2Protocol):
    def __init__(
        self, conversation: Conversation, profile: Profile, live: "set[H1Protocol | H2Protocol]"
    ) -> None:
        super().__init__(conversation, profile)
        self._live = live

    def connection_lost(self, exc: Exception | None) -> None:
        self._live.discard(self)
        super().connection_lost(exc)


class _LiveH1(H1Protocol):
    def __init__(self, conversation: Conversation, live: "set[H1Protocol | H2Protocol]") -> None:
        super().__init__(conversation)
        self._live = live

    def connection_lost(self, exc: Exception | None) -> None:
        self._live.discard(self)
        super().connection_lost(exc)
