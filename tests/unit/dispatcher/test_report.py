"""Outcomes reach feedback at least once."""

import asyncio
from collections.abc import AsyncGenerator, Sequence
from datetime import timedelta
from uuid import UUID

import pytest

from nuncio_dispatcher.domain.errors import UpstreamUnavailable
from nuncio_dispatcher.domain.model import Provider, Verdict
from nuncio_dispatcher.domain.pages import Outcomes, OutcomesOf
from nuncio_dispatcher.domain.report import PAGES_AT_ONCE, Reporter
from nuncio_runtime.clock import SYSTEM_CLOCK
from nuncio_runtime.errors import FieldViolation, InvalidField, ServiceError
from tests.unit.dispatcher.builders import rows

SOON = timedelta(milliseconds=5)


def outcomes(number: int) -> Outcomes:
    return Outcomes(
        of=OutcomesOf(UUID(int=1), "shop", "", False),
        shard_no=1,
        number=number,
        rows=rows(Provider.APNS),
        verdicts=bytes([Verdict.ACCEPTED]),
        reasons=[0],
        reason_names=[""],
        sent_at=[1],
        dead_since=[0],
    )


class ListOutbox:
    """Pages in a list; those taken come again until they are reported."""

    def __init__(self, count: int) -> None:
        self.pages = [outcomes(number) for number in range(count)]
        self.empty = asyncio.Event()

    async def take(self, limit: int, *, hold: timedelta) -> Sequence[Outcomes]:
        assert hold > timedelta(0)
        return self.pages[:limit]

    async def mark_reported(self, pages: Sequence[Outcomes]) -> None:
        self.pages = [page for page in self.pages if page not in pages]
        if not self.pages:
            self.empty.set()


class ScriptedFeedback:
    """Stores pages; before each page, the next fault of its number is raised."""

    def __init__(self, faults: dict[int, list[ServiceError]] | None = None) -> None:
        self.faults = faults or {}
        self.stored: list[int] = []

    async def report(self, pages: Sequence[Outcomes]) -> AsyncGenerator[str, None]:
        for page in pages:
            if self.faults.get(page.number):
                raise self.faults[page.number].pop(0)
            self.stored.append(page.number)
            yield page.page_id


def reporter(outbox: ListOutbox, feedback: ScriptedFeedback) -> Reporter:
    return Reporter(outbox, feedback, clock=SYSTEM_CLOCK, poll=SOON)


async def test_pages_are_reported_a_few_at_a_time() -> None:
    outbox, feedback = ListOutbox(PAGES_AT_ONCE + 2), ScriptedFeedback()
    reporting = reporter(outbox, feedback)
    assert await reporting.report_some() == PAGES_AT_ONCE
    assert await reporting.report_some() == 2
    assert await reporting.report_some() == 0
    assert feedback.stored == list(range(PAGES_AT_ONCE + 2))


async def test_pages_stored_before_a_fault_are_not_reported_again() -> None:
    outbox = ListOutbox(5)
    feedback = ScriptedFeedback({3: [UpstreamUnavailable("feedback")]})
    with pytest.raises(UpstreamUnavailable):
        await reporter(outbox, feedback).report_some()
    assert [page.number for page in outbox.pages] == [3, 4]


async def test_a_page_that_is_refused_holds_up_no_other() -> None:
    outbox = ListOutbox(5)
    feedback = ScriptedFeedback({1: [InvalidField(FieldViolation("page", "is wrong"))] * 2})
    await reporter(outbox, feedback).report_some()
    assert feedback.stored == [0, 2, 3, 4]
    assert [page.number for page in outbox.pages] == [1]


async def test_an_outage_of_feedback_loses_nothing() -> None:
    outbox = ListOutbox(20)
    feedback = ScriptedFeedback({0: [UpstreamUnavailable("feedback")] * 2})
    running = asyncio.create_task(reporter(outbox, feedback).run())
    await outbox.empty.wait()
    running.cancel()
    assert sorted(feedback.stored) == list(range(20))
