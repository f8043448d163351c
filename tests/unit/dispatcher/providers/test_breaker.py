"""The breaker: when a lane stops for an outage, and what lets it go on."""

from collections.abc import Callable
from datetime import timedelta

import pytest
from structlog.testing import capture_logs

from nuncio_dispatcher.providers.lane.breaker import (
    LONGEST_WAIT,
    MOST_FAILURES,
    OPENINGS,
    PROBE_WITHIN,
    WINDOW,
    Breaker,
    Circuit,
)
from nuncio_runtime.clock import ManualClock


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


@pytest.fixture
def breaker(clock: ManualClock) -> Breaker:
    return Breaker("apns/a/production", clock=clock, jitter=lambda: 1.0)


def opened(clock: ManualClock, *, jitter: Callable[[], float] = lambda: 1.0) -> Breaker:
    breaker = Breaker("apns/a/production", clock=clock, jitter=jitter)
    breaker.note(ok=0, failed=MOST_FAILURES)
    return breaker


def test_a_lane_whose_rows_are_answered_lets_all_rows_through(breaker: Breaker) -> None:
    breaker.note(ok=5_000, failed=0)
    assert breaker.refusal() is None
    assert breaker.enter(1_000) == 1_000
    assert breaker.state().circuit is Circuit.CLOSED


def test_failures_in_a_row_open_it_over_many_turns(breaker: Breaker) -> None:
    for _ in range(MOST_FAILURES - 1):
        breaker.note(ok=0, failed=1)
    assert breaker.refusal() is None
    breaker.note(ok=0, failed=1)
    assert breaker.refusal() == timedelta(seconds=1)
    assert breaker.enter(10) == 0


def test_a_success_in_between_starts_the_count_anew(breaker: Breaker) -> None:
    breaker.note(ok=0, failed=MOST_FAILURES - 1)
    breaker.note(ok=1, failed=0)
    breaker.note(ok=0, failed=MOST_FAILURES - 1)
    assert breaker.refusal() is None


def test_more_than_half_of_the_last_rows_failing_opens_it(breaker: Breaker) -> None:
    for _ in range(WINDOW // 2):
        breaker.note(ok=1, failed=1)
    assert breaker.refusal() is None, "half is not more than half"
    breaker.note(ok=1, failed=2)
    assert breaker.refusal() is not None


def test_half_of_the_last_rows_says_nothing_before_there_are_so_many(breaker: Breaker) -> None:
    for _ in range(WINDOW // 3 - 1):
        breaker.note(ok=1, failed=2)
    assert breaker.refusal() is None


def test_successes_push_old_failures_out_of_the_window(breaker: Breaker) -> None:
    for _ in range(WINDOW // 4):
        breaker.note(ok=1, failed=1)
    breaker.note(ok=WINDOW, failed=0)
    for _ in range(WINDOW // 4):
        breaker.note(ok=1, failed=2)
    assert breaker.refusal() is None


def test_a_page_with_fewer_failures_than_successes_does_not_open_it(breaker: Breaker) -> None:
    for _ in range(10):
        breaker.note(ok=600, failed=400)
    assert breaker.refusal() is None
    breaker.note(ok=400, failed=600)
    assert breaker.refusal() is not None


def test_after_the_wait_one_row_goes_and_its_success_closes_it(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.advance(1)
    assert breaker.refusal() is None
    assert breaker.enter(100) == 1
    assert breaker.refusal() is not None
    assert breaker.enter(100) == 0
    breaker.note(ok=1, failed=0, is_probe=True)
    assert breaker.refusal() is None
    assert breaker.enter(100) == 100


def test_each_failed_probe_doubles_the_wait_up_to_a_minute(clock: ManualClock) -> None:
    breaker = opened(clock)
    waits = []
    for _ in range(8):
        wait = breaker.refusal()
        assert wait is not None
        waits.append(wait.total_seconds())
        clock.advance(waits[-1])
        assert breaker.enter(1) == 1
        breaker.note(ok=0, failed=1, is_probe=True)
    assert waits == [1, 2, 4, 8, 16, 32, 60, 60]
    assert max(waits) == LONGEST_WAIT


def test_closing_makes_the_next_wait_short_again(clock: ManualClock) -> None:
    breaker = opened(clock)
    for ok in (0, 0, 1):
        wait = breaker.refusal()
        assert wait is not None
        clock.advance(wait.total_seconds())
        breaker.enter(1)
        breaker.note(ok=ok, failed=1 - ok, is_probe=True)
    breaker.note(ok=0, failed=MOST_FAILURES)
    assert breaker.refusal() == timedelta(seconds=1)


def test_closing_forgets_the_failures_that_opened_it(breaker: Breaker, clock: ManualClock) -> None:
    breaker.note(ok=1, failed=WINDOW)
    clock.advance(1)
    breaker.enter(1)
    breaker.note(ok=1, failed=0, is_probe=True)
    breaker.note(ok=0, failed=1)
    assert breaker.refusal() is None


def test_the_wait_has_full_jitter(clock: ManualClock) -> None:
    assert opened(clock, jitter=lambda: 0.25).refusal() == timedelta(seconds=0.25)


def test_late_news_of_rows_from_before_change_nothing(clock: ManualClock) -> None:
    breaker = opened(clock)
    breaker.note(ok=3, failed=0)
    breaker.note(ok=0, failed=300)
    assert breaker.refusal() == timedelta(seconds=1)


def test_late_news_do_not_pass_for_those_of_the_probe(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.advance(1)
    breaker.enter(1)
    breaker.note(ok=0, failed=300)
    assert breaker.refusal() == timedelta(seconds=1), "the probe is under way still"
    breaker.note(ok=40, failed=0)
    assert breaker.state().circuit is Circuit.HALF_OPEN
    breaker.note(ok=1, failed=0, is_probe=True)
    assert breaker.state().circuit is Circuit.CLOSED


def test_a_probe_that_was_not_sent_makes_room_for_another(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.advance(1)
    breaker.enter(1)
    breaker.note(ok=0, failed=0, is_probe=True)
    assert breaker.refusal() is None
    assert breaker.enter(1) == 1


def test_a_probe_that_nobody_tells_of_does_not_shut_the_lane_for_ever(clock: ManualClock) -> None:
    breaker = opened(clock)
    clock.advance(1)
    breaker.enter(1)
    clock.advance(PROBE_WITHIN - 0.1)
    assert breaker.refusal() is not None
    clock.advance(0.1)
    assert breaker.enter(1) == 1


def test_its_state_says_since_when_and_until_when(clock: ManualClock) -> None:
    start = clock.now()
    breaker = opened(clock)
    assert breaker.state() == (Circuit.OPEN, start, start + timedelta(seconds=1))
    clock.advance(1)
    assert breaker.state() == (Circuit.HALF_OPEN, start, clock.now())
    breaker.enter(1)
    assert breaker.state() == (Circuit.HALF_OPEN, start, None)
    breaker.note(ok=1, failed=0, is_probe=True)
    assert breaker.state() == (Circuit.CLOSED, None, None)


def test_openings_and_closings_are_logged_and_openings_counted(clock: ManualClock) -> None:
    before = OPENINGS._value.get()
    with capture_logs() as logs:
        breaker = opened(clock)
        breaker.note(ok=0, failed=500)
        clock.advance(1)
        breaker.enter(1)
        breaker.note(ok=1, failed=0, is_probe=True)
    assert OPENINGS._value.get() == before + 1
    assert [(line["event"], line["lane"]) for line in logs] == [
        ("breaker_opened", "apns/a/production"),
        ("breaker_closed", "apns/a/production"),
    ]
