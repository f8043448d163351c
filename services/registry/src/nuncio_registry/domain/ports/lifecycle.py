"""What the domain asks of the storage about tokens that die. The comments are the contract."""

from collections.abc import Sequence
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple, Protocol

from nuncio_registry.domain.model import DeadToken, InvalidationOutcome


class RestoreOutcome(IntEnum):
    """What taking one invalidation back did. The numbers are those of storage/lifecycle.sql."""

    RESTORED = 1
    REGISTERED_AGAIN = 2  # or the token is live already, or died once more since
    OWNED_BY_ANOTHER = 3  # or was since
    GONE = 4


class Window(NamedTuple):
    """Invalidations that were recorded from `start` on and before `end`.

    reasons: those for one of these; empty: for any. lane, campaign: "" for any.
    """

    start: datetime
    end: datetime
    reasons: tuple[str, ...] = ()
    lane: str = ""
    campaign: str = ""


class Mark(NamedTuple):
    """How far a walk from the newest invalidation to the oldest has come: the last one it saw."""

    invalidated_at: datetime
    invalidation_id: int


class Batch(NamedTuple):
    """What came of each invalidation of a batch. mark: None after the last batch."""

    outcomes: Sequence[RestoreOutcome]
    mark: Mark | None


class Lifecycle(Protocol):
    """Tokens that die, and come back."""

    async def invalidate(
        self, app_id: str, tokens: Sequence[DeadToken], *, now: datetime
    ) -> list[InvalidationOutcome]:
        """Retire each token that is still the same, live, and not observed after it died.

        All in one transaction, in order: a token that is named twice dies the first time. Those
        that die are recorded as invalidated at `now`, and in the change feed. Safe to repeat.
        """

    async def restore(
        self,
        app_id: str,
        window: Window,
        *,
        after: Mark | None,
        limit: int,
        now: datetime,
        dry_run: bool,
    ) -> Batch:
        """Take back at most `limit` invalidations of the window, the newest first.

        after: where the walk goes on; None: at the newest. One transaction, so that a batch holds
        its locks no longer than it takes. A token lives again when its installation is dead by
        this very invalidation and nobody else has the token, or had it since, whatever became of
        them: of installations that had it one after the other, the last one alone gets it, also
        when only the death of an earlier one is in the window. Changes go to the feed. dry_run:
        changes and locks nothing, and counts the same.
        """
