"""Tokens at rest."""

import pytest

from nuncio_registry.domain.model import Provider
from nuncio_registry.domain.sealing import UnreadableToken, bound_to
from nuncio_registry.domain.tokens import plain_token, subscription_token
from tests.unit.registry.builders import key, key_ring

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
