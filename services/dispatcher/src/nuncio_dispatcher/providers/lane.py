"""What all lanes have in common: the ends of their lives, and the lane that cannot send."""

import asyncio
from abc import ABC, abstractmethod
from datetime import datetime, timedelta
from typing import Final

from nuncio_dispatcher.domain.model import Answers, Message, TargetColumns, Verdict
from nuncio_dispatcher.providers.answers import Answer, Own
from nuncio_runtime.clock import Clock

WRITE_WITHIN: Final = timedelta(minutes=1)
"""How long a row may wait in its lane before it goes back as not sent."""


class ProviderLane(ABC):
    """A Lane that refuses to start late, and closes once its sends have ended."""

    def __init__(self, name: str, *, clock: Clock) -> None:
        self.name = name
        self._clock = clock
        self._sending = 0
        self._quiet = asyncio.Event()
        self._quiet.set()
        self._closing = False

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name}, sending={self._sending})"

    async def send(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> Answers:
        """See Lane.send."""
        if self._closing:
            return Answers.uniform(len(targets), Verdict.RETRY, reason=Own.NOT_SENT)
        if self._clock.now() >= expires_at:
            return Answers.uniform(len(targets), Verdict.EXPIRED, reason=Own.EXPIRED)
        self._sending += 1
        self._quiet.clear()
        try:
            return await self._send(message, targets, expires_at=expires_at)
        finally:
            self._sending -= 1
            if not self._sending:
                self._quiet.set()

    async def aclose(self) -> None:
        """Take no more sends, wait for those under way (they have deadlines), then close."""
        self._closing = True
        await self._quiet.wait()
        await self._close()

    @abstractmethod
    async def _send(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> Answers: ...

    @abstractmethod
    async def _close(self) -> None: ...


class UnusableLane:
    """Stands in where there is no credential, or one that cannot be used. Never connects."""

    def __init__(self, name: str, reason: Own) -> None:
        self.name = name
        self._reason = reason

    async def send(
        self, _message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> Answers:
        """Answer every row with MISCONFIGURED and the reason."""
        del expires_at  # nothing is started, so nothing can be late
        return Answers.uniform(len(targets), Verdict.MISCONFIGURED, reason=self._reason)

    async def aclose(self) -> None:
        """Nothing is open."""


def too_late(now: datetime, expires_at: datetime) -> Answer:
    """The answer for rows of a send that began now and were not written in time."""
    if expires_at <= now + WRITE_WITHIN:
        return Answer(Verdict.EXPIRED, Own.EXPIRED)
    return Answer(Verdict.RETRY, Own.NOT_SENT)
