"""A lane: takes the rows of a send to its transport, and makes answers of what comes back.

What a provider's requests and answers are like is its client's affair; how they travel is the
transport's. Between the two stand the gate (is the credential taken), the breaker (does the
provider answer) and the budget (how fast).
"""

import asyncio
from datetime import datetime, timedelta
from functools import partial
from typing import Final

from nuncio_dispatcher.domain.model import Answers, Message, Provider, TargetColumns, Verdict
from nuncio_dispatcher.http2.exchange import Failure, Transport
from nuncio_dispatcher.providers.answers import Answer, Own
from nuncio_dispatcher.providers.client import Client
from nuncio_dispatcher.providers.fields import LaneSettings
from nuncio_dispatcher.providers.lane.gate import Gate
from nuncio_dispatcher.providers.lane.line import Line
from nuncio_dispatcher.providers.lane.live import LiveState, Tally
from nuncio_dispatcher.providers.lane.roads import Roads
from nuncio_dispatcher.providers.lane.sending import Sending
from nuncio_runtime.clock import Clock

WRITE_WITHIN: Final = timedelta(seconds=15)
"""How long a row may wait in its lane before it goes back as not sent."""
LAST_MARGIN: Final = timedelta(seconds=2)
"""What a send may take longer than writing and answering may."""
STOP_GRACE: Final = timedelta(seconds=0.75)
"""How long answers are waited for once the service has to stop."""
NOT_SENT: Final = Answer(Verdict.RETRY, Failure.NOT_SENT.value)


class ProviderLane:
    """A Lane: every send of it ends in time, and it closes once its sends have ended."""

    def __init__(
        self,
        name: str,
        settings: LaneSettings,
        *,
        provider: Provider,
        client: Client,
        transport: Transport,
        clock: Clock,
    ) -> None:
        self.name = name
        self._clock = clock
        self._transport = transport
        self._gate = Gate(name, provider, probe_wait=settings.probe_wait, clock=clock)
        self._line = Line(
            client=client,
            transport=transport,
            gate=self._gate,
            roads=Roads(name, rate=settings.rate, clock=clock),
            answer_within=settings.answer_within.total_seconds(),
            clock=clock,
        )
        self._send_within = WRITE_WITHIN + settings.answer_within + LAST_MARGIN
        self._tally = Tally()
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
        urgent: bool = False,
    ) -> Answers:
        """See Lane.send."""
        count = len(targets)
        if self._closing or (stop is not None and stop.is_set()):
            return Answers.uniform(count, NOT_SENT.verdict, reason=NOT_SENT.reason)
        if self._clock.now() >= expires_at:
            return Answers.uniform(count, Verdict.EXPIRED, reason=Own.EXPIRED.value)
        self._sending += 1
        self._quiet.clear()
        try:
            return await self._send(message, targets, expires_at, stop=stop, urgent=urgent)
        finally:
            self._sending -= 1
            if not self._sending:
                self._quiet.set()

    def live(self) -> LiveState:
        """How it stands at this moment, for people."""
        return LiveState(
            pauses=self._gate.pauses(),
            roads=self._line.roads.states(),
            traffic=list(self._transport.traffic()),
            answers=self._tally.answers,
        )

    async def aclose(self) -> None:
        """Take no more sends, wait for those under way (they have deadlines), then close."""
        self._closing = True
        await self._quiet.wait()
        await self._transport.aclose()
        self._gate.close()

    async def _send(
        self,
        message: Message,
        targets: TargetColumns,
        expires_at: datetime,
        *,
        stop: asyncio.Event | None,
        urgent: bool,
    ) -> Answers:
        async with asyncio.TaskGroup() as group:
            prepare = partial(self._line.client.prepare, message, targets, expires_at=expires_at)
            sending = Sending(self._line, group, count=len(targets), prepare=prepare, urgent=urgent)
            try:
                sending.begin()
                await self._see_through(sending, expires_at=expires_at, stop=stop)
            finally:
                sending.abandon(NOT_SENT)
        answers = sending.sheet.close(lane=self.name)
        self._tally.add(answers.verdicts)
        return answers

    async def _see_through(
        self, sending: Sending, *, expires_at: datetime, stop: asyncio.Event | None
    ) -> None:
        """Return when every row has its answer, and see to it that this is in time."""
        now, loop = self._clock.now(), asyncio.get_running_loop()
        patience = min(WRITE_WITHIN, expires_at - now).total_seconds()
        timers = (
            loop.call_later(patience, sending.end_writing, _too_late(now, expires_at)),
            loop.call_later(self._send_within.total_seconds(), sending.abandon, NOT_SENT),
        )
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(_cut_short(sending, stop))
                await sending.sheet.full.wait()
                watch.cancel()
        finally:
            for timer in timers:
                timer.cancel()


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
        urgent: bool = False,
    ) -> Answers:
        """Answer every row with MISCONFIGURED and the reason."""
        del expires_at, stop, urgent  # nothing is started, so nothing can be late
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
    sending.abandon(NOT_SENT)


def _too_late(now: datetime, expires_at: datetime) -> Answer:
    """The answer for rows of a send that began now and were not written in time."""
    if expires_at <= now + WRITE_WITHIN:
        return Answer(Verdict.EXPIRED, Own.EXPIRED.value)
    return NOT_SENT
