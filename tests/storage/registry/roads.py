"""The fast roads of registration beside the slow one, and what each leaves in the tables.

The fast roads store repeated and first registrations by one statement each; the slow one looks,
decides and writes, and says what is right.
"""

from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, NamedTuple
from uuid import UUID

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.register_one import SettleTogether, WriteTogether
from nuncio_registry.domain.repeats import Repeats
from nuncio_registry.domain.sealing import KeyRing, bound_to
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool, open_by_key
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.postgres import open_pool
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import key_ring

TABLES = ("installation", "live_token", "consent_event", "change", "invalidation")

# Numbers that the database gives, and nonces; sealed tokens are compared opened.
_UNEQUAL = {"app_id", "transaction_id", "change_id", "event_id", "invalidation_id", "token_sealed"}
_ORDER = {
    "installation": "installation_id",
    "live_token": "token_hash, environment",
    "consent_event": "installation_id, event_id",
    # A page may be several transactions, in each of which an installation is once.
    "change": "installation_id, transaction_id, change_id",
    "invalidation": "installation_id, invalidation_id",
}


class Pools(NamedTuple):
    """Connections to one database: of its own planner, and of `open_by_key`."""

    main: Pool
    by_key: Pool


class SlowRoad(PostgresRegistrations):
    """Registrations that know the slow road alone."""

    async def move_times_on(self, *_: object, **__: object) -> dict[int, datetime]:
        """Nothing is known to be a repetition."""
        return {}

    async def create(
        self, *_: object, **__: object
    ) -> tuple[Collection[UUID], Mapping[int, datetime]]:
        """Nothing is known to be the first."""
        return (), {}


class Road(NamedTuple):
    """One way to register, with what it consists of."""

    register: Register
    repeats: Repeats
    apps: Apps
    together: WriteTogether
    settling: SettleTogether


@asynccontextmanager
async def open_pools() -> AsyncIterator[Pools]:
    """Connections to a database with all migrations."""
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        open_pool(database) as main,
        open_by_key(database) as by_key,
    ):
        yield Pools(main, by_key)


def road(
    pools: Pools, clock: ManualClock, *, slow: bool = False, keys: KeyRing | None = None
) -> Road:
    """The fast roads with the slow one behind them, or the slow one alone."""
    storage = SlowRoad if slow else PostgresRegistrations
    registrations = storage(pools.main, by_key=pools.by_key)
    apps = Apps(PostgresApps(pools.main), clock)
    guard, ring = EndpointGuard(hosts=()), keys or key_ring()
    register = Register(registrations, apps, keys=ring, guard=guard, clock=clock)
    repeats = Repeats(registrations, apps, keys=ring, guard=guard, clock=clock)
    together, settling = WriteTogether(register, repeats), SettleTogether(register)
    return Road(register, repeats, apps, together, settling)


async def tables_of(pool: Pool, app_id: str) -> dict[str, list[dict[str, Any]]]:
    """All that is stored of an app but what no two apps have equal, in the order of its keys."""
    return {table: await _rows_of(pool, table, app_id) for table in TABLES}


async def _rows_of(pool: Pool, table: str, app_id: str) -> list[dict[str, Any]]:
    query = f"SELECT * FROM {table} WHERE app_id = $1 ORDER BY {_ORDER[table]}"  # noqa: S608
    found = [dict(row) for row in await pool.fetch(query, app_id)]
    for row in found:
        if "token_sealed" in row:
            row["token"] = key_ring(1, 2).open(
                row["token_sealed"],
                key_id=row["token_key_id"],
                bound_to=bound_to(app_id, row["installation_id"]),
            )
    return [{name: told for name, told in row.items() if name not in _UNEQUAL} for row in found]
