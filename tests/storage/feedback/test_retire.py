"""Telling the registry, on a real storage and a clock that is turned by hand."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta

import pytest

from nuncio_feedback.domain.forget import ForgetPages
from nuncio_feedback.domain.model import DeadToken, InvalidationOutcome, OutcomePage, Verdict
from nuncio_feedback.domain.policy import learn
from nuncio_feedback.domain.record import RecordOutcomes
from nuncio_feedback.domain.retire import RetireTokens, Rhythm, backoff
from nuncio_feedback.storage.postgres import PostgresInvalidations, PostgresOutcomes
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.errors import Kind, ServiceError
from tests.unit.feedback.pages import Row, page_of

NOW = datetime(2026, 11, 21, 12, 30, tzinfo=UTC)
RHYTHM = Rhythm(
    batch=2,
    every=timedelta(seconds=5),
    first_wait=timedelta(seconds=1),
    longest_wait=timedelta(seconds=8),
)
DEAD = Row(verdict=Verdict.TOKEN_DEAD, reason="Gone", sent_at=NOW)


class OutageError(ServiceError):
    """The registry is not there."""

    kind = Kind.UNAVAILABLE
    reason = "UNAVAILABLE"


class RefusalError(ServiceError):
    """The registry does not take this."""

    kind = Kind.INVALID_ARGUMENT
    reason = "INVALID_FIELD"


class TurnedClock(ManualClock):
    """Tells who sleeps, and how long."""

    def __init__(self) -> None:
        super().__init__(NOW)
        self.sleeps: asyncio.Queue[float] = asyncio.Queue()

    async def sleep(self, seconds: float) -> None:
        self.sleeps.put_nowait(seconds)
        await super().sleep(seconds)


class ScriptedRegistry:
    """A registry that fails as it is told to, for some apps or for all ("")."""

    def __init__(self) -> None:
        self.faults: dict[str, ServiceError] = {}
        self.asked: asyncio.Queue[tuple[str, int]] = asyncio.Queue()

    async def invalidate(
        self, app_id: str, tokens: Sequence[DeadToken]
    ) -> Sequence[InvalidationOutcome]:
        fault = self.faults.get(app_id) or self.faults.get("")
        if fault is not None:
            raise fault
        self.asked.put_nowait((app_id, len(tokens)))
        return [InvalidationOutcome.INVALIDATED] * len(tokens)


class LastSeen:
    """Keeps what the meter was told last."""

    def __init__(self) -> None:
        self.pending = (0, 0.0)
        self.answered: list[InvalidationOutcome] = []
        self.pages: list[tuple[str, bool]] = []

    def page(self, page: OutcomePage, *, stored: bool) -> None:
        self.pages.append((page.page_id, stored))

    def settled(self, outcomes: Sequence[InvalidationOutcome]) -> None:
        self.answered += outcomes

    def backlog(self, count: int, *, oldest_seconds: float) -> None:
        self.pending = (count, oldest_seconds)


class Bench:
    """The use case and everything around it."""

    def __init__(self, outcomes: PostgresOutcomes, invalidations: PostgresInvalidations) -> None:
        self.outcomes = outcomes
        self.invalidations = invalidations
        self.registry, self.clock, self.meter = ScriptedRegistry(), TurnedClock(), LastSeen()
        self.retire = RetireTokens(
            invalidations,
            self.registry,
            clock=self.clock,
            meter=self.meter,
            rhythm=RHYTHM,
            draw=lambda: 0.0,
        )

        self.record = RecordOutcomes(
            outcomes, clock=self.clock, meter=self.meter, found_dead=self.retire.wake
        )

    async def report_dead(self, count: int, *, app_id: str = "app") -> None:
        """What another replica took: this one is not told."""
        page = page_of(*[DEAD] * count, app_id=app_id)
        await self.outcomes.record(page, learn(page, now=NOW), at=NOW)

    @asynccontextmanager
    async def settling(self) -> AsyncIterator[None]:
        task = asyncio.create_task(self.retire.keep_settling())
        yield
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


@pytest.fixture
def bench(outcomes: PostgresOutcomes, invalidations: PostgresInvalidations) -> Bench:
    return Bench(outcomes, invalidations)


async def test_everything_pending_is_told_in_batches(bench: Bench) -> None:
    await bench.report_dead(5)
    await bench.retire.settle()
    assert [bench.registry.asked.get_nowait() for _ in range(3)] == [("app", 2)] * 2 + [("app", 1)]
    assert bench.meter.answered == [InvalidationOutcome.INVALIDATED] * 5
    assert bench.meter.pending == (0, 0.0)


async def test_a_fault_of_one_app_leaves_the_others_their_turn(bench: Bench) -> None:
    await bench.report_dead(1, app_id="a")
    await bench.report_dead(1, app_id="b")
    bench.registry.faults["a"] = RefusalError()
    with pytest.raises(RefusalError):
        await bench.retire.settle()
    assert bench.registry.asked.get_nowait() == ("b", 1)
    assert [app.app_id for app in await bench.invalidations.backlog()] == ["a"]


async def test_an_outage_spares_the_other_apps_the_question(bench: Bench) -> None:
    await bench.report_dead(1, app_id="a")
    await bench.report_dead(1, app_id="b")
    bench.registry.faults["a"] = OutageError()
    with pytest.raises(OutageError):
        await bench.retire.settle()
    assert bench.registry.asked.empty()


async def test_an_outage_delays_and_loses_nothing(bench: Bench) -> None:
    await bench.report_dead(3)
    bench.registry.faults[""] = OutageError()
    async with bench.settling():
        bench.retire.wake()
        for expected in (1.0, 2.0, 4.0, 8.0, 8.0):
            assert await bench.clock.sleeps.get() == expected
            bench.clock.advance(expected)
        assert await bench.clock.sleeps.get() == 8.0
        assert bench.meter.pending == (3, 23.0)
        bench.registry.faults.clear()
        bench.clock.advance(8)
        assert [await bench.registry.asked.get() for _ in range(2)] == [("app", 2), ("app", 1)]


async def test_a_success_forgives_earlier_failures(bench: Bench) -> None:
    bench.registry.faults[""] = OutageError()
    async with bench.settling():
        await bench.report_dead(1)
        bench.retire.wake()
        for expected in (1.0, 2.0):
            assert await bench.clock.sleeps.get() == expected
            bench.clock.advance(expected)
        assert await bench.clock.sleeps.get() == 4.0
        bench.registry.faults.clear()
        bench.clock.advance(4)
        await bench.registry.asked.get()
        bench.registry.faults[""] = OutageError()
        await bench.report_dead(1, app_id="later")
        bench.retire.wake()
        assert await bench.clock.sleeps.get() == 1.0


async def test_a_page_that_brings_dead_tokens_is_told_at_once(bench: Bench) -> None:
    async with bench.settling():
        await bench.record(page_of(DEAD, app_id="app"))
        assert await bench.registry.asked.get() == ("app", 1)
    assert bench.meter.pages == [("page", True)]


@pytest.mark.parametrize("page", [page_of(Row(sent_at=NOW)), page_of(DEAD, test=True)])
async def test_nothing_is_done_for_a_page_without_work(bench: Bench, page: OutcomePage) -> None:
    woken = []
    record = RecordOutcomes(
        bench.outcomes, clock=bench.clock, meter=bench.meter, found_dead=lambda: woken.append(1)
    )
    await record(page)
    await record(page)
    assert not woken
    assert bench.meter.pages == [("page", True), ("page", False)]


async def test_old_page_ids_are_forgotten_now_and_then(bench: Bench) -> None:
    forget = ForgetPages(bench.outcomes, clock=bench.clock, keep=timedelta(days=30))
    task = asyncio.create_task(forget.keep_forgetting(every=timedelta(days=20)))
    await bench.record(page_of())
    for _ in range(2):
        assert await bench.clock.sleeps.get() == timedelta(days=20).total_seconds()
        bench.clock.advance(timedelta(days=20).total_seconds())
    assert await bench.clock.sleeps.get()
    await bench.record(page_of())
    assert bench.meter.pages == [("page", True), ("page", True)]
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)


async def test_left_overs_are_found_without_being_told(bench: Bench) -> None:
    ticking = asyncio.create_task(bench.retire.keep_waking())
    async with bench.settling():
        assert await bench.clock.sleeps.get() == 5.0
        await bench.report_dead(1)
        bench.clock.advance(5)
        assert await bench.registry.asked.get() == ("app", 1)
    ticking.cancel()
    await asyncio.gather(ticking, return_exceptions=True)


@pytest.mark.parametrize(
    ("failures", "jitter", "seconds"),
    [(1, 0.0, 1.0), (2, 0.0, 2.0), (4, 0.0, 8.0), (1000, 0.0, 8.0), (1, 1.0, 0.5), (3, 0.5, 3.0)],
)
def test_waits_double_up_to_a_bound_and_jitter_shortens_them(
    failures: int, jitter: float, seconds: float
) -> None:
    assert backoff(failures, RHYTHM, jitter=jitter) == seconds
