"""What the domain asks of the outside: storage, the registry and the meter."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import datetime
from typing import Protocol

from nuncio_feedback.domain.model import (
    Backlog,
    DeadToken,
    Invalidation,
    InvalidationOutcome,
    Lessons,
    OutcomePage,
    Position,
    Report,
    Scope,
)

Ask = Callable[[Sequence[DeadToken]], Awaitable[Sequence[InvalidationOutcome]]]


class Outcomes(Protocol):
    """Keeps what pages taught. Every method raises a ServiceError, UNAVAILABLE, in an outage."""

    async def record(self, page: OutcomePage, lessons: Lessons, *, at: datetime) -> bool:
        """Store the page's lessons: all or nothing, and once per (app_id, page_id).

        False when the page was stored before; nothing changes then, also when the same page is
        recorded twice at the same moment. Every dead token becomes a pending invalidation.
        """

    async def report(self, scope: Scope) -> Report:
        """Count outcomes and invalidations of one moment. Kinds that do not occur are absent."""

    async def forget_pages(self, *, before: datetime, limit: int) -> int:
        """Forget at most `limit` page ids that were recorded before; how many it were.

        Their counts stay; but a forgotten page that is reported again counts again.
        """


class Invalidations(Protocol):
    """Keeps dead tokens and what came of them. Raises like Outcomes."""

    async def backlog(self) -> Sequence[Backlog]:
        """What is pending, per app; the app that waits longest comes first."""

    async def settle(self, app_id: str, *, limit: int, ask: Ask) -> Sequence[InvalidationOutcome]:
        """Take the oldest pending ones of the app, at most `limit`, and store what `ask` says.

        ask: gets the tokens and gives an outcome for each, in order; it is not called when
        nothing is pending. While it runs, nobody else is given the same ones; when it raises, or
        the process dies, they are pending as before. Returns what was stored, empty when nothing
        was there to be taken.
        """

    async def newest(
        self, scope: Scope, *, after: Position | None, limit: int
    ) -> Sequence[Invalidation]:
        """Invalidations of the app, or of one dispatch of it, newest first.

        after: the position of the last one read, None for the start. The scope's campaign is
        not looked at.
        """


class Registry(Protocol):
    """The registry, which owns the tokens."""

    async def invalidate(
        self, app_id: str, tokens: Sequence[DeadToken]
    ) -> Sequence[InvalidationOutcome]:
        """Retire the tokens that have not been registered again since they died.

        1 to 1,000 tokens; one outcome for each, in order, never PENDING. An app that the registry
        does not know gives UNKNOWN for all. Safe to repeat. Raises ServiceError: UNAVAILABLE or
        DEADLINE_EXCEEDED when the registry cannot be reached.
        """


class Apps(Protocol):
    """The apps, which the registry owns, too."""

    async def may_have(self, app_id: str) -> bool:
        """Whether there is such an app. True also when the registry cannot be asked now."""


class Meter(Protocol):
    """Counts for those who watch the service."""

    def page(self, page: OutcomePage, *, stored: bool) -> None:
        """A page was taken. stored: False when it had been reported before."""

    def settled(self, outcomes: Sequence[InvalidationOutcome]) -> None:
        """The registry answered."""

    def backlog(self, count: int, *, oldest_seconds: float) -> None:
        """So many invalidations are pending, and the oldest since so long; 0 when none is."""
