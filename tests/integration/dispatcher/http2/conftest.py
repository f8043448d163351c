"""A server, and transports to it that leave nothing behind."""

import asyncio
import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import NamedTuple

import pytest

from nuncio_simulator.certificates import Authority
from tests.integration.dispatcher.http2.server import Server, serving


class Certificates(NamedTuple):
    """Of a server on 127.0.0.1, and of who signed it."""

    server: ssl.SSLContext
    client: ssl.SSLContext


@pytest.fixture(scope="session")
def certificate_files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Certificate and key in one file, and what to trust."""
    authority = Authority("tests")
    pair = authority.server()
    file = tmp_path_factory.mktemp("tls") / "server.pem"
    file.write_bytes(pair.certificate + pair.key)
    return file, authority.pem.decode()


@pytest.fixture
def tls(certificate_files: tuple[Path, str]) -> Certificates:
    """Contexts of the test's own."""
    file, trusted = certificate_files
    server = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    server.load_cert_chain(file)
    server.set_alpn_protocols(["h2"])
    return Certificates(server, ssl.create_default_context(cadata=trusted))


@pytest.fixture
async def server(tls: Certificates) -> AsyncIterator[Server]:
    """A server that answers 200; at the end, no task but the test's own is left."""
    async with serving(tls.server) as server:
        yield server
    assert asyncio.all_tasks() <= {asyncio.current_task()}
