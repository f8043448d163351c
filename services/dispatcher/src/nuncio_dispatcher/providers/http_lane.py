"""A lane whose rows are single POSTs over httpx: FCM and Web Push."""

import asyncio
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final, Protocol
from urllib.parse import urlsplit

from nuncio_dispatcher.domain.model import Answers, Message, TargetColumns
from nuncio_dispatcher.providers.answers import (
    Answer,
    Lost,
    Own,
    Replied,
    Result,
    Sheet,
    Unsent,
    unanswered,
)
from nuncio_dispatcher.providers.http import Http, Post
from nuncio_dispatcher.providers.lane import WRITE_WITHIN, ProviderLane, too_late
from nuncio_runtime.clock import Clock

MOST_REFUSALS: Final = 3
"""How often a row that was provably not looked at is written again within one send."""
UNREACHABLE: Final = frozenset({Own.CONNECT_FAILED, Own.NOT_TRUSTED, Own.PRIVATE_ADDRESS})


class Job(Protocol):
    """One message to the rows of one send."""

    def post(self, row: int) -> Post | Answer:
        """The row's request, or the answer when there is no point in one."""

    def read(self, row: int, reply: Replied) -> Answer:
        """What the provider's answer means."""


@dataclass(frozen=True, kw_only=True)
class _Round:
    """A job on its way."""

    job: Job
    rows: Iterator[int]
    sheet: Sheet
    write_before: datetime
    too_late: Answer
    """For rows that are not written before then."""
    unreachable: dict[str, Unsent] = field(default_factory=dict)
    """Hosts that no connection could be made to: their other rows are not tried in this send."""


class HttpLane(ProviderLane):
    """Many requests at a time, over as many connections as httpx opens for them."""

    def __init__(self, name: str, *, http: Http, in_flight: int, clock: Clock) -> None:
        super().__init__(name, clock=clock)
        self._http = http
        self._in_flight = in_flight
        self._slots = asyncio.Semaphore(in_flight)

    async def _send(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> Answers:
        job = await self._job(message, targets, expires_at=expires_at)
        if isinstance(job, Answer):
            return Answers.uniform(len(targets), job.verdict, reason=job.reason)
        sheet = Sheet.blank(len(targets))
        now = self._clock.now()
        work = _Round(
            job=job,
            rows=iter(range(len(targets))),
            sheet=sheet,
            write_before=min(expires_at, now + WRITE_WITHIN),
            too_late=too_late(now, expires_at),
        )
        async with asyncio.TaskGroup() as workers:
            for _ in range(min(self._in_flight, len(targets))):
                workers.create_task(self._work(work))
        return sheet.answers

    async def _close(self) -> None:
        await self._http.aclose()

    @abstractmethod
    async def _job(
        self, message: Message, targets: TargetColumns, *, expires_at: datetime
    ) -> Job | Answer:
        """What to send, or the answer for all rows when nothing can be sent."""

    async def _work(self, work: _Round) -> None:
        """Take rows until none is left."""
        for row in work.rows:
            async with self._slots:
                await self._send_row(work, row)

    async def _send_row(self, work: _Round, row: int) -> None:
        if self._clock.now() >= work.write_before:
            work.sheet.put(row, work.too_late, None)
            return
        post = work.job.post(row)
        if isinstance(post, Answer):
            work.sheet.put(row, post, None)
            return
        host = urlsplit(post.url).netloc
        result: Result | None = work.unreachable.get(host)
        sent_at = self._clock.now()
        if result is None:
            result = await self._post(post)
        if isinstance(result, Unsent) and result.reason in UNREACHABLE:
            work.unreachable[host] = result
        self._note(work, row, result, sent_at)

    async def _post(self, post: Post) -> Result:
        for _ in range(MOST_REFUSALS):
            result = await self._http.post(post)
            if result != Unsent(Own.REFUSED_STREAM):
                break
        return result

    def _note(self, work: _Round, row: int, result: Result, sent_at: datetime) -> None:
        match result:
            case Replied():
                work.sheet.put(row, work.job.read(row, result), sent_at)
            case Unsent():
                work.sheet.put(row, unanswered(result), None)
            case Lost():
                work.sheet.put(row, unanswered(result), sent_at)
