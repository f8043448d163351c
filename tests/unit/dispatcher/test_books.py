"""The books add up, whatever happens to a dispatch."""

from collections import Counter

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from nuncio_dispatcher.domain import books
from nuncio_dispatcher.domain.books import Books, Entries, Entry, Outcome
from nuncio_dispatcher.domain.model import Provider, Verdict

REASONS = ("NO_CONSENT", "STALE", "NOT_FOUND", "NO_PERMISSION")
GOES_ON = (Verdict.RETRY, Verdict.MISCONFIGURED)

suppressions = st.dictionaries(st.sampled_from(REASONS), st.integers(0, 9))


class Dispatching(RuleBasedStateMachine):
    """Pages are opened, closed, reopened and skipped in any order that is possible."""

    def __init__(self) -> None:
        super().__init__()
        self.counts: Entries = Counter()
        self.in_flight: list[int] = []
        self.waiting: list[int] = []

    def commit(self, entries: Entries) -> None:
        self.counts.update(entries)

    @rule(found=st.integers(0, 30), suppressed=suppressions)
    def open(self, found: int, suppressed: dict[str, int]) -> None:
        self.commit(books.opened(found, suppressed))
        self.in_flight.append(found)

    @precondition(lambda self: self.in_flight)
    @rule(data=st.data())
    def close(self, data: st.DataObject) -> None:
        size = self.in_flight.pop()
        verdicts = data.draw(st.lists(st.sampled_from(list(Verdict)), min_size=size, max_size=size))
        providers = [Provider.APNS] * size
        reasons = [verdict.name for verdict in verdicts]
        self.commit(books.closed(verdicts, providers, reasons, retried=0))
        self.waiting.append(sum(verdict in GOES_ON for verdict in verdicts))

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), suppressed=suppressions)
    def reopen(self, data: st.DataObject, suppressed: dict[str, int]) -> None:
        size = self.waiting.pop()
        found = data.draw(st.integers(0, size))
        self.commit(books.reopened(size, found, suppressed))
        self.in_flight.append(found)

    @precondition(lambda self: self.waiting)
    @rule()
    def expire(self) -> None:
        size = self.waiting.pop()
        closed = books.closed(
            [Verdict.EXPIRED] * size, [Provider.FCM] * size, [""] * size, retried=0
        )
        self.commit(books.merged([books.reopened(size, size, {}), closed]))

    @invariant()
    def it_adds_up(self) -> None:
        kept = Books(self.counts)
        assert kept.add_up()
        assert kept.total(Outcome.IN_FLIGHT) == sum(self.in_flight)
        assert kept.total(Outcome.QUEUED) == sum(self.waiting)
        assert kept.unfinished() == sum(self.in_flight) + sum(self.waiting)
        assert min(self.counts.values(), default=0) >= 0


Dispatching.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestBooks = Dispatching.TestCase


def test_a_page_counts_whom_it_names_and_whom_it_leaves_out() -> None:
    assert books.opened(3, {"STALE": 2, "NO_CONSENT": 0}) == {
        Entry(Outcome.RESOLVED): 5,
        Entry(Outcome.SUPPRESSED, 0, "STALE"): 2,
        Entry(Outcome.IN_FLIGHT): 3,
    }


def test_rejections_are_counted_by_provider_and_reason_and_say_whether_the_token_is_dead() -> None:
    entries = books.closed(
        [Verdict.TOKEN_DEAD, Verdict.TOKEN_DOUBTFUL, Verdict.REFUSED, Verdict.ACCEPTED],
        [Provider.FCM, Provider.APNS, Provider.APNS, Provider.APNS],
        ["UNREGISTERED", "BadDeviceToken", "PayloadTooLarge", ""],
        retried=0,
    )
    assert entries == {
        Entry(Outcome.TOKEN_DEAD, Provider.FCM, "UNREGISTERED"): 1,
        Entry(Outcome.REJECTED, Provider.APNS, "BadDeviceToken"): 1,
        Entry(Outcome.REJECTED, Provider.APNS, "PayloadTooLarge"): 1,
        Entry(Outcome.ACCEPTED): 1,
        Entry(Outcome.IN_FLIGHT): -4,
    }


def test_waiting_targets_that_nobody_explains_are_counted_as_not_found() -> None:
    entries = books.reopened(5, 1, {"NO_CONSENT": 1})
    assert entries[Entry(Outcome.SUPPRESSED, 0, "NO_CONSENT")] == 1
    assert entries[Entry(Outcome.SUPPRESSED, 0, "NOT_FOUND")] == 3


def test_no_more_are_counted_as_suppressed_than_were_waiting() -> None:
    entries = books.reopened(2, 1, {"NO_CONSENT": 5, "STALE": 5})
    assert entries[Entry(Outcome.SUPPRESSED, 0, "NO_CONSENT")] == 1
    assert Entry(Outcome.SUPPRESSED, 0, "STALE") not in entries


def test_changes_that_cancel_each_other_leave_nothing() -> None:
    there, back = Counter({Entry(Outcome.QUEUED): 2}), Counter({Entry(Outcome.QUEUED): -2})
    assert books.merged([there, back]) == {}
