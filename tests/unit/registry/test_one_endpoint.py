"""One Web Push endpoint has one form, however it is written, or is refused."""

import pytest

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_registry.api.rows import address_of
from nuncio_registry.domain.endpoint import EndpointGuard, canonical
from nuncio_registry.domain.model import Provider
from nuncio_registry.domain.tokens import AUTH_BYTES, P256DH_BYTES, address, subscription_token

PLAIN = "https://fcm.googleapis.com/fcm/send/Abc:D%2fe?Key=F"
ORIGINS = ("https://127.0.0.1:8443", "https://push.test", "https://[::1]:8443")
GUARD = EndpointGuard(hosts=["fcm.googleapis.com"], origins=ORIGINS)

SAME = [
    PLAIN,
    "https://FCM.googleapis.COM/fcm/send/Abc:D%2fe?Key=F",
    "https://fcm.googleapis.com:443/fcm/send/Abc:D%2fe?Key=F",
    "https://Fcm.googleapis.com:443/fcm/send/Abc:D%2fe?Key=F",
]


def token(endpoint: str) -> bytes:
    """What makes the token of a subscription unique."""
    made = subscription_token(endpoint=endpoint, p256dh=bytes(P256DH_BYTES), auth=bytes(AUTH_BYTES))
    return address(Provider.WEB_PUSH, made)


@pytest.mark.parametrize("endpoint", SAME)
def test_host_and_default_port_make_no_other_token(endpoint: str) -> None:
    assert GUARD.broken_rule(endpoint) is None
    assert canonical(endpoint) == PLAIN
    assert token(endpoint) == PLAIN.encode()
    web_push = token_pb2.WebPushSubscription(endpoint=endpoint)
    row = pb.Registration(token=token_pb2.Token(web_push=web_push))
    assert address_of(row) == PLAIN


@pytest.mark.parametrize(
    ("endpoint", "form"),
    [
        ("https://PUSH.test:443/A", "https://push.test/A"),
        ("https://127.0.0.1:8443/A", "https://127.0.0.1:8443/A"),
        ("https://[::1]:8443/A", "https://[::1]:8443/A"),
        ("https://push.test:4430/A", "https://push.test:4430/A"),
        ("https://push.test/:443/A", "https://push.test/:443/A"),
        ("https://push.test/a//b/", "https://push.test/a//b/"),
    ],
)
def test_path_and_other_ports_stay_as_they_are(endpoint: str, form: str) -> None:
    assert canonical(endpoint) == form


@pytest.mark.parametrize(
    ("endpoint", "rule"),
    [
        ("https://fcm.googleapis.com/x#1", "fragment"),
        ("https://fcm.googleapis.com/x#", "fragment"),
        ("https://fcm.googleapis.com:/x", "port"),
        ("https://fcm.googleapis.com:0/x", "port"),
        ("https://fcm.googleapis.com:0443/x", "port"),
        ("https://fcm.googleapis.com:443:443/x", "well-formed"),
        ("https://127.0.0.1:08443/x", "port"),
        ("https://push.test:0/x", "port"),
        ("https://[::1]:/x", "port"),
        ("https://push.test:/x", "port"),
        ("https://fcm.googleapis.com", "path"),
        ("https://fcm.googleapis.com?x", "path"),
        ("https://fcm.googleapis.com/./x", "segments"),
        ("https://fcm.googleapis.com/a/../x", "segments"),
        ("https://fcm.googleapis.com/a/%2e%2E/x", "segments"),
        ("https://fcm.googleapis.com/x/.%2e", "segments"),
        ("https://push.test/x/..", "segments"),
    ],
)
def test_other_spellings_are_refused_naming_the_rule(endpoint: str, rule: str) -> None:
    for form in (endpoint, canonical(endpoint)):
        assert rule in (GUARD.broken_rule(form) or "")


@pytest.mark.parametrize(
    "endpoint",
    [
        "https://user@fcm.googleapis.com/x",
        "https://user:443@fcm.googleapis.com/x",
        "https://fcm.googleapis.com:443@evil.example/x",
        "https://fcm.googleapis.com\uff0fx:443/",
        "https://\u212aush.test/x",
        "HTTPS://fcm.googleapis.com/x",
        "https://",
        "",
    ],
)
def test_no_form_of_what_is_refused_is_let_through(endpoint: str) -> None:
    assert GUARD.broken_rule(endpoint)
    assert GUARD.broken_rule(canonical(endpoint))


def test_dots_within_names_are_no_dot_segments() -> None:
    assert GUARD.broken_rule("https://push.test/a.b/...?c=/../") is None


def test_an_origin_with_port_0_allows_nothing_at_443() -> None:
    guard = EndpointGuard(hosts=(), origins=["https://push.test:0"])
    assert guard.broken_rule("https://push.test/x") is not None
