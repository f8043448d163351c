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


async def release(connection: Connection, app_id: str, owned: Sequence[Ownership]) -> int:
    """Take the tokens from their owners; how many of these did own theirs.

    Every way to lose a token leads here. With its owner a token leaves all who died with it
    before: `RestoreTokens` must not give a device to somebody who had it before its last owner.
    """
    if not owned:
        return 0
    released: int = await connection.fetchval(Q.release_tokens, app_id, *zip(*owned, strict=True))
    return released


async def take(connection: Connection, app_id: str, owned: Sequence[Ownership]) -> None:
    """Give the tokens to their owners. Raises UniqueViolationError when one has another."""
    if owned:
        await connection.execute(Q.take_tokens, app_id, *zip(*owned, strict=True))
