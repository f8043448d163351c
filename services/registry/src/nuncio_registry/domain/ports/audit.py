"""What the domain asks of the storage of audit events. The comments are the contract."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import NamedTuple, Protocol


class AuditEvent(NamedTuple):
    """A call that reads raw tokens, or that an operator is answerable for.

    principal: empty when callers are not told apart. app_id: empty for all apps. details: without
    tokens and user ids.
    """

    recorded_at: datetime
    principal: str
    peer: str
    method: str
    app_id: str
    request_id: str
    details: Mapping[str, str]


class AuditFilter(NamedTuple):
    """Which events. Empty texts ask for nothing; start is inclusive, end exclusive."""

    app_id: str
    method: str
    principal: str
    start: datetime
    end: datetime


class AuditMark(NamedTuple):
    """A place among the events, by time and then by their numbers."""

    recorded_at: datetime
    event_id: int


class AuditPage(NamedTuple):
    """Events, newest first. next: where to go on, None after the last page."""

    events: list[AuditEvent]
    next: AuditMark | None


class AuditTrail(Protocol):
    """Audit events: they are added, read, and deleted when they are old. They never change."""

    async def append(self, events: Sequence[AuditEvent]) -> None:
        """Store all of them or none; durable when it returns."""

    async def page(self, wanted: AuditFilter, *, before: AuditMark | None, limit: int) -> AuditPage:
        """Events that match, newest first, those before the mark.

        Looks at a bounded number of events, so a page may have fewer than `limit`, even none,
        though others follow.
        """

    async def delete_before(self, time: datetime, limit: int) -> int:
        """Delete the oldest of the events before the time, at most `limit`; how many."""
