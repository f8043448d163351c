"""Installations that match a predicate, listed and counted by the storage under test."""

from datetime import timedelta
from uuid import UUID

from nuncio_registry.domain.keys import FIRST_KEY, LAST_KEY
from nuncio_registry.domain.model import Installation
from nuncio_registry.domain.ports.selection import Counts, Selection
from nuncio_registry.domain.predicate import Predicate
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.counting import PostgresCountings
from nuncio_registry.storage.listings import PostgresListings
from tests.unit.registry.builders import APP, NOW

MANY = 1_000


def those(
    predicate: Predicate | None = None,
    *,
    app_id: str = APP,
    purpose: str = "",
    first: UUID = FIRST_KEY,
    last: UUID = LAST_KEY,
) -> Selection:
    """All who match; stale are those not seen for 30 days."""
    return Selection(app_id, predicate, purpose, NOW - timedelta(days=30), first, last)


async def listed(pool: Pool, selection: Selection) -> list[Installation]:
    """All of them, of a few."""
    return list((await PostgresListings(pool).scan(selection, limit=MANY, keys=MANY)).installations)


async def counted(pool: Pool, selection: Selection) -> Counts:
    """All of them, of a few."""
    return (await PostgresCountings(pool).scan(selection, limit=MANY, keys=MANY)).counts
