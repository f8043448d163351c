"""What the domain asks of the storage to seal tokens anew. The comments are the contract."""

from collections.abc import Sequence
from typing import NamedTuple, Protocol
from uuid import UUID


class TokenKey(NamedTuple):
    """Where a token is: the order of a walk over all apps."""

    app_id: str
    installation_id: UUID


class SealedToken(NamedTuple):
    """A token as it is stored. sealed: None when it was not asked for."""

    app_id: str
    installation_id: UUID
    key_id: int
    sealed: bytes | None


class Resealed(NamedTuple):
    """A token that was sealed anew. before: as it was stored until then."""

    app_id: str
    installation_id: UUID
    before: bytes
    sealed: bytes


class SealedTokens(Protocol):
    """The sealed tokens of all apps."""

    async def page(
        self, *, after: TokenKey | None, newest: int, limit: int
    ) -> Sequence[SealedToken]:
        """The next tokens in the order of their keys; sealed ones unless the key is `newest`."""

    async def reseal(self, tokens: Sequence[Resealed], *, key_id: int) -> int:
        """Replace each token that is still as it was; how many were. Touches nothing else of the
        installation.
        """
