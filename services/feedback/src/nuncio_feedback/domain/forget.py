"""Forgetting the ids of pages that nobody reports any more."""

from datetime import timedelta
from typing import Final

import structlog

from nuncio_feedback.domain.ports import Outcomes
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import ServiceError

log = structlog.get_logger(__name__)

BATCH: Final = 5_000


class ForgetPages:
    """Keeps the list of reported pages short. keep: how long a page id is remembered."""

    def __init__(self, outcomes: Outcomes, *, clock: Clock, keep: timedelta) -> None:
        self._outcomes = outcomes
        self._clock = clock
        self._keep = keep

    async def keep_forgetting(self, *, every: timedelta) -> None:
        """Forget now and then; an outage of the storage only delays it."""
        while True:
            try:
                await self.forget()
            except ServiceError as error:
                log.warning("forgetting_postponed", kind=error.kind.name, reason=error.reason)
            await self._clock.sleep(every.total_seconds())

    async def forget(self) -> None:
        """Forget what is old enough, in small batches that hold up nobody."""
        before = self._clock.now() - self._keep
        while await self._outcomes.forget_pages(before=before, limit=BATCH) == BATCH:
            pass
