"""Tells feedback every final outcome, at least once."""

from collections.abc import Sequence
from contextlib import aclosing
from datetime import timedelta
from typing import Final

import structlog

from nuncio_dispatcher.domain.pages import Outcomes
from nuncio_dispatcher.domain.ports import Feedback, Outbox
from nuncio_dispatcher.domain.wait import Backoff, Wake
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import Kind, ServiceError

log = structlog.get_logger(__name__)

PAGES_AT_ONCE: Final = 8
HOLD: Final = timedelta(seconds=30)
"""How long pages are kept from other replicas, and when one that was refused comes again."""


class Reporter:
    """Empties the outbox. Feedback may be away for any time: the pages wait in the database."""

    def __init__(
        self, outbox: Outbox, feedback: Feedback, *, clock: Clock, poll: timedelta
    ) -> None:
        self._outbox = outbox
        self._feedback = feedback
        self._wake = Wake(clock, poll=poll)
        self._backoff = Backoff(clock)

    def wake(self) -> None:
        """Look into the outbox now: a page was closed."""
        self._wake.set()

    async def run(self) -> None:
        """Report until cancelled."""
        while True:
            try:
                found = await self.report_some()
            except Exception as error:  # noqa: BLE001 - whatever it was, the pages are still there
                log.warning("outcomes_not_reported", fault=type(error).__name__, reason=str(error))
                await self._backoff.pause()
                continue
            self._backoff.reset()
            if not found:
                await self._wake.wait()

    async def report_some(self) -> int:
        """Report the oldest pages; returns how many there were."""
        pages = await self._outbox.take(PAGES_AT_ONCE, hold=HOLD)
        left = pages
        while left:
            left = left[await self._report(left) :]
        return len(pages)

    async def _report(self, pages: Sequence[Outcomes]) -> int:
        """Report pages up to the first that is refused; returns how many are dealt with."""
        stored: list[Outcomes] = []
        try:
            async with aclosing(self._feedback.report(pages)) as acknowledged:
                async for page_id in acknowledged:
                    stored += (page for page in pages if page.page_id == page_id)
        except ServiceError as error:
            if error.kind is not Kind.INVALID_ARGUMENT or len(stored) == len(pages):
                raise
            # One bad page must not hold up the others. It stays in the outbox, for people to see.
            refused = pages[len(stored)].page_id
            log.error("outcomes_refused", page_id=refused, reason=error.message)
            return len(stored) + 1
        finally:
            if stored:
                await self._outbox.mark_reported(stored)
        return len(pages)
