"""What all lanes have in common: their beginnings and ends, and what bounds a send in between."""

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Final, Protocol

from nuncio_dispatcher.domain.model import Answers, Message, Provider, TargetColumns, Verdict
from nuncio_dispatcher.providers.answers import Answer, Own
from nuncio_dispatcher.providers.fields import LaneSettings
from nuncio_dispatcher.providers.gate import Gate
from nuncio_dispatcher.providers.sheet import Sheet
from nuncio_runtime.clock import Clock

WRITE_WITHIN: Final = timedelta(seconds=15)
"""How long a row may wait in its lane before it goes back as not sent."""
LAST_MARGIN: Final = timedelta(seconds=2)
"""What a send may take longer than writing and answering may."""
STOP_GRACE: Final = timedelta(seconds=0.75)
"""How long answers are waited for once the service has to stop."""
NOT_SENT: Final = Answer(Verdict.RETRY, Own.NOT_SENT)


class Sending(Protocol):
    """One send under way."""

    @property
    def sheet(self) -> Sheet:
        """Its answers."""

    def end_writing(self, answer: Answer) -> None:
        """Write nothing more; give this answer to the rows that were not written."""

    def abandon(self) -> None:
        """Wait for no more answers. Comes after `end_writing`, and fills the sheet."""


class ProviderLane(ABC):
    """A Lane that refuses to start late, and closes once its sends have ended."""

    def __init__(
        self, name: str, settings: LaneSettings, *, provider: Provider, clock: Clock
    ) -> None:
        self.name = name
        self._clock = clock
        self._gate = Gate(name, provider, probe_wait=settings.probe_wait, clock=clock)
        self._send_within = WRITE_WITHIN + settings.answer_within + LAST_MARGIN
        self._sending = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._closing = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, sending={self._sending})"

    async def send(
        self,
        message: Message,
        targets: TargetColumns,
        *,
        expires_at: datetime,
        stop: asyncio.Event | None = None,
    ) -> Answers:
        """See Lane.send."""
        if self._closing or (stop is not None and stop.is_set()):
            return Answers.uniform(len(targets), Verdict.RETRY, reason=Own.NOT_SENT)
        if self._clock.now() >= expires_at:
            return Answers.uniform(len(targets), Verdict.EXPIRED, reason=Own.EXPIRED)
        self._sending += 1
        self._quiet.clear()
        try:
            sheet = Sheet(len(targets))
            await self._send(message, targets, sheet, expires_at=expires_at, stop=stop)
            return sheet.close(lane=self.name)
        finally:
            self._sending -= 1
            if not self._sending:
                self._quiet.set()

    async def aclose(self) -> None:
        """Take no more sends, wait for those under way (they have deadlines), then close."""
        self._closing = True
        await self._quiet.wait()
        await self._close()
        self._gate.close()

    async def _see_through(
        self, sending: Sending, *, expires_at: datetime, stop: asyncio.Event | None
    ) -> None:
        """Return when every row has its answer, and see to it that this is in time."""
        now, loop = self._clock.now(), asyncio.get_running_loop()
        patience = min(WRITE_WITHIN, expires_at - now).total_seconds()
        timers = (
            loop.call_later(patience, sending.end_writing, _too_late(now, expires_at)),
            loop.call_later(self._send_within.total_seconds(), sending.abandon),
        )
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(_cut_short(sending, stop))
                await sending.sheet.full.wait()
                watch.cancel()
        finally:
            for timer in timers:
                timer.cancel()

    @abstractmethod
    async def _send(
        self,
        message: Message,
        targets: TargetColumns,
        sheet: Sheet,
        *,
        expires_at: datetime,
        stop: asyncio.Event | None,
    ) -> None:
        """Fill in the sheet; `_see_through` bounds how long that takes."""

    @abstractmethod
    async def _close(self) -> None: ...


class UnusableLane:
    """Stands in where there is no credential, or one that cannot be used. Never connects."""

    def __init__(self, name: str, reason: Own) -> None:
        self.name = name
        self._reason = reason

    async def send(
        self,
        _message: Message,
        targets: TargetColumns,
        *,
        expires_at: datetime,
        stop: asyncio.Event | None = None,
    ) -> Answers:
        """Answer every row with MISCONFIGURED and the reason."""
        del expires_at, stop  # nothing is started, so nothing can be late
        return Answers.uniform(len(targets), Verdict.MISCONFIGURED, reason=self._reason)

    async def aclose(self) -> None:
        """Nothing is open."""


async def _cut_short(sending: Sending, stop: asyncio.Event | None) -> None:
    """Once the service has to stop, return what there is, after a moment for answers to come."""
    if stop is None:
        return
    await stop.wait()
    sending.end_writing(NOT_SENT)
    await asyncio.sleep(STOP_GRACE.total_seconds())
    sending.abandon()


def _too_late(now: datetime, expires_at: datetime) -> Answer:
    """The answer for rows of a send that began now and were not written in time."""
    if expires_at <= now + WRITE_WITHIN:
        return Answer(Verdict.EXPIRED, Own.EXPIRED)
    return NOT_SENT
