"""Tokens at rest."""

import hmac
from hashlib import blake2b

import pytest

from nuncio_registry.domain.model import Provider
from nuncio_registry.domain.sealing import KEY_BYTES, UnreadableToken, bound_to
from nuncio_registry.domain.tokens import plain_token, subscription_token
from tests.unit.registry.builders import key, key_ring

LOOKUP_KEY = b"l" * KEY_BYTES
TOKEN = plain_token("ab" * 32)
ROW = bound_to("app", key(1))


def test_any_key_of_the_ring_opens_what_it_sealed() -> None:
    old = key_ring(1).seal(TOKEN, ROW)
    ring = key_ring(1, 2)
    assert ring.open(old, key_id=1, bound_to=ROW) == TOKEN.reveal()
    assert ring.open(ring.seal(TOKEN, ROW), key_id=2, bound_to=ROW) == TOKEN.reveal()


@pytest.mark.parametrize("other", [bound_to("app", key(2)), bound_to("ap", key(1))])
def test_a_sealed_token_opens_in_its_own_row_only(other: bytes) -> None:
    ring = key_ring()
    with pytest.raises(UnreadableToken):
        ring.open(ring.seal(TOKEN, ROW), key_id=1, bound_to=other)


def test_a_token_without_its_key_does_not_open() -> None:
    sealed = key_ring(1).seal(TOKEN, ROW)
    with pytest.raises(UnreadableToken):
        key_ring(2).open(sealed, key_id=1, bound_to=ROW)


@pytest.mark.parametrize("length", [0, 11, 12, 20, 40])
def test_a_sealed_token_that_was_cut_short_does_not_open(length: int) -> None:
    ring = key_ring()
    with pytest.raises(UnreadableToken):
        ring.open(ring.seal(TOKEN, ROW)[:length], key_id=1, bound_to=ROW)


def test_sealing_twice_gives_different_bytes() -> None:
    assert key_ring().seal(TOKEN, ROW) != key_ring().seal(TOKEN, ROW)


@pytest.mark.parametrize("provider", [Provider.APNS, Provider.FCM])
def test_the_hash_is_the_one_that_is_stored(provider: Provider) -> None:
    """HMAC-SHA-256 of the provider's number and the address, however often it is asked for."""
    stored = hmac.digest(LOOKUP_KEY, bytes((provider,)) + b"ab" * 32, "sha256")
    ring = key_ring()
    assert [ring.hash(provider, TOKEN) for _ in range(2)] == [stored, stored]


def test_the_hash_of_a_subject_is_the_one_that_is_stored() -> None:
    stored = hmac.digest(LOOKUP_KEY, b"subject\0user\0app\0somebody", "sha256")[:16]
    assert key_ring().subject_hash("user", "app", "somebody") == stored


def test_the_hash_of_contents_is_the_one_that_is_stored() -> None:
    """Keyed BLAKE2b, salted with the rules: one set of rules does not get into another's way."""
    ring = key_ring()
    for content, rules in (
        (b"a", b"1" * 16),
        (b"b", b"2" * 16),
        (b"b", b"1" * 16),
        (b"", b"2" * 16),
    ):
        stored = blake2b(content, key=LOOKUP_KEY, salt=rules, digest_size=16).digest()
        assert ring.content_hash(content, rules=rules) == stored


def test_the_hash_tells_providers_apart() -> None:
    ring = key_ring()
    assert ring.hash(Provider.APNS, TOKEN) != ring.hash(Provider.FCM, TOKEN)


def test_a_subscription_is_unique_by_its_endpoint() -> None:
    endpoint = "https://push.test/1"
    one = subscription_token(endpoint=endpoint, p256dh=b"\4" + bytes(64), auth=bytes(16))
    two = subscription_token(endpoint=endpoint, p256dh=b"\4" + bytes(64), auth=b"a" * 16)
    ring = key_ring()
    assert ring.hash(Provider.WEB_PUSH, one) == ring.hash(Provider.WEB_PUSH, two)


def test_tokens_and_keys_cannot_be_printed() -> None:
    ring = key_ring(1, 2)
    assert repr(ring) == "KeyRing(ids=[1, 2])"
    assert "ab" * 8 not in f"{TOKEN!r} {TOKEN}"
