"""Keeps the gauges of what waits up to date."""

from datetime import timedelta
from typing import Final

import structlog

from nuncio_dispatcher.domain.ports import Journal, Meters
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import ServiceError

log = structlog.get_logger(__name__)

EVERY: Final = timedelta(seconds=15)


async def keep_measuring(journal: Journal, meters: Meters, clock: Clock) -> None:
    """Measure the backlog until cancelled; while the storage is away, the last measure stands."""
    while True:
        try:
            meters.backlog(await journal.backlog())
        except ServiceError as error:
            log.warning("backlog_not_measured", reason=error.message)
        await clock.sleep(EVERY.total_seconds())
