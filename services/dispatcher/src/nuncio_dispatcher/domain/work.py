"""Works on one leased shard: walks its part of the audience, and follows up."""

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from uuid import UUID

import structlog

from nuncio_dispatcher.domain import books
from nuncio_dispatcher.domain.dispatch import Work
from nuncio_dispatcher.domain.model import Answers, Verdict
from nuncio_dispatcher.domain.pages import Page, Resolved, Settled, Shard, Targets, joined
from nuncio_dispatcher.domain.ports import Journal, Lanes, Meters, Targeting
from nuncio_dispatcher.domain.retry import RetryPolicy, Terms
from nuncio_dispatcher.domain.send import TOO_LATE, Patience, send
from nuncio_dispatcher.domain.settle import end_unreachable, end_waiting, settle
from nuncio_dispatcher.domain.wait import Ahead, Backoff, unless
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import Kind, ServiceError

log = structlog.get_logger(__name__)

IN_DOUBT: Final = "IN_DOUBT"
"""The reason of rows whose sender disappeared while they were being sent."""

_FOR_GOOD: Final = frozenset({Kind.INVALID_ARGUMENT, Kind.NOT_FOUND})
"""What targeting says when asking again cannot help."""


@dataclass(frozen=True, kw_only=True)
class Stay:
    """What bounds a worker's time on a shard.

    leave: set when it has to close the page at hand and go. cut: set, after that, when it has to
    do with the answers that have come so far. began: by the clock's `monotonic`.
    """

    leave: asyncio.Event
    cut: asyncio.Event
    began: float


@dataclass(frozen=True)
class _Run:
    """One stay on a shard, from within."""

    shard: Shard
    stay: Stay
    backoff: Backoff


