"""Registrations, keys and apps as tests need them; every argument has a plain default."""

import secrets
from datetime import UTC, datetime, timedelta
from uuid import UUID

from nuncio_registry.domain.model import (
    App,
    ConsentChange,
    Environment,
    Facts,
    Permission,
    Platform,
    Provider,
    Registration,
)
from nuncio_registry.domain.sealing import KEY_BYTES, KeyRing
from nuncio_registry.domain.tokens import plain_token

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
APP = "com.example.shop"


def key_ring(*ids: int) -> KeyRing:
    """A ring of made-up keys with these ids, 1 by default; equal ids have equal keys."""
    keys = {key_id: bytes((key_id,)) * KEY_BYTES for key_id in ids or (1,)}
    return KeyRing(seal_keys=keys, lookup_key=b"l" * KEY_BYTES)


def app(app_id: str = APP, *, stale_after: timedelta = timedelta(days=30)) -> App:
    """An app that was created now."""
    return App(
        app_id=app_id,
        display_name="Shop",
        stale_after=stale_after,
        expire_after=timedelta(days=270),
        retention=timedelta(days=90),
        created_at=NOW,
    )


def hex_token() -> str:
    """A new APNs token."""
    return secrets.token_hex(32)


def key(number: int) -> UUID:
    """The installation id with this number: ids are in the order of their numbers."""
    return UUID(int=number)


def registration(
    number: int = 1,
    token: str | None = None,
    *,
    platform: Platform = Platform.IOS,
    environment: Environment = Environment.PRODUCTION,
    user_id: str | None = None,
    facts: Facts | None = None,
    consents: tuple[ConsentChange, ...] = (),
    observed_at: datetime | None = None,
) -> Registration:
    """A registration of APNs on iOS, of FCM elsewhere, by somebody who may be reached."""
    return Registration(
        installation_id=key(number),
        platform=platform,
        provider=Provider.APNS if platform == Platform.IOS else Provider.FCM,
        environment=environment,
        token=plain_token(token or hex_token()),
        user_id=user_id,
        facts=facts if facts is not None else Facts(permission=Permission.GRANTED),
        consents=consents,
        observed_at=observed_at,
    )
