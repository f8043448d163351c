"""A server that asks for client certificates knows who calls."""

from pathlib import Path
from typing import Any

import grpc

from nuncio_runtime.calls import current_call
from nuncio_runtime.client import connect
from nuncio_runtime.config import ServerSettings
from tests.integration.runtime.echo import Echo, EchoStub, Words, mount
from tests.integration.runtime.running import running
from tests.integration.runtime.test_serving import write_certificate


class Who(Echo):
    """Answers with who calls."""

    async def say(self, _request: Any, _context: Any) -> Any:
        call = current_call.get()
        assert call is not None
        return Words(text=f"{call.principal}@{call.peer}")


async def test_the_principal_is_who_the_verified_certificate_names(tmp_path: Path) -> None:
    certificate, key = write_certificate(tmp_path, 1)
    settings = ServerSettings(
        tls_certificate_file=certificate, tls_key_file=key, tls_client_ca_file=certificate
    )
    credentials = grpc.ssl_channel_credentials(
        certificate.read_bytes(), key.read_bytes(), certificate.read_bytes()
    )
    async with running([mount(Who())], settings=settings) as address:
        port = address.rpartition(":")[2]
        async with grpc.aio.secure_channel(f"127.0.0.1:{port}", credentials, options=NAMED) as c:
            assert (await EchoStub(c).Say(Words())).text == "localhost@127.0.0.1"


async def test_without_tls_callers_are_not_told_apart() -> None:
    async with running([mount(Who())]) as address, connect(address) as channel:
        assert (await EchoStub(channel).Say(Words())).text == "@127.0.0.1"


# The certificate is for this name.
NAMED = (("grpc.ssl_target_name_override", "localhost"),)
