"""The consent ledger and the change feed: rows are only ever added."""

from collections.abc import Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from nuncio_registry.domain.model import Change, ConsentChange
from nuncio_registry.storage.connection import Connection
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "history.sql")


async def record_consents(
    connection: Connection,
    app_id: str,
    consents: Sequence[tuple[UUID, ConsentChange]],
    *,
    now: datetime,
) -> None:
    """Append what installations said; not what only repeats the latest event of its purpose."""
    if consents:
        columns = [
            [installation_id for installation_id, _ in consents],
            [change.purpose for _, change in consents],
            [change.state for _, change in consents],
            [change.source for _, change in consents],
            [change.prompt_strategy for _, change in consents],
            [change.policy_version for _, change in consents],
            [change.actor for _, change in consents],
        ]
        await connection.execute(Q.record_consents, app_id, now, *columns)


async def record_changes(
    connection: Connection, app_id: str, changes: Sequence[Change], *, now: datetime
) -> None:
    """Append to the change feed."""
    if changes:
        columns = zip(*changes, strict=True)
        await connection.execute(Q.record_changes, app_id, now, *columns)
