"""Registrations whose content has a hash, and those that repeat it."""

from datetime import datetime, timedelta
from typing import Any

from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentState,
    DeadToken,
    Facts,
    Permission,
    Registration,
)
from nuncio_registry.domain.ports.registration import Repeat
from nuncio_registry.domain.ports.sealed import Resealed
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_registry.storage.sealed import PostgresSealedTokens
from tests.unit.registry.builders import APP, NOW, hex_token, key, registration

HOUR = timedelta(hours=1)
LATER = NOW + HOUR
HASH, OTHER_HASH = b"h" * 16, b"o" * 16
GRANTED = ConsentChange("news", ConsentState.GRANTED)
FULL = Facts(
    permission=Permission.GRANTED, language="de", topics=("a",), tags=("b",), attributes={"c": 1.0}
)


def told(number: int = 1, token: str | None = None, **fields: Any) -> Registration:
    """A registration whose content has a hash."""
    plain: dict[str, Any] = {"user_id": "ada", "facts": FULL, "consents": (GRANTED,)}
    row = registration(number, token or hex_token(), **(plain | fields))
    return row._replace(content_hash=HASH)


def repeat(
    number: int = 1,
    content_hash: bytes = HASH,
    *,
    observed: datetime | None = None,
    seen: datetime | None = None,
) -> Repeat:
    return Repeat(key(number), content_hash, observed, seen)


async def moved(
    pool: Pool, *repeats: Repeat, now: datetime = LATER, app_id: str = APP, key_id: int = 1
) -> dict[int, datetime]:
    registrations = PostgresRegistrations(pool)
    return await registrations.move_times_on(app_id, repeats, key_id=key_id, now=now)


async def rows(pool: Pool) -> dict[int, dict[str, Any]]:
    """All columns of the installations, by their numbers."""
    found = await pool.fetch("SELECT * FROM installation")
    return {row["installation_id"].int: dict(row) for row in found}


async def die(pool: Pool) -> None:
    hashes = await pool.fetch("SELECT installation_id, token_hash FROM installation")
    dead = [DeadToken(id_, token_hash[:16], NOW, "Gone") for id_, token_hash in hashes]
    await PostgresLifecycle(pool).invalidate(APP, dead, now=NOW)


async def reseal(pool: Pool) -> None:
    row = (await rows(pool))[1]
    anew = [Resealed(APP, key(1), row["token_sealed"], b"anew")]
    assert await PostgresSealedTokens(pool).reseal(anew, key_id=2) == 1
