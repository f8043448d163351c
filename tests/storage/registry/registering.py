"""Registering as the domain does it, on the storage under test."""

from collections.abc import Sequence
from datetime import datetime

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.model import Registration, RegistrationOutcome
from nuncio_registry.domain.ports.registration import Registered
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.sealing import KeyRing
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_runtime.clock import ManualClock
from tests.unit.registry.builders import APP, NOW, key_ring


async def register(
    pool: Pool,
    rows: Sequence[Registration],
    *,
    now: datetime = NOW,
    keys: KeyRing | None = None,
) -> list[RegistrationOutcome]:
    """Register a page at a time; none of its rows may be refused."""
    clock = ManualClock(now)
    use_case = Register(
        PostgresRegistrations(pool),
        Apps(PostgresApps(pool), clock),
        keys=keys or key_ring(),
        guard=EndpointGuard(hosts=()),
        clock=clock,
    )
    results = await use_case.page(APP, rows)
    assert all(isinstance(result, Registered) for result in results)
    return [result.outcome for result in results if isinstance(result, Registered)]


async def changes_in_sight(pool: Pool) -> None:
    """Until readers of the change feed may see all that is committed.

    They wait for every transaction of the server that began before, those of other tests too.
    """
    seen = """SELECT pg_snapshot_xmin(pg_current_snapshot()) > max(transaction_id) IS NOT FALSE
                FROM change"""
    while not await pool.fetchval(seen):
        await pool.execute("SELECT pg_sleep(0.01)")
