"""What the domain asks of the storage when tokens die. The comments are the contract."""

from collections.abc import Sequence
from typing import Protocol

from nuncio_registry.domain.model import DeadToken, InvalidationOutcome


class Lifecycle(Protocol):
    """Tokens that die, and come back."""

    async def invalidate(
        self, app_id: str, tokens: Sequence[DeadToken]
    ) -> list[InvalidationOutcome]:
        """Retire each token that is still the same, live, and not registered after it died."""
