"""Forgets the pages of dispatches that have finished long ago."""

from datetime import timedelta
from typing import Final

import structlog

from nuncio_dispatcher.domain.ports import Journal
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import ServiceError

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(minutes=1)
ROWS_AT_ONCE: Final = 200
PAUSE: Final = timedelta(milliseconds=100)
"""Between two batches, so that forgetting takes little from sending."""


async def keep_forgetting(journal: Journal, clock: Clock, *, after: timedelta) -> None:
    """Until cancelled, forget what finished longer ago than `after`, a few rows at a time."""
    while True:
        gone = 0
        try:
            gone = await journal.forget(finished_before=clock.now() - after, limit=ROWS_AT_ONCE)
        except ServiceError as error:
            log.warning("pages_not_forgotten", reason=error.message)
        await clock.sleep((PAUSE if gone else EVERY).total_seconds())
