"""The only place that decides whether and when something is sent again."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from nuncio_dispatcher.domain.dispatch import DeliveryPolicy
from nuncio_dispatcher.domain.model import Verdict

_NOTHING: Final = timedelta(0)


@dataclass(frozen=True, kw_only=True)
class RetryPolicy:
    """How long to wait.

    first_wait: the shortest wait after a provider's trouble. unsent_wait: the longest first wait
    of what was provably not sent. probe_wait: between tries of a misconfigured lane.
    longest_wait: the bound of the growing waits. unanswered_tries: after so many tries a target
    whose requests get no answer is counted as unknown.
    """

    first_wait: timedelta = timedelta(seconds=10)
    unsent_wait: timedelta = timedelta(seconds=1)
    probe_wait: timedelta = timedelta(seconds=30)
    longest_wait: timedelta = timedelta(minutes=5)
    unanswered_tries: int = 3


@dataclass(frozen=True, kw_only=True)
class Terms:
    """What bounds the tries of a dispatch."""

    delivery: DeliveryPolicy
    expires_at: datetime
    policy: RetryPolicy


class Attempt(NamedTuple):
    """How rows fared, as far as the next attempt depends on it.

    written: whether bytes may have left. retry_after: what the provider asks for, if it does.
    """

    verdict: Verdict
    written: bool
    retry_after: timedelta | None = None


def next_attempt(
    done: Attempt, *, tries: int, now: datetime, terms: Terms, jitter: float
) -> datetime | None:
    """When to try again, None to give up. Pure; jitter, 0 to 1, is drawn by the caller.

    tries: how often the rows were tried, this attempt included. The wait grows exponentially and
    has full jitter above its floor; it is never shorter than what a provider asks for. Nothing is
    tried again at or after the end of the dispatch, and jitter alone never makes it too late.
    Source of first_wait's default: Firebase, "Best practices when sending FCM messages at scale"
    (exponential backoff, first wait of 10 s or more).
    """
    left = terms.expires_at - now
    shortest, longest = _waits(done, tries=tries, policy=terms.policy)
    if shortest >= left or not may_retry(done.verdict, tries=tries, terms=terms):
        return None
    due = now + shortest + jitter * (min(longest, left) - shortest)
    return due if due < terms.expires_at else None


def may_retry(verdict: Verdict, *, tries: int, terms: Terms) -> bool:
    """Whether one more attempt may help, and may be made."""
    if verdict is Verdict.UNKNOWN:
        again = terms.delivery is DeliveryPolicy.AT_LEAST_ONCE
        return again and tries < terms.policy.unanswered_tries
    return verdict in (Verdict.RETRY, Verdict.MISCONFIGURED)


def in_steps(wait: timedelta, *, left: timedelta) -> timedelta:
    """The wait, rounded up to two digits of seconds: rows with about the same one stay together.

    That adds a tenth at most, and nothing where it would make the wait end too late.
    """
    seconds = -(-wait // timedelta(seconds=1))
    step = 10 ** max(len(str(seconds)) - 2, 0)
    rounded = timedelta(seconds=-(-seconds // step) * step)
    return rounded if rounded < left else wait


def _waits(done: Attempt, *, tries: int, policy: RetryPolicy) -> tuple[timedelta, timedelta]:
    """The shortest and the longest wait: ours, or what the provider asks for when that is more."""
    shortest, longest = _own_waits(done, tries=tries, policy=policy)
    asked = done.retry_after
    if asked is None or asked <= _NOTHING:
        return shortest, longest
    return max(asked, shortest), max(asked + policy.unsent_wait, longest)


def _own_waits(done: Attempt, *, tries: int, policy: RetryPolicy) -> tuple[timedelta, timedelta]:
    if done.verdict is Verdict.MISCONFIGURED:
        return policy.probe_wait, policy.probe_wait + policy.unsent_wait
    if not done.written:
        return _NOTHING, _grown(policy.unsent_wait, tries - 1, policy)
    return policy.first_wait, _grown(policy.first_wait, tries, policy)


def _grown(base: timedelta, doublings: int, policy: RetryPolicy) -> timedelta:
    # 30 doublings of anything are longer than any bound; many more would overflow.
    return max(base, min(base * (1 << min(doublings, 30)), policy.longest_wait))
