"""The audit: who read raw tokens, and who did what an operator is answerable for.

An event is durable before anything happens: it says that a call was made, not that it succeeded.
What cannot be recorded does not happen.
"""

from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Final, NamedTuple, Self

from nuncio_registry.domain.coalesce import Coalescer
from nuncio_registry.domain.ports.audit import (
    AuditEvent,
    AuditFilter,
    AuditMark,
    AuditPage,
    AuditTrail,
)
from nuncio_runtime.clock import Clock

KEY_ROTATION: Final = "rotate-keys"
"""The command, as an event names it."""


class Caller(NamedTuple):
    """Who calls. request_id: as in logs."""

    principal: str
    peer: str
    request_id: str


class Audit:
    """Records and lists audit events. Use it as an asynchronous context manager.

    Raises StorageUnavailable, or WriteQueueFull, when an event cannot be stored.
    """

    def __init__(self, trail: AuditTrail, clock: Clock) -> None:
        self._trail = trail
        self._clock = clock
        self._reads: Coalescer[None, AuditEvent, None] = Coalescer(self._write_reads, clock)

    async def __aenter__(self) -> Self:
        await self._reads.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self._reads.__aexit__(kind, error, trace)

    async def record(
        self, method: str, caller: Caller, *, app_id: str, details: Mapping[str, str]
    ) -> None:
        """Store an event of its own; it is durable when this returns."""
        await self._trail.append([self._event(method, caller, app_id, details)])

    async def record_read(
        self, method: str, caller: Caller, *, app_id: str, details: Mapping[str, str]
    ) -> None:
        """The same for a read of raw tokens: many at a time share a statement, and equal ones an
        event, see `merged`.
        """
        await self._reads.put(None, self._event(method, caller, app_id, details))

    async def page(self, wanted: AuditFilter, *, before: AuditMark | None, limit: int) -> AuditPage:
        """See `AuditTrail.page`."""
        return await self._trail.page(wanted, before=before, limit=limit)

    def _event(
        self, method: str, caller: Caller, app_id: str, details: Mapping[str, str]
    ) -> AuditEvent:
        return AuditEvent(
            recorded_at=self._clock.now(),
            principal=caller.principal,
            peer=caller.peer,
            method=method,
            app_id=app_id,
            request_id=caller.request_id,
            details=details,
        )

    async def _write_reads(self, _key: None, events: Sequence[AuditEvent]) -> list[None]:
        await self._trail.append(merged(events))
        return [None] * len(events)


def merged(events: Sequence[AuditEvent]) -> list[AuditEvent]:
    """Events that differ in time and request only become one, the first, that tells the `count`."""
    alike: dict[object, list[AuditEvent]] = {}
    for event in events:
        details = frozenset(event.details.items())
        same = (event.principal, event.peer, event.method, event.app_id, details)
        alike.setdefault(same, []).append(event)
    return [
        group[0]
        if len(group) == 1
        else group[0]._replace(details={**group[0].details, "count": str(len(group))})
        for group in alike.values()
    ]
