"""The consent ledger and the change feed: rows are only ever added."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from nuncio_registry.domain.model import Change, ConsentChange, Platform
from nuncio_registry.storage.connection import Connection
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "history.sql")


class Said(NamedTuple):
    """What an installation said."""

    installation_id: UUID
    platform: Platform
    change: ConsentChange


async def record_consents(
    connection: Connection, app_id: str, consents: Sequence[Said], *, now: datetime
) -> None:
    """Append what installations said to ledger and change feed, each purpose of each once.

    Not what only repeats the latest event of its purpose. The installations are locked.
    """
    if consents:
        ids, platforms, changes = zip(*consents, strict=True)
        columns = zip(*changes, strict=True)
        await connection.execute(Q.record_consents, app_id, now, ids, platforms, *columns)


async def record_changes(
    connection: Connection, app_id: str, changes: Sequence[Change], *, now: datetime
) -> None:
    """Append to the change feed."""
    if changes:
        columns = zip(*changes, strict=True)
        await connection.execute(Q.record_changes, app_id, now, *columns)
