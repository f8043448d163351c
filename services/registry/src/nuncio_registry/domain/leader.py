"""The leader: of all processes of the registry, the one that works for all apps at once."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Final

import structlog

from nuncio_registry.domain.ports.hygiene import Election, Meter, Seat
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import ServiceError

log = structlog.get_logger(__name__)

# A leader that has died is followed by another one after so long at most.
ASK_SECONDS: Final = 3.0

Work = Callable[[], Coroutine[Any, Any, None]]


class Leader:
    """Does the works while this process leads; each of them runs until it is cancelled."""

    def __init__(
        self, election: Election, works: Sequence[Work], *, clock: Clock, meter: Meter
    ) -> None:
        self._election = election
        self._works = works
        self._clock = clock
        self._meter = meter

    async def keep_leading(self) -> None:
        """Until cancelled, be the leader or ask to be."""
        while True:
            try:
                async with self._election.stand() as seat:
                    await self._lead(seat)
            except ServiceError as error:
                log.warning("election_postponed", kind=error.kind.name, reason=error.reason)
            await self._clock.sleep(ASK_SECONDS)

    async def _lead(self, seat: Seat) -> None:
        while not await seat.take():
            await self._clock.sleep(ASK_SECONDS)
        self._meter.leads(True)
        log.info("lead_taken")
        try:
            await self._work_until_lost(seat)
        finally:
            self._meter.leads(False)
            log.info("lead_given_up")

    async def _work_until_lost(self, seat: Seat) -> None:
        """Stop the works at once when another process may have taken the lead."""
        tasks = [asyncio.create_task(work()) for work in (seat.lost, *self._works)]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        for task in done:
            task.result()
