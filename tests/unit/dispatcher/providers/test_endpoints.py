"""Which Web Push endpoints are called, and over which addresses."""

from functools import partial
from urllib.parse import urlsplit

import httpcore
import httpx
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio_dispatcher.http2.exchange import Origin
from nuncio_dispatcher.providers.reference.network import PrivateAddress, VettedNetwork
from nuncio_dispatcher.providers.webpush.endpoints import is_public, vet, vet_addresses

DEVELOPMENT = Origin("127.0.0.1", 8443)


@pytest.mark.parametrize(
    ("url", "origin", "is_wns"),
    [
        ("https://fcm.googleapis.com/fcm/send/abc", "https://fcm.googleapis.com", False),
        ("https://jmt17.google.com/wp/abc", "https://jmt17.google.com", False),
        (
            "https://updates.push.services.mozilla.com/wpush/v2/abc",
            "https://updates.push.services.mozilla.com",
            False,
        ),
        ("https://web.push.apple.com/abc", "https://web.push.apple.com", False),
        ("https://db5p.notify.windows.com/w/?token=abc", "https://db5p.notify.windows.com", True),
        ("https://FCM.googleapis.com:443/wp/abc", "https://fcm.googleapis.com", False),
    ],
)
def test_the_push_services_of_the_browsers_are_called(url: str, origin: str, is_wns: bool) -> None:
    endpoint = vet(url)
    assert endpoint is not None
    assert (str(endpoint.origin), endpoint.is_wns) == (origin, is_wns)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "fcm.googleapis.com/wp/abc",
        "http://fcm.googleapis.com/wp/abc",
        "https://fcm.googleapis.com:8443/wp/abc",
        "https://fcm.googleapis.com:99999/wp/abc",
        "https://fcm.googleapis.com.evil.example/wp",
        "https://evilnotify.windows.com/w",
        "https://notify.windows.com.evil.example/w",
        "https://user@fcm.googleapis.com/wp",
        "https://user:word@fcm.googleapis.com/wp",
        "https://fcm.googleapis.com@10.0.0.1/wp",
        "https://evil.example\\.push.apple.com/x",
        "https://evil.example#.push.apple.com",
        "https://evil.example?.push.apple.com",
        "https://127.0.0.1:8443/wpush/v2/abc",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/wp",
        "https://[fcm.googleapis.com]/wp",
        "https://fcm.googleapis.com:/wp",
        "https://fcm.googleapis.com./wp",
        "https://fcm.googleapis.com\\@evil.example/wp",
        "https:/fcm.googleapis.com/wp",
        "https:fcm.googleapis.com/wp",
        "https:///fcm.googleapis.com/wp",
        "https://fcm.googleapis.com/wp\n",
        " https://fcm.googleapis.com/wp",
        "https://fcm\uff0egoogleapis.com/wp",
        "https://fcm.googleapis.com/a b",
        "https://fcm.googleapis.com/a\r\nhost: b",
        "https://fcm.googleapis.com/\u00e4",
        "https://fcm.googleapis.com/" + "a" * 2_048,
    ],
)
def test_nothing_else_is_called(url: str) -> None:
    assert vet(url) is None


@given(st.text("https:/\\@[]?#.%&=f\t \u3002", max_size=30))
def test_what_is_called_is_the_host_that_every_parser_reads(tail: str) -> None:
    endpoint = vet(f"https://fcm.googleapis.com{tail}")
    if endpoint is not None:
        called = httpx.URL(f"{endpoint.origin}{endpoint.path.decode()}")
        for host in (urlsplit(f"https://fcm.googleapis.com{tail}").hostname, called.host):
            assert host == "fcm.googleapis.com"


def test_an_origin_of_an_address_is_called_when_allowed() -> None:
    endpoint = vet("https://[::1]:8443/wp", allowed=[Origin("::1", 8443)])
    assert endpoint is not None
    assert str(endpoint.origin) == "https://[::1]:8443"


def test_an_origin_that_the_operator_allows_is_called() -> None:
    assert vet("https://127.0.0.1:8443/wpush/v2/a", allowed=[DEVELOPMENT]) is not None
    assert vet("https://127.0.0.1:8444/wpush/v2/a", allowed=[DEVELOPMENT]) is None


@pytest.mark.parametrize(
    ("url", "path"),
    [
        ("https://web.push.apple.com", b"/"),
        ("https://web.push.apple.com/a/b", b"/a/b"),
        ("https://web.push.apple.com:443/a?b=c&d#e", b"/a?b=c&d"),
        ("https://web.push.apple.com?b=c", b"/?b=c"),
    ],
)
def test_the_path_has_the_query_and_no_fragment(url: str, path: bytes) -> None:
    endpoint = vet(url)
    assert endpoint is not None
    assert endpoint.path == path


def test_an_endpoint_does_not_print_its_path() -> None:
    assert "secret" not in repr(vet("https://web.push.apple.com/secret"))


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "172.16.0.1",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "192.0.2.1",
        "0.0.0.1",
        "224.0.0.1",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "fe80::1",
        "fe80::1%eth0",
        "fc00::1",
        "fec0::1",
        "ff02::1",
        "2001:db8::1",
        "::ffff:10.0.0.1",
        "::ffff:127.0.0.1",
        "64:ff9b::a00:1",
        "2002:7f00:1::",
        "nonsense",
    ],
)
def test_addresses_of_the_inside_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize("address", ["8.8.8.8", "2a00:1450:4001::1", "::ffff:8.8.8.8"])
def test_addresses_of_the_internet_are_public(address: str) -> None:
    assert is_public(address)


def test_only_public_addresses_of_an_origin_are_left_unless_it_is_allowed() -> None:
    found = ["10.0.0.1", "8.8.8.8", "::1"]
    assert vet_addresses(DEVELOPMENT, found) == ["8.8.8.8"]
    assert vet_addresses(DEVELOPMENT, found, allowed=[DEVELOPMENT]) == found


def network(*allowed: Origin) -> VettedNetwork:
    return VettedNetwork(partial(vet_addresses, allowed=allowed))


async def test_a_host_that_resolves_to_the_inside_is_not_connected_to() -> None:
    with pytest.raises(PrivateAddress):
        await network(DEVELOPMENT).connect_tcp("127.0.0.1", 443)


async def test_an_allowed_origin_may_be_on_the_inside() -> None:
    with pytest.raises(httpcore.ConnectError) as refused:
        await network(Origin("127.0.0.1", 1)).connect_tcp("127.0.0.1", 1)
    assert not isinstance(refused.value, PrivateAddress)
