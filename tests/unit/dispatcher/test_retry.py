"""When something is sent again."""

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio_dispatcher.domain.dispatch import DeliveryPolicy
from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.domain.retry import Attempt, RetryPolicy, in_steps, next_attempt
from tests.unit.dispatcher.builders import HOUR, NOW, terms

SECOND = timedelta(seconds=1)
AT_MOST_ONCE = DeliveryPolicy.AT_MOST_ONCE
POLICY = RetryPolicy()


def wait(done: Attempt, *, tries: int = 1, jitter: float = 0.0) -> timedelta:
    due = next_attempt(done, tries=tries, now=NOW, terms=terms(), jitter=jitter)
    assert due is not None
    return due - NOW


@pytest.mark.parametrize(
    "verdict",
    [
        Verdict.ACCEPTED,
        Verdict.TOKEN_DEAD,
        Verdict.TOKEN_DOUBTFUL,
        Verdict.REFUSED,
        Verdict.EXPIRED,
    ],
)
def test_final_verdicts_are_final(verdict: Verdict) -> None:
    done = Attempt(verdict, written=True)
    assert next_attempt(done, tries=1, now=NOW, terms=terms(), jitter=0.5) is None


def test_the_first_wait_after_a_providers_trouble_is_never_shorter_than_its_floor() -> None:
    trouble = Attempt(Verdict.RETRY, written=True)
    assert wait(trouble, jitter=0.0) == 10 * SECOND
    assert wait(trouble, jitter=1.0) == 20 * SECOND


def test_waits_double_up_to_the_longest() -> None:
    trouble = Attempt(Verdict.RETRY, written=True)
    longest = [wait(trouble, tries=tries, jitter=1.0) for tries in (1, 2, 3, 9, 1000)]
    assert longest == [s * SECOND for s in (20, 40, 80, 300, 300)]


def test_what_was_provably_not_sent_is_sent_again_within_a_second() -> None:
    unsent = Attempt(Verdict.RETRY, written=False)
    assert wait(unsent, jitter=0.0) == timedelta(0)
    assert wait(unsent, jitter=1.0) == SECOND
    assert wait(unsent, tries=4, jitter=1.0) == 8 * SECOND


def test_what_the_provider_asks_for_is_never_cut_short() -> None:
    asked = Attempt(Verdict.RETRY, written=True, retry_after=timedelta(minutes=20))
    assert wait(asked, jitter=0.0) == timedelta(minutes=20)
    assert wait(asked, jitter=1.0) > timedelta(minutes=20)


@pytest.mark.parametrize("asked", [timedelta(0), -SECOND, SECOND])
def test_a_provider_that_asks_for_little_gets_no_less_than_the_own_backoff(
    asked: timedelta,
) -> None:
    done = Attempt(Verdict.RETRY, written=True, retry_after=asked)
    own = done._replace(retry_after=None)
    for tries in (1, 4):
        for jitter in (0.0, 0.7):
            expected = wait(own, tries=tries, jitter=jitter)
            assert wait(done, tries=tries, jitter=jitter) == expected


def test_jitter_alone_does_not_make_an_attempt_too_late() -> None:
    asked = Attempt(Verdict.RETRY, written=True, retry_after=20 * SECOND)
    limit = terms(expires_at=NOW + timedelta(seconds=20.5))
    due = next_attempt(asked, tries=1, now=NOW, terms=limit, jitter=0.9)
    assert due is not None
    assert 20 * SECOND <= due - NOW < timedelta(seconds=20.5)


@pytest.mark.parametrize(
    ("asked", "rounded"), [(0, 0), (1, 1), (33, 33), (99, 99), (101, 110), (2_100, 2_100)]
)
def test_waits_are_rounded_up_to_two_digits(asked: int, rounded: int) -> None:
    assert in_steps(asked * SECOND, left=HOUR) == rounded * SECOND


@given(asked=st.timedeltas(timedelta(0), timedelta(days=1)), left=st.integers(1, 90_000))
def test_rounding_adds_little_and_never_makes_a_wait_end_too_late(
    asked: timedelta, left: int
) -> None:
    end = left * SECOND
    rounded = in_steps(asked, left=end)
    assert asked <= rounded <= asked * 1.1 + SECOND
    assert rounded < end or asked >= end or rounded == asked


def test_a_misconfigured_lane_is_probed_at_a_steady_pace() -> None:
    broken = Attempt(Verdict.MISCONFIGURED, written=False)
    assert wait(broken, tries=1) == wait(broken, tries=50) == 30 * SECOND


def test_nothing_is_tried_again_at_or_after_the_end_of_the_dispatch() -> None:
    trouble = Attempt(Verdict.RETRY, written=True)
    for end, again in ((10, False), (11, True)):
        limit = terms(expires_at=NOW + end * SECOND)
        due = next_attempt(trouble, tries=1, now=NOW, terms=limit, jitter=0.0)
        assert (due is not None) is again


def test_unanswered_requests_are_sent_again_only_at_least_once() -> None:
    silence = Attempt(Verdict.UNKNOWN, written=True)
    at_most_once = terms(delivery=AT_MOST_ONCE)
    assert wait(silence) == 10 * SECOND
    assert next_attempt(silence, tries=1, now=NOW, terms=at_most_once, jitter=0.5) is None


def test_a_target_that_never_answers_is_given_up() -> None:
    silence = Attempt(Verdict.UNKNOWN, written=True)
    assert next_attempt(silence, tries=2, now=NOW, terms=terms(), jitter=0.5) is not None
    assert next_attempt(silence, tries=3, now=NOW, terms=terms(), jitter=0.5) is None


@given(
    verdict=st.sampled_from(list(Verdict)),
    written=st.booleans(),
    asked=st.none() | st.timedeltas(min_value=timedelta(0), max_value=HOUR),
    tries=st.integers(1, 10_000),
    jitter=st.floats(0, 1),
)
def test_a_wait_keeps_its_bounds(
    verdict: Verdict, written: bool, asked: timedelta | None, tries: int, jitter: float
) -> None:
    done = Attempt(verdict, written, asked)
    due = next_attempt(done, tries=tries, now=NOW, terms=terms(), jitter=jitter)
    if due is not None:
        assert NOW <= due < NOW + HOUR
        assert asked is None or due - NOW >= asked
        assert due - NOW <= max(asked or SECOND, POLICY.longest_wait) + POLICY.unsent_wait
