"""Who owns which token: one row of live_token for each ACTIVE installation."""

from collections.abc import Sequence
from typing import NamedTuple
from uuid import UUID

from nuncio_registry.domain.model import Environment
from nuncio_registry.storage.connection import Connection, Q


class Ownership(NamedTuple):
    """An installation and its token."""

    installation_id: UUID
    token_hash: bytes
    environment: Environment


async def release(connection: Connection, app_id: str, owned: Sequence[Ownership]) -> None:
    """Take the tokens from their owners."""
    if owned:
        await connection.execute(Q.release_tokens, app_id, *zip(*owned, strict=True))


async def take(connection: Connection, app_id: str, owned: Sequence[Ownership]) -> None:
    """Give the tokens to their owners. Raises UniqueViolationError when one has another."""
    if owned:
        await connection.execute(Q.take_tokens, app_id, *zip(*owned, strict=True))
