"""What the domain asks of the storage of installations. The comments are the contract."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentEvent,
    ConsentState,
    FactsChange,
    Installation,
    Platform,
    Provider,
    Suppression,
    Touch,
)


class ReachCount(NamedTuple):
    """How many installations of a user and channel are alike.

    reason: None, when they may be reached. last_seen: when one of them last showed itself.
    """

    user_id: str
    provider: Provider
    platform: Platform
    reason: Suppression | None
    installations: int
    last_seen: datetime


class Installations(Protocol):
    """Installations besides the registration of their tokens. Every call is one transaction.

    What a call changes is in the change feed, in the same transaction.
    """

    async def get(self, app_id: str, installation_id: UUID) -> Installation | None:
        """The installation, None when there is none."""

    async def update(
        self, app_id: str, installation_id: UUID, change: FactsChange, *, now: datetime
    ) -> Installation | None:
        """Change facts and give the installation as it is now, None when there is none.

        Another permission than before is in the feed. Raises InvalidField, changing nothing, when
        its sets would grow too large.
        """

    async def set_user(
        self, app_id: str, installation_id: UUID, user_id: str, *, now: datetime
    ) -> str | None:
        """Set the user, none when empty; give the one before, None when there is no such row.

        In the feed only when the user is another one.
        """

    async def merge_users(
        self, app_id: str, *, from_user: str, into_user: str, limit: int, now: datetime
    ) -> int:
        """Give the first `limit` installations of one user to another; how many these were."""

    async def set_consent(
        self,
        app_id: str,
        installation_id: UUID,
        *,
        changes: Sequence[ConsentChange],
        now: datetime,
    ) -> Mapping[str, ConsentState] | None:
        """Record the changes, ledger included; give all consents, None when there is no such row.

        A change that equals the latest event of its purpose is not recorded twice, neither in the
        ledger nor in the feed. Raises InvalidField, changing nothing, when it would leave too many
        purposes.
        """

    async def consent_events(
        self, app_id: str, installation_id: UUID, *, before: int | None, limit: int
    ) -> list[ConsentEvent] | None:
        """The ledger of an installation, newest first, entries with an id less than `before`.

        None when there is no such installation.
        """

    async def touch(self, app_id: str, touches: Sequence[Touch]) -> Collection[UUID]:
        """Move the times of installations on, never back; those of them that exist.

        An installation may be named more than once. Not in the feed.
        """

    async def reachability(
        self, app_id: str, user_ids: Sequence[str], *, purpose: str, stale_before: datetime
    ) -> list[ReachCount]:
        """Count the users' installations by channel and reason (see Suppression), in this order.

        purpose: empty, consent is not asked for. Users without installations have no counts.
        """
