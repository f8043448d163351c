"""Provider tokens: made rarely, never printed."""

from datetime import UTC, datetime, timedelta

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import (
    SECP256R1,
    EllipticCurvePrivateKey,
    generate_private_key,
)

from nuncio_dispatcher.providers.apns.auth import TokenMint
from nuncio_runtime.clock import ManualClock

START = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


class SetClock(ManualClock):
    """One that can also be set back, as a machine's may be."""

    def set(self, moment: datetime) -> None:
        self._start, self._elapsed = moment, 0.0


@pytest.fixture
def key() -> EllipticCurvePrivateKey:
    return generate_private_key(SECP256R1())


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(START)


@pytest.fixture
def mint(key: EllipticCurvePrivateKey, clock: ManualClock) -> TokenMint:
    return TokenMint(key, team_id="TEAM123456", key_id="KEY1234567", clock=clock)


def test_a_provider_token_is_what_apple_wants(
    mint: TokenMint, key: EllipticCurvePrivateKey
) -> None:
    scheme, _, token = mint.current().bearer.reveal().partition(" ")
    assert scheme == "bearer"
    assert jwt.get_unverified_header(token)["kid"] == "KEY1234567"
    options = {"verify_iat": False}
    claims = jwt.decode(token, key.public_key(), algorithms=["ES256"], options=options)  # type: ignore[arg-type]
    assert claims == {"iss": "TEAM123456", "iat": int(START.timestamp())}


def test_a_token_is_kept_for_fifty_minutes(mint: TokenMint, clock: ManualClock) -> None:
    first = mint.current()
    clock.advance(49 * 60)
    assert mint.current() is first
    clock.advance(60)
    assert mint.current() is not first


def test_a_young_token_is_not_replaced_when_refused(mint: TokenMint, clock: ManualClock) -> None:
    first = mint.current()
    clock.advance(19 * 60)
    assert not mint.renew(first)
    assert mint.current() is first


def test_an_old_token_is_replaced_once_for_all_rows_that_it_was_refused_for(
    mint: TokenMint, clock: ManualClock
) -> None:
    first = mint.current()
    clock.advance(20 * 60)
    assert mint.renew(first)
    second = mint.current()
    assert mint.renew(first)
    assert mint.current() is second
    assert not mint.renew(second)


def test_after_too_many_updates_the_old_token_goes_on(mint: TokenMint, clock: ManualClock) -> None:
    first = mint.current()
    clock.advance(45 * 60)
    mint.hold()
    clock.advance(10 * 60)
    assert mint.current() is first
    assert not mint.renew(first)
    clock.advance(10 * 60)
    assert mint.current() is not first


def test_a_token_from_the_future_is_replaced_once_the_clock_is_right(
    key: EllipticCurvePrivateKey,
) -> None:
    clock = SetClock(START)
    mint = TokenMint(key, team_id="TEAM123456", key_id="KEY1234567", clock=clock)
    first = mint.current()
    clock.set(START - timedelta(seconds=30))
    assert mint.current() is first, "put right by a little"
    clock.set(START - timedelta(hours=2))
    second = mint.current()
    assert second.issued_at == START - timedelta(hours=2)
    clock.set(START - timedelta(hours=2) + timedelta(minutes=49))
    assert mint.current() is second


def test_tokens_cannot_be_printed(mint: TokenMint) -> None:
    token = mint.current()
    assert token.bearer.reveal() not in f"{token!r}{token}{mint!r}"
