"""What the domain asks of the storage of installations. The comments are the contract."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol
from uuid import UUID

from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentState,
    FactsChange,
    Installation,
)
from nuncio_registry.domain.predicate import Predicate


class Installations(Protocol):
    """Installations besides the registration of their tokens. Every call is one transaction."""

    async def get(self, app_id: str, installation_id: UUID) -> Installation | None:
        """The installation, None when there is none."""

    async def page(
        self, app_id: str, *, predicate: Predicate | None, first: UUID, limit: int
    ) -> list[Installation]:
        """Installations that match, in key order, from the key `first` on."""

    async def update(
        self, app_id: str, installation_id: UUID, change: FactsChange
    ) -> Installation | None:
        """Change facts and give the installation as it is now, None when there is none.

        Raises InvalidField, changing nothing, when its sets would grow too large.
        """

    async def set_user(self, app_id: str, installation_id: UUID, user_id: str) -> str | None:
        """Set the user, none when empty; give the one before, None when there is no such row."""

    async def set_consent(
        self,
        app_id: str,
        installation_id: UUID,
        *,
        changes: Sequence[ConsentChange],
        now: datetime,
    ) -> Mapping[str, ConsentState] | None:
        """Record the changes, ledger included; give all consents, None when there is no such row.

        A change that equals the latest event of its purpose is not recorded twice.
        """
