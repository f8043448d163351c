"""One send under way, from its rows to its sheet of answers."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import replace
from functools import partial
from typing import Final

from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.http2.exchange import Failure, Requests
from nuncio_dispatcher.providers.answers import Answer
from nuncio_dispatcher.providers.client import Batch, Job
from nuncio_dispatcher.providers.lane.breaker import Circuit
from nuncio_dispatcher.providers.lane.gate import WHOLE, Pass
from nuncio_dispatcher.providers.lane.line import Leg, Line
from nuncio_dispatcher.providers.lane.roads import Road
from nuncio_dispatcher.providers.lane.sheet import Sheet

FAULT: Final = Answer(Verdict.RETRY, Failure.FAULT.value)

Prepare = Callable[[], Awaitable[Job | Answer]]
Work = Callable[[], Awaitable[None]]
"""Begun by its task, so that one which is cancelled before leaves nothing behind."""


class Sending:
    """One send under way. Its tasks are the group's, which ends when the sheet is full."""

    def __init__(
        self,
        line: Line,
        group: asyncio.TaskGroup,
        *,
        count: int,
        prepare: Prepare,
        urgent: bool,
    ) -> None:
        self.line = line
        self.sheet = Sheet(count)
        self._group = group
        self._prepare = prepare
        self._urgent = urgent
        self._tasks: set[asyncio.Task[None]] = set()
        self._end: Answer | None = None
        """Once nothing more may be written: the answer for rows that were not."""

    def __repr__(self) -> str:
        return f"Sending({self.sheet})"

    def begin(self) -> None:
        """Send all rows."""
        rows = range(len(self.sheet))
        if rows:
            self._start(partial(self._go, rows))

    def again(self, rows: Sequence[int]) -> None:
        """Send rows that were taken back, prepared anew."""
        self.sheet.take_back(rows)
        if self._end is not None:
            self.sheet.put_waiting(self._end)
        elif rows:
            self._start(partial(self._go, rows))

    def end_writing(self, answer: Answer) -> None:
        """Write nothing more; give this answer to the rows that were not written."""
        self._end = answer
        for leg in self._legs():
            leg.put_waiting(answer)
        for task in self._tasks:
            task.cancel()
        self.sheet.put_waiting(answer)

    def abandon(self, answer: Answer) -> None:
        """Wait for no more answers; give this one to rows that were not written."""
        self.end_writing(answer)
        for leg in self._legs():
            leg.is_abandoned = True
            self.line.transport.abandon(leg.exchange)

    def _legs(self) -> list[Leg]:
        return [leg for leg in self.line.legs.values() if leg.sheet is self.sheet]

    def _start(self, work: Work) -> None:
        task = self._group.create_task(self._guarded(work))
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _guarded(self, work: Work) -> None:
        """A fault of ours ends the rows that wait, not the send."""
        try:
            await work()
        except Exception as error:  # noqa: BLE001
            self.sheet.remark("unexpected_failure", error=type(error).__name__)
            self.end_writing(FAULT)

    async def _go(self, rows: Sequence[int]) -> None:
        """Prepare rows, and let them out batch by batch."""
        line, credentials = self.line, self.line.credentials
        job: Job | Answer | None = line.gate.refusal(WHOLE)
        if job is None:
            job = await self._prepare()
            if isinstance(job, Answer):
                line.gate.learn(Pass(WHOLE), [job])
        if isinstance(job, Answer):
            for row in rows:
                self.sheet.put(row, job, None)
            return
        for item in job.batches(rows):
            if isinstance(item, Batch):
                self._start(partial(self._let_out, item, job, credentials))
            else:
                row, answer = item
                self.sheet.put(row, answer, None)
            await asyncio.sleep(0)  # preparing the next may take its time

    async def _let_out(self, batch: Batch, job: Job, credentials: int) -> None:
        """Post a batch, at once or as the budget allows."""
        line, road = self.line, self.line.roads.to(batch.requests.origin)
        at, count = 0, len(batch.rows)
        while at < count:
            refusal = line.refusal(road, batch.parts) or line.pause(road)
            if refusal is not None:
                for row in batch.rows[at:]:
                    self.sheet.put(row, refusal, None)
                return
            granted = await road.budget.take(count - at, urgent=self._urgent)
            if not granted:
                continue
            if credentials != line.credentials:
                road.budget.give_back(granted)
                self.again(batch.rows[at:])
                return
            posted = 0
            if line.refusal(road, batch.parts) is None:
                posted = self._post(batch, job, credentials, road, slice(at, at + granted))
            road.budget.give_back(granted - posted)
            at += posted

    def _post(self, batch: Batch, job: Job, credentials: int, road: Road, part: slice) -> int:
        """Hand rows of a batch over: all of the part, or one that probes. Returns how many."""
        line, is_probe = self.line, road.breaker.state().circuit is not Circuit.CLOSED
        road.breaker.enter(part.stop - part.start)
        passed = line.gate.enter(batch.parts)
        if is_probe or passed.probes:
            part = slice(part.start, part.start + 1)
        leg = Leg(
            line=line,
            sheet=self.sheet,
            again=self.again,
            job=job,
            credentials=credentials,
            rows=batch.rows[part],
            passed=passed,
            road=road,
            is_probe=is_probe or bool(passed.probes),
            requests=_part(batch.requests, part),
            urgent=self._urgent,
        )
        line.legs[leg.exchange] = leg
        self.sheet.hand_over(leg.rows)
        line.transport.post(leg.exchange)
        return len(leg.rows)


def _part(requests: Requests, part: slice) -> Requests:
    """Some of the requests; all of them are not copied."""
    if part == slice(0, len(requests)):
        return requests
    own = None if requests.own is None else (requests.own[0], requests.own[1][part])
    return replace(requests, paths=requests.paths[part], bodies=requests.bodies[part], own=own)
