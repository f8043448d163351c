"""What the domain asks of the storage for hygiene. The comments are the contract."""

from collections.abc import Sequence
from contextlib import AbstractAsyncContextManager
from datetime import date, datetime
from enum import IntEnum, StrEnum
from typing import NamedTuple, Protocol
from uuid import UUID

from nuncio_registry.domain.model import App, Platform, TokenState


class Cutoffs(NamedTuple):
    """An app's policies as times.

    stale, expire: installations last seen earlier are stale, expire. delete: installations whose
    token is dead since earlier are deleted.
    """

    stale: datetime
    expire: datetime
    delete: datetime


class Fate(IntEnum):
    """What the policies have for an installation."""

    KEPT = 0
    EXPIRING = 1
    DELETING = 2


class Group(NamedTuple):
    """Installations that are equal for all that is counted. ids: only of those that change."""

    platform: Platform
    token_state: TokenState
    app_version: str
    permitted: bool
    stale: bool
    fate: Fate
    installations: int
    ids: Sequence[UUID]


class Part(NamedTuple):
    """The next installations in key order. cursor: the last of them. is_last: none come after."""

    groups: Sequence[Group]
    cursor: UUID
    is_last: bool


class Scans(Protocol):
    """Looks at all installations of an app, part by part. May read from a replica."""

    async def part(self, app_id: str, *, first: UUID, cutoffs: Cutoffs, limit: int) -> Part | None:
        """The next `limit` installations from key `first` on, None when there are none.

        An installation is EXPIRING when its token is live and it was last seen before
        `cutoffs.expire`; DELETING when its token is dead, and since before `cutoffs.delete`, both
        by its own time and by the time at which its last invalidation was told.
        """


class Removed(StrEnum):
    """What hygiene does to rows, for reports and metrics."""

    EXPIRED = "expired"
    DELETED = "deleted"
    INVALIDATIONS = "invalidations"
    CHANGES = "changes"
    AUDIT_EVENTS = "audit_events"
    DAYS = "days"
    LEFTOVERS = "leftovers"


class HygieneStore(Protocol):
    """Carries the policies out, a batch at a time. Each call is one short transaction.

    Rows that somebody else has locked are passed over; conditions are looked at again when the row
    is locked, so an installation that registered meanwhile stays as it is.
    """

    async def due(
        self, *, counted_before: datetime, now: datetime, after: str, limit: int
    ) -> list[App]:
        """Apps not counted since then, or to be counted again `now` by their `Recount`.

        In order of their ids, those greater than `after`.
        """

    async def expire(
        self, app_id: str, ids: Sequence[UUID], *, before: datetime, now: datetime
    ) -> int:
        """Let the live tokens of those last seen before then expire; how many.

        State, feed and ownership change together.
        """

    async def delete(
        self, app_id: str, ids: Sequence[UUID], *, before: datetime, now: datetime
    ) -> int:
        """Delete those that are DELETING, with their ledger and invalidations; how many.

        The feed keeps what happened to them, and gets a DELETED change.
        """

    async def delete_invalidations(self, app_id: str, *, before: datetime, limit: int) -> int:
        """Delete invalidations told before then, at most `limit`; how many."""

    async def delete_changes(self, app_id: str, *, before: datetime, limit: int) -> int:
        """Delete changes of before then from the feed, at most `limit`; how many.

        Not those that the statistics have not counted yet.
        """

    async def delete_audit_events(self, *, before: datetime, limit: int) -> int:
        """Delete audit events of before then, at most `limit`; how many."""

    async def delete_days(self, *, before: date, limit: int) -> int:
        """Delete statistics of days before then, at most `limit` rows of each sort; how many."""


class Meter(Protocol):
    """Shows what hygiene does."""

    def removed(self, what: Removed, rows: int) -> None:
        """Rows were changed or deleted."""

    def ran(self, *, seconds: float, at: datetime) -> None:
        """A run has succeeded."""

    def leads(self, leads: bool, /) -> None:
        """Whether this process is the leader."""


class Seat(Protocol):
    """A candidate for the lead."""

    async def take(self) -> bool:
        """Try to become the leader; whether we are."""

    async def lost(self) -> None:
        """Return as soon as the lead may be somebody else's."""


class Election(Protocol):
    """At most one process leads at a time."""

    def stand(self) -> AbstractAsyncContextManager[Seat]:
        """Be a candidate while inside. Leaving gives the lead up. Raises StorageUnavailable."""
