"""First registrations as rows, and transactions of others that they meet."""

from collections.abc import Sequence

from nuncio_registry.domain.model import Registration
from nuncio_registry.domain.ports.registration import NewRow
from nuncio_registry.domain.sealing import bound_to
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import Connection
from nuncio_registry.storage.registration import Q
from tests.unit.registry.builders import APP, NOW, key_ring

KEYS = key_ring()
# For the connection that asks. In a transaction pg_stat_activity stands still.
_WAITING = """
    SELECT EXISTS (
      SELECT FROM pg_locks
       WHERE NOT granted AND pg_backend_pid() = ANY (pg_blocking_pids(pid))
    )
"""


def new_rows(rows: Sequence[Registration]) -> tuple[list[NewRow], list[bytes]]:
    """All of them as new ones, and the hashes of their tokens."""
    hashes = [KEYS.hash(row.provider, row.token) for row in rows]
    sealed = [KEYS.seal(row.token, bound_to(APP, row.installation_id)) for row in rows]
    new = [
        NewRow(at, is_new=True, takes_token=True, key_id=KEYS.newest, sealed=told)
        for at, told in enumerate(sealed)
    ]
    return new, hashes


async def begin(connection: Connection, row: Registration) -> None:
    """Register the row in a transaction that is open when this returns."""
    new, hashes = new_rows([row])
    told = rows_.registration_row(row, new[0], hashes[0])
    await connection.execute("BEGIN")
    assert await connection.fetch(
        Q.create_installations, APP, NOW, (), (), (), (), KEYS.newest, [told]
    )


async def until_somebody_waits(connection: Connection) -> None:
    """Return when somebody waits for the transaction that is open on the connection."""
    while not await connection.fetchval(_WAITING):
        pass
