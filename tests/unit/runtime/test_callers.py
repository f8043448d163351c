"""Who makes the call being served."""

from collections.abc import Iterable, Mapping

import pytest

from nuncio_runtime.calls import Call


class Socket:
    """What gRPC tells of a connection."""

    def __init__(self, peer: str = "ipv4:192.0.2.1:50051", **verified: bytes) -> None:
        self._peer = peer
        self._verified = {name: [value] for name, value in verified.items()}

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        return self._verified

    def peer(self) -> str:
        return self._peer


def call(socket: Socket | None) -> Call:
    return Call("a/B", deadline=None, connection=socket)


def test_the_principal_is_the_common_name_of_the_client_certificate() -> None:
    assert call(Socket(x509_common_name=b"dispatcher.push")).principal == "dispatcher.push"


@pytest.mark.parametrize("socket", [None, Socket(transport_security_type=b"ssl")])
def test_without_a_client_certificate_there_is_no_principal(socket: Socket | None) -> None:
    assert call(socket).principal == ""


def test_a_name_that_would_spoil_a_log_is_cleaned_and_cut() -> None:
    assert call(Socket(x509_common_name=b"two\nlines")).principal == "two?lines"
    assert call(Socket(x509_common_name=b"x" * 500)).principal == "x" * 200
    assert call(Socket(x509_common_name=b"\xff")).principal == "\ufffd"


@pytest.mark.parametrize(
    ("peer", "address"),
    [
        ("ipv4:192.0.2.1:50051", "192.0.2.1"),
        ("ipv6:%5B2001:db8::1%5D:50051", "2001:db8::1"),
        ("ipv6:[::1]:50051", "::1"),
        ("unix:/run/nuncio.sock", "unix:/run/nuncio.sock"),
    ],
)
def test_the_peer_is_an_address_without_its_port(peer: str, address: str) -> None:
    assert call(Socket(peer)).peer == address


def test_a_program_that_calls_itself_has_no_peer() -> None:
    assert call(None).peer == ""