class Worker:
    """Takes a shard from where it stands to where nothing of it is due.

    A page is journaled as intent before its first request, and with its result after the last
    answer. So whoever finds an open page knows that its requests may have been sent.
    """

    def __init__(
        self,
        journal: Journal,
        targeting: Targeting,
        lanes: Lanes,
        *,
        clock: Clock,
        retry: RetryPolicy,
        send_within: timedelta,
        meters: Meters,
        committed: Callable[[UUID], None],
    ) -> None:
        self._journal = journal
        self._targeting = targeting
        self._lanes = lanes
        self._clock = clock
        self._retry = retry
        self._send_within = send_within
        self._meters = meters
        self._committed = committed

    async def work(self, shard: Shard, stay: Stay) -> None:
        """Work until nothing is due, or it is time to leave and the page at hand is closed.

        Raises LeaseLost when another replica has taken over.
        """
        run = _Run(shard, stay, Backoff(self._clock))
        for page in await self._journal.in_doubt(shard.lease):
            await self._settle_doubt(run, page)
        async with aclosing(self._walk(run)) as pages, Ahead(pages) as ahead:
            while not stay.leave.is_set() and await self._step(run, ahead):
                pass

    async def _step(self, run: _Run, ahead: Ahead[Resolved]) -> bool:
        """Send a page that is due and the next one of the walk; False when there is neither.

        Both, because pages that wait for a credential may be due without end.
        """
        due = await self._journal.due_page(run.shard.lease, now=self._clock.now())
        if due is not None:
            await self._follow_up(run, due)
        if not run.shard.walked:
            await self._next_page(run, ahead)
            return True
        return due is not None

    async def _settle_doubt(self, run: _Run, page: Page) -> None:
        """A former holder may have sent all of the page, or nothing: that is what UNKNOWN means."""
        doubt = Answers.uniform(
            len(page.rows), Verdict.UNKNOWN, reason=IN_DOUBT, sent_at=page.opened_at
        )
        await self._close(run, page, self._settled(run, page, doubt))
        if page.cursor is not None:
            run.shard.cursor = page.cursor

    async def _walk(self, run: _Run) -> AsyncGenerator[Resolved, None]:
        """The pages of the shard's audience after its cursor, through faults of targeting."""
        shard, cursor = run.shard, run.shard.cursor
        while True:
            try:
                async with aclosing(
                    self._targeting.resolve(shard.work, keys=shard.keys, cursor=cursor)
                ) as pages:
                    async for page in pages:
                        yield page
                        cursor = page.cursor
                        run.backoff.reset()
                return
            except ServiceError as error:
                if error.kind in _FOR_GOOD or self._clock.now() >= shard.work.expires_at:
                    raise
                _log_trouble(shard.work, error)
            await run.backoff.pause()

    async def _next_page(self, run: _Run, ahead: Ahead[Resolved]) -> None:
        shard = run.shard
        try:
            resolved = await unless(run.stay.leave, ahead.next())
        except ServiceError as error:
            await self._end_walk(run, failure=error.message)
            return
        if resolved is not None:
            entries = books.opened(len(resolved.targets), resolved.suppressed)
            page = await self._journal.open_page(
                shard.lease, resolved, entries, now=self._clock.now()
            )
            await self._send(run, page, resolved.targets)
        elif not run.stay.leave.is_set():
            await self._end_walk(run, failure="")

    async def _end_walk(self, run: _Run, *, failure: str) -> None:
        await self._journal.end_walk(run.shard.lease, failure=failure)
        run.shard.walked = True
        self._committed(run.shard.work.dispatch_id)

    async def _follow_up(self, run: _Run, page: Page) -> None:
        """Resolve waiting rows again, by the same road, and send to those that may be reached."""
        if self._clock.now() >= run.shard.work.expires_at:
            await self._close(run, page, end_waiting(page, Verdict.EXPIRED, reason=TOO_LATE))
            return
        try:
            again = await unless(run.stay.leave, self._resolve_again(run, page))
        except ServiceError as error:
            await self._close(run, page, end_waiting(page, Verdict.REFUSED, reason=error.reason))
            return
        if again is not None:
            await self._send_again(run, page, again)

    async def _resolve_again(self, run: _Run, page: Page) -> Resolved | None:
        """The rows that may still be reached; None, after a pause, when targeting is away.

        They are looked for in the audience, not by their ids alone: an installation may belong to
        somebody else by now.
        """
        work = run.shard.work
        try:
            async with aclosing(
                self._targeting.resolve(work, only=page.rows.installation_ids)
            ) as pages:
                return joined([part async for part in pages])
        except ServiceError as error:
            if error.kind in _FOR_GOOD:
                raise
            _log_trouble(work, error)
        await run.backoff.pause()
        return None

    async def _send_again(self, run: _Run, page: Page, again: Resolved) -> None:
        now, found = self._clock.now(), again.targets
        if page.in_doubt and len(found) < len(page.rows):
            await self._close(run, page, end_unreachable(page, found.rows, now=now))
            return
        entries = books.reopened(len(page.rows), len(found), again.suppressed)
        left = replace(page, rows=found.rows)
        opened = await self._journal.reopen_page(run.shard.lease, left, entries, now=now)
        await self._send(run, opened, found)

    async def _send(self, run: _Run, page: Page, targets: Targets) -> None:
        began = self._clock.monotonic()
        patience = Patience(within=self._send_within, cut=run.stay.cut)
        answers = await send(
            self._lanes, run.shard.work, targets, now=self._clock.now(), patience=patience
        )
        seconds = self._clock.monotonic() - began
        settled = self._settled(run, page, answers)
        await self._close(run, page, replace(settled, environments=targets.environments))
        told = Counter(zip(page.rows.providers, answers.verdicts, strict=True))
        self._meters.page_closed(told, seconds=seconds)

    def _settled(self, run: _Run, page: Page, answers: Answers) -> Settled:
        work = run.shard.work
        terms = Terms(delivery=work.delivery, expires_at=work.expires_at, policy=self._retry)
        return settle(page, answers, terms=terms, now=self._clock.now(), jitter=random.random)

    async def _close(self, run: _Run, page: Page, settled: Settled) -> None:
        """Journal a result. The answers exist only here, so this outlasts a storage that is away.

        Ends with the lease at the latest: whoever gets the shard then counts the page as in doubt.
        """
        while True:
            try:
                await self._journal.close_page(
                    run.shard.lease, page, settled, now=self._clock.now()
                )
                break
            except ServiceError as error:
                if error.kind is not Kind.UNAVAILABLE:
                    raise
                _log_trouble(run.shard.work, error)
            await run.backoff.pause()
        self._committed(run.shard.work.dispatch_id)


def _log_trouble(work: Work, error: ServiceError) -> None:
    log.warning("waiting_for_neighbour", dispatch_id=str(work.dispatch_id), reason=error.message)
