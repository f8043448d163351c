"""VAPID tokens: made rarely, out to one origin, with the key of the subscription."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    EllipticCurvePublicKey,
    generate_private_key,
)
from jwt.utils import base64url_decode
from py_vapid import Vapid02

from nuncio_dispatcher.providers.fields import CredentialError
from nuncio_dispatcher.providers.webpush.auth import LIFETIME, MOST_KEPT, VapidKeys, VapidTokens
from nuncio_runtime.clock import ManualClock

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
ORIGIN = "https://push.example"
SUBJECT = "mailto:push@example.com"

# The example of RFC 8292, section 2.4.
EXAMPLE_CLAIMS = (
    "eyJhdWQiOiJodHRwczovL3B1c2guZXhhbXBsZS5uZXQiLCJleHAiOjE0NTM1MjM3NjgsInN1YiI6Im1haWx0bzpwdXNo"
    "QGV4YW1wbGUuY29tIn0"
)
EXAMPLE = (
    f"vapid t=eyJ0eXAiOiJKV1QiLCJhbGciOiJFUzI1NiJ9.{EXAMPLE_CLAIMS}."
    "i3CYb7t4xfxCDquptFOepC9GAu_HLGkMlMuCGSK2rpiUfnK9ojFwDXb1JrErtmysazNjjvW2L9OkSSHzvoD1oA,"
    "k=BA1Hxzyi1RUM1b5wjxsn7nGxAszw2u61m164i3MrAIxHF6YK5h4SDYic-dRuU_RCPCfA5aq9ojSwk5Y2EmClBPs"
)
EXAMPLE_ORIGIN = "https://push.example.net"
EXAMPLE_EXPIRY = datetime.fromtimestamp(1453523768, UTC)

Make = Callable[..., VapidTokens]


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def make(clock: ManualClock) -> Make:
    def make(
        key: EllipticCurvePrivateKey | None = None, *, subject: str = SUBJECT, key_id: str = ""
    ) -> VapidTokens:
        key = key or generate_private_key(SECP256R1())
        return VapidTokens(key, subject=subject, clock=clock, key_id=key_id)

    return make


def parts(header: str) -> tuple[str, str]:
    """Token and key, as RFC 8292, section 3, has them."""
    scheme, _, parameters = header.partition(" ")
    token, _, key = parameters.partition(",")
    assert (scheme, token[:2], key[:2]) == ("vapid", "t=", "k=")
    return token[2:], key[2:]


def verified(header: str) -> dict[str, Any]:
    """The claims, once the signature was checked against the key in the header."""
    token, key = parts(header)
    point = EllipticCurvePublicKey.from_encoded_point(SECP256R1(), base64url_decode(key))
    options: Any = {"verify_exp": False, "verify_aud": False}
    claims: dict[str, Any] = jwt.decode(token, point, algorithms=["ES256"], options=options)
    return claims


def test_a_token_names_origin_expiry_and_contact(make: Make) -> None:
    tokens = make()
    expires = int((START + timedelta(hours=12)).timestamp())
    assert verified(tokens.header(ORIGIN).reveal()) == {
        "aud": ORIGIN, "exp": expires, "sub": SUBJECT,
    }  # fmt: skip
    other = verified(tokens.header("https://b.example:8443").reveal())
    assert other["aud"] == "https://b.example:8443"


def test_the_checks_of_this_file_take_the_example_of_rfc_8292() -> None:
    claims = {"aud": EXAMPLE_ORIGIN, "exp": 1453523768, "sub": "mailto:push@example.com"}
    assert verified(EXAMPLE) == claims
    assert Vapid02.verify(EXAMPLE)


def test_the_claims_of_rfc_8292_come_out_byte_by_byte() -> None:
    tokens = VapidTokens(
        generate_private_key(SECP256R1()),
        subject="mailto:push@example.com",
        clock=ManualClock(EXAMPLE_EXPIRY - LIFETIME),
    )
    token, _ = parts(tokens.header(EXAMPLE_ORIGIN).reveal())
    assert token.split(".")[1] == EXAMPLE_CLAIMS


def test_py_vapid_verifies_our_tokens_and_no_others(make: Make) -> None:
    header = make().header(ORIGIN).reveal()
    stranger = make().header(ORIGIN).reveal()
    assert Vapid02.verify(header)
    foreign_key = f"vapid t={parts(header)[0]},k={parts(stranger)[1]}"
    assert not Vapid02.verify(foreign_key)


def test_a_token_is_kept_for_an_hour(make: Make, clock: ManualClock) -> None:
    tokens = make()
    first = tokens.header(ORIGIN)
    clock.advance(60 * 60 - 1)
    assert tokens.header(ORIGIN) is first
    clock.advance(1)
    second = tokens.header(ORIGIN)
    expiry = [verified(token.reveal())["exp"] for token in (first, second)]
    assert expiry[1] - expiry[0] == 60 * 60


def test_a_clock_set_back_does_not_leave_tokens_that_live_too_long(
    make: Make, clock: ManualClock
) -> None:
    tokens = make()
    first = tokens.header(ORIGIN)
    clock.advance(-24 * 60 * 60)
    second = tokens.header(ORIGIN)
    assert second is not first
    assert verified(second.reveal())["exp"] == int((clock.now() + LIFETIME).timestamp())


def test_the_least_recently_used_origin_makes_room(make: Make) -> None:
    tokens = make()
    origins = [f"https://{number}.example" for number in range(MOST_KEPT)]
    kept = {origin: tokens.header(origin) for origin in origins[:-1]}
    busy, idle, *_ = origins
    assert tokens.header(busy) is kept[busy]
    for origin in (origins[-1], "https://new.example"):
        kept[origin] = tokens.header(origin)
    assert all(tokens.header(origin) is kept[origin] for origin in kept if origin != idle)
    assert tokens.header(idle) is not kept[idle]


@pytest.mark.parametrize(
    "subject",
    [
        "mailto:push@example.com",
        "mailto:Push@mail.Example.CO.UK",
        "mailto:push@localhost.example.com",
        "https://example.com",
        "https://example.com:8443/contact?of=push",
    ],
)
def test_a_contact_is_an_address_that_can_exist(make: Make, subject: str) -> None:
    assert verified(make(subject=subject).header(ORIGIN).reveal())["sub"] == subject


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "push@example.com",
        "mailto:",
        "mailto:push",
        "mailto:push@localhost",
        "mailto:push@LOCALHOST",
        "mailto:push@my.localhost",
        "mailto:push@mailserver",
        "mailto:push@127.0.0.1",
        "mailto:push@example.com\n",
        "mailto:two words@example.com",
        "https://localhost",
        "https://localhost:8443/contact",
        "https://[::1]/",
        "https://192.0.2.1/contact",
        "https://example.com.localhost/",
        "http://example.com",
    ],
)
def test_a_contact_that_apple_refuses_is_a_bad_credential(make: Make, subject: str) -> None:
    with pytest.raises(CredentialError, match="subject: must be"):
        make(subject=subject)


def test_a_subscription_gets_the_key_that_it_was_made_with(make: Make) -> None:
    new, old = make(key_id="2026"), make(key_id="2024")
    keys = VapidKeys(new, old)
    assert keys.for_subscription("2024") is old
    assert keys.for_subscription("2026") is new


@pytest.mark.parametrize("key_id", ["", "forgotten"])
def test_a_subscription_of_an_unknown_key_gets_the_default(make: Make, key_id: str) -> None:
    new, old = make(key_id="2026"), make(key_id="2024")
    assert VapidKeys(new, old).for_subscription(key_id) is new


def test_the_only_key_needs_no_name(make: Make) -> None:
    only = make()
    assert VapidKeys(only).for_subscription("") is only
    assert VapidKeys(only).for_subscription("2024") is only


@pytest.mark.parametrize("ids", [("a", "a"), ("a", ""), ("", ""), ("a", "b", "b")])
def test_several_keys_need_a_name_each(make: Make, ids: tuple[str, ...]) -> None:
    with pytest.raises(CredentialError, match="key_id"):
        VapidKeys(*(make(key_id=key_id) for key_id in ids))


def test_tokens_cannot_be_printed(make: Make) -> None:
    tokens = make(key_id="2026")
    header = tokens.header(ORIGIN)
    shown = f"{header!r}{header}{tokens!r}"
    assert all(part not in shown for part in parts(header.reveal()))
