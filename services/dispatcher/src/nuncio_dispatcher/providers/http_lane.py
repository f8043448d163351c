"""A lane whose rows are single POSTs over httpx: FCM and Web Push."""

import asyncio
from abc import abstractmethod
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from functools import partial
from typing import Final, Protocol
from urllib.parse import urlsplit

from nuncio_dispatcher.domain.model import Message, Provider, TargetColumns
from nuncio_dispatcher.providers.answers import Answer, Lost, Own, Replied, Result, Unsent
from nuncio_dispatcher.providers.fields import LaneSettings
from nuncio_dispatcher.providers.gate import WHOLE, Parts, Pass
from nuncio_dispatcher.providers.http import Http, Post, Progress
from nuncio_dispatcher.providers.lane import ProviderLane
from nuncio_dispatcher.providers.sheet import Sheet
from nuncio_runtime.clock import Clock

MOST_REFUSALS: Final = 3
"""How often a row that was provably not looked at is written again within one send."""
UNREACHABLE: Final = frozenset({Own.CONNECT_FAILED, Own.NOT_TRUSTED, Own.PRIVATE_ADDRESS})


class Job(Protocol):
    """One message to the rows of one send."""

    def parts(self, row: int) -> Parts | Answer:
        """What of the lane the row goes through, or the answer when it must not be sent."""

    def post(self, row: int) -> Post | Answer:
        """The row's request, or the answer when there is none."""

    def read(self, row: int, reply: Replied) -> Answer:
        """What the provider's answer means."""


@dataclass(eq=False, kw_only=True)
class _Flight:
    """A row on its way to the provider, written or about to be."""

    worker: asyncio.Task[None]
    read: Callable[[Replied], Answer]
    sent_at: datetime
    progress: Progress = field(default_factory=Progress)


class _Round:
    """One send under way."""

    def __init__(self, sheet: Sheet, count: int) -> None:
        self.sheet = sheet
        self.waiting: Iterator[int] = iter(range(count))
        self.flights: dict[int, _Flight] = {}
        self.unreachable: dict[str, Unsent] = {}
        """Hosts that no connection could be made to: their other rows are not tried."""
        self.is_over = False

    def end_writing(self, answer: Answer) -> None:
        """See Sending."""
        self.is_over = True
        for row in self.waiting:
            self.sheet.put(row, answer, None)
        unwritten = [row for row, found in self.flights.items() if not found.progress.is_written]
        for row in unwritten:
            self.flights.pop(row).worker.cancel()
            self.sheet.put(row, answer, None)

    def abandon(self) -> None:
        """See Sending."""
        for row, flight in self.flights.items():
            if flight.progress.is_written:
                self.sheet.write(row, flight.sent_at)
        self.flights.clear()
        self.sheet.abandon()

    def land(self, row: int, result: Result) -> Answer | None:
        """Write down what came of a flight; gives the provider's answer, if there was one."""
        flight = self.flights.get(row)
        if flight is None:
            return None  # abandoned
        answer = flight.read(result) if isinstance(result, Replied) else None
        del self.flights[row]
        self.sheet.write(row, flight.sent_at)
        if answer is not None:
            self.sheet.put(row, answer, flight.sent_at)
        elif not isinstance(result, Replied):
            self.sheet.lose(row, result)
        return answer

    def fail(self, row: int, error: Exception) -> None:
        """Write down that a fault of ours ended a row."""
        flight = self.flights.pop(row, None)
        name = type(error).__name__
        if flight is None or not flight.progress.is_written:
            self.sheet.lose(row, Unsent(Own.FAULT, name))
        else:
            self.sheet.write(row, flight.sent_at)
            self.sheet.lose(row, Lost(Own.FAULT, name))


class HttpLane(ProviderLane):
    """Many requests at a time, over as many connections as httpx opens for them."""

    def __init__(
        self,
        name: str,
        settings: LaneSettings,
        *,
        provider: Provider,
        http: Http,
        in_flight: int,
        clock: Clock,
    ) -> None:
        super().__init__(name, settings, provider=provider, clock=clock)
        self._http = http
        self._in_flight = in_flight
        self._slots = asyncio.Semaphore(in_flight)

    async def _send(
        self,
        message: Message,
        targets: TargetColumns,
        sheet: Sheet,
        *,
        expires_at: datetime,
        stop: asyncio.Event | None,
    ) -> None:
        work = _Round(sheet, len(targets))
        async with asyncio.TaskGroup() as group:
            running = group.create_task(self._run(work, message, targets, expires_at))
            await self._see_through(work, expires_at=expires_at, stop=stop)
            running.cancel()

    async def _close(self) -> None:
        await self._http.aclose()

    @abstractmethod
    async def _job(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> Job | Answer:
        """What to send, or the answer for all rows when nothing can be sent."""

    async def _run(
        self, work: _Round, message: Message, targets: TargetColumns, expires_at: datetime
    ) -> None:
        job: Job | Answer | None = self._gate.refusal(WHOLE)
        if job is None:
            job = await self._job(message, targets, expires_at=expires_at)
            if isinstance(job, Answer):
                self._gate.leave(Pass(WHOLE), job)
        if isinstance(job, Answer):
            work.end_writing(job)
            return
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self._in_flight, len(targets))):
                workers.create_task(self._work(work, job))

    async def _work(self, work: _Round, job: Job) -> None:
        """Take rows until none is left."""
        while True:
            async with self._slots:
                row = next(work.waiting, None)
                if row is None:
                    return
                try:
                    await self._send_row(work, job, row)
                # Whatever is wrong with this row, the others shall have their answers.
                except Exception as error:  # noqa: BLE001
                    work.fail(row, error)

    async def _send_row(self, work: _Round, job: Job, row: int) -> None:
        request = self._request(job, row)
        if isinstance(request, Answer):
            work.sheet.put(row, request, None)
            return
        parts, post = request
        host = urlsplit(post.url).netloc
        if host in work.unreachable:
            work.sheet.lose(row, work.unreachable[host])
            return
        passed, answer = self._gate.enter(parts), None
        try:
            result = await self._fly(work, row, post, partial(job.read, row))
            if isinstance(result, Unsent) and result.reason in UNREACHABLE:
                work.unreachable[host] = result
            answer = work.land(row, result)
        finally:
            self._gate.leave(passed, answer)

    def _request(self, job: Job, row: int) -> tuple[Parts, Post] | Answer:
        """The row's request, made only if the lane takes it; or the answer instead."""
        parts = job.parts(row)
        if isinstance(parts, Answer):
            return parts
        refusal = self._gate.refusal(parts)
        if refusal is not None:
            return refusal
        post = job.post(row)
        return post if isinstance(post, Answer) else (parts, post)

    async def _fly(
        self, work: _Round, row: int, post: Post, read: Callable[[Replied], Answer]
    ) -> Result:
        """Send a row, and once or twice more when it was refused unread."""
        worker = asyncio.current_task()
        assert worker is not None
        for _ in range(MOST_REFUSALS):
            flight = _Flight(worker=worker, read=read, sent_at=self._clock.now())
            work.flights[row] = flight
            result = await self._http.post(post, flight.progress)
            refused = isinstance(result, Unsent) and result.reason is Own.REFUSED_STREAM
            if not refused or work.is_over:
                break
        return result
