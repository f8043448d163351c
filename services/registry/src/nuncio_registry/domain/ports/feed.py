"""What the domain asks of the storage of the change feed. The comments are the contract."""

from collections.abc import Sequence
from datetime import datetime
from typing import NamedTuple, Protocol
from uuid import UUID

from nuncio_registry.domain.model import Installation


class Position(NamedTuple):
    """A place in the feed: after this change of this transaction. Later places are greater."""

    transaction_id: int
    change_id: int


class FeedEvent(NamedTuple):
    """A change as the feed gives it.

    kind: a number of ChangeKind, or one that only a newer release knows. value and detail: see
    `domain.model.Change`. installation: as it was when the page was read, None when it was gone.
    """

    position: Position
    installation_id: UUID
    kind: int
    value: int
    detail: str
    happened_at: datetime
    installation: Installation | None


class FeedPage(NamedTuple):
    """Events in order, and where to go on after them."""

    events: Sequence[FeedEvent]
    position: Position


class ChangeFeed(Protocol):
    """What happened to an app's installations, in an order that nothing is ever added behind.

    A transaction's changes are given together with those of all transactions before it: they wait
    for the oldest transaction of the database server that may still write.
    """

    async def read(self, app_id: str, *, after: Position | None, limit: int) -> FeedPage | None:
        """At most `limit` events after the position; without one, from the oldest that is kept.

        None when the feed cannot go on from there: events after it are deleted, or it belongs to
        another life of the database. The position of a page without events is where it began.
        """

    async def newest(self, app_id: str) -> Position:
        """The position after the last event that `read` would give now."""

    async def delete_before(self, app_id: str, *, time: datetime, limit: int) -> int:
        """Delete the oldest events, at most `limit`, that happened before the time; how many.

        Stops at the first that is younger, and at the first that the statistics (bookmark "flow")
        have not counted yet; what comes after stays. Fewer than `limit`: there are no more.
        """
