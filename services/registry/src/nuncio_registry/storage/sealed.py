"""Sealed tokens, as the rotation of keys walks over them."""

from collections.abc import Sequence
from typing import Final

from nuncio_registry.domain.keys import FIRST_KEY
from nuncio_registry.domain.ports.sealed import Resealed, SealedToken, TokenKey
from nuncio_registry.storage.connection import Connection, Storage
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "sealed.sql")

_BEFORE_ALL: Final = TokenKey("", FIRST_KEY)  # No app has an empty id.


class PostgresSealedTokens(Storage):
    """Keeps `SealedTokens`."""

    async def page(
        self, *, after: TokenKey | None, newest: int, limit: int
    ) -> Sequence[SealedToken]:
        async with self.connection() as connection:
            rows = await connection.fetch(Q.sealed_tokens, *(after or _BEFORE_ALL), newest, limit)
        return [SealedToken(*row) for row in rows]

    async def reseal(self, tokens: Sequence[Resealed], *, key_id: int) -> int:
        columns = list(zip(*tokens, strict=True))

        async def attempt(connection: Connection) -> int:
            resealed: int = await connection.fetchval(Q.reseal_tokens, key_id, *columns)
            return resealed

        # A page of registrations may have locked the same rows in another order.
        return await self.in_turn(tokens[0].app_id, attempt)
