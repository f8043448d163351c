"""The port that workers share, and nobody else."""

import socket

import grpc
import pytest

from nuncio_runtime.config import ConfigError
from nuncio_runtime.ports import held_port

LISTENS = ["127.0.0.1:0", "localhost:0", "0.0.0.0:0", "[::1]:0"]


async def bound(address: str, *, shared: bool) -> grpc.aio.Server:
    server = grpc.aio.server(options=[("grpc.so_reuseport", int(shared))])
    server.add_insecure_port(address)
    await server.start()
    return server


@pytest.mark.parametrize("listen", LISTENS)
async def test_our_own_servers_share_a_held_port(listen: str) -> None:
    with held_port(listen) as address:
        servers = [await bound(address, shared=True) for _ in range(2)]
        for server in servers:
            await server.stop(0)


# Not for a name: a server may find more addresses behind it than the machine's resolver gives, and
# is content when it gets one of them.
@pytest.mark.parametrize("listen", ["127.0.0.1:0", "0.0.0.0:0", "[::1]:0"])
async def test_a_server_that_shares_with_nobody_does_not_get_a_held_port(listen: str) -> None:
    with held_port(listen) as address, pytest.raises(RuntimeError):
        await bound(address, shared=False)


@pytest.mark.parametrize("listen", LISTENS)
def test_a_port_is_held_once(listen: str) -> None:
    with (
        held_port(listen) as address,
        pytest.raises(ConfigError, match="cannot listen"),
        held_port(address),
    ):
        pass


async def test_the_port_of_another_suite_of_workers_is_refused() -> None:
    with held_port("127.0.0.1:0") as address:
        server = await bound(address, shared=True)
    with pytest.raises(ConfigError, match="cannot listen"), held_port(address):
        pass
    await server.stop(0)


def test_connections_that_just_ended_do_not_keep_the_port() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        host, port = server.getsockname()
        with socket.create_connection((host, port)) as client:
            server.accept()[0].close()  # Whoever closes first waits: TIME_WAIT.
            assert client.recv(1) == b""
    with held_port(f"{host}:{port}") as address:
        assert address == f"{host}:{port}"


def test_a_name_that_means_nothing_is_a_problem_of_the_settings() -> None:
    with pytest.raises(ConfigError, match="cannot listen"), held_port("nowhere.invalid:7411"):
        pass
