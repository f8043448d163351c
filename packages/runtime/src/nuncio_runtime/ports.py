"""The port that several workers share."""

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager

from nuncio_runtime.config import ConfigError, split_address


@contextmanager
def held_port(listen: str) -> Iterator[str]:
    """Hold a port for workers that listen there with SO_REUSEPORT; gives host and port.

    Port 0 becomes a free one. Nobody is answered here: a socket that is bound and does not listen
    gets no connections, and keeps others from the port. Raises ConfigError when it is taken.
    """
    host, port = split_address(listen)
    with ExitStack() as held:
        try:
            for family, address in _addresses(host, port):
                # The name's first address decides which port 0 is for all of them.
                port = _hold(held, family, (address, port))
        except OSError as error:
            message = f"{listen}: cannot listen there"
            raise ConfigError(message) from error
        yield f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def _addresses(host: str, port: int) -> list[tuple[socket.AddressFamily, str]]:
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    return [(family, str(address[0])) for family, _, _, _, address in found]


def _hold(held: ExitStack, family: socket.AddressFamily, address: tuple[str, int]) -> int:
    """Claim the port as only one can, then leave a socket there that shares it with our own only.

    Servers of one user that set SO_REUSEPORT share a port unseen, and sockets with SO_REUSEADDR
    that do not listen share one, too. Whoever listens with neither is alone; it is let go when the
    other socket is bound, whose SO_REUSEADDR was for connections that just ended.
    """
    with _socket(family) as alone:
        alone.bind(address)
        alone.listen(0)
        port: int = alone.getsockname()[1]
        alone.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared = held.enter_context(_socket(family))
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        shared.bind((address[0], port))
        shared.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 0)
    return port


def _socket(family: socket.AddressFamily) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if family == socket.AF_INET6:
        made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    return made
