"""What the answers of a page come to."""

from collections import Counter
from datetime import timedelta

import pytest

from nuncio_dispatcher.domain.books import Books, Entry, Outcome
from nuncio_dispatcher.domain.dispatch import DeliveryPolicy
from nuncio_dispatcher.domain.model import Answers, Provider, Verdict
from nuncio_dispatcher.domain.pages import Page, Settled
from nuncio_dispatcher.domain.retry import Terms
from nuncio_dispatcher.domain.settle import (
    MOST_TRIES,
    end_unreachable,
    end_waiting,
    settle,
)
from tests.unit.dispatcher.builders import NOW, answers, page, rows, terms

A, F, W = Provider.APNS, Provider.FCM, Provider.WEB_PUSH
OK, DEAD, RETRY = Verdict.ACCEPTED, Verdict.TOKEN_DEAD, Verdict.RETRY
UNKNOWN, BROKEN, EXPIRED = Verdict.UNKNOWN, Verdict.MISCONFIGURED, Verdict.EXPIRED
SOON = timedelta(seconds=5)


def settled(sent: Page, given: Answers, limits: Terms | None = None) -> Settled:
    result = settle(sent, given, terms=limits or terms(), now=NOW, jitter=lambda: 0.5)
    moved = Counter(result.entries)
    moved[Entry(Outcome.IN_FLIGHT)] += len(sent.rows)
    moved[Entry(Outcome.RESOLVED)] = len(sent.rows)
    assert Books(moved).add_up()
    return result


def test_a_page_of_final_verdicts_has_no_follow_ups() -> None:
    result = settled(page(A, F), answers(OK, DEAD))
    assert result.verdicts == bytes([OK, DEAD])
    assert not result.follow_ups


def test_rows_that_fared_alike_follow_up_together() -> None:
    given = answers(RETRY, OK, RETRY, RETRY, BROKEN, unsent=[3])
    result = settled(page(A, A, F, W, F), given)
    followed = {bytes(each.rows.providers): each for each in result.follow_ups}
    assert set(followed) == {bytes([A, F]), bytes([W]), bytes([F])}
    assert followed[bytes([A, F])].rows == page(A, A, F, W, F).rows.pick([0, 2])
    assert all(each.tries == 1 for each in result.follow_ups)
    assert result.verdicts == bytes([RETRY, OK, RETRY, RETRY, BROKEN])


def test_waits_of_about_the_same_length_are_one_group_and_none_is_cut_short() -> None:
    given = answers(RETRY, RETRY, RETRY)
    given.retry_after[:] = [timedelta(seconds=s) for s in (331, 338, 345)]
    result = settled(page(A, A, A), given)
    waits = {len(each.rows): each.due_at - NOW for each in result.follow_ups}
    assert timedelta(seconds=340) <= waits[2] < timedelta(seconds=342)
    assert timedelta(seconds=350) <= waits[1] < timedelta(seconds=352)


def test_the_tries_of_a_page_are_counted_up_to_a_bound() -> None:
    given = settled(page(A, tries=MOST_TRIES), answers(RETRY))
    assert given.follow_ups[0].tries == MOST_TRIES


def test_a_page_is_only_put_back_when_none_of_its_rows_has_its_outcome() -> None:
    assert not settled(page(A, F, W), answers(RETRY, RETRY, BROKEN)).is_final
    assert settled(page(A, F), answers(RETRY, DEAD)).is_final
    assert settled(page(), answers()).is_final


def test_only_rows_that_may_have_left_are_known_as_sent_before() -> None:
    result = settled(page(A, F), answers(RETRY, RETRY, unsent=[1]))
    sent_before = {bytes(each.rows.providers): each.sent_before for each in result.follow_ups}
    assert sent_before == {bytes([A]): True, bytes([F]): False}


def test_what_was_sent_once_stays_sent() -> None:
    (follow_up,) = settled(page(A, sent_before=True), answers(RETRY, unsent=[0])).follow_ups
    assert follow_up.sent_before


def test_attempts_beyond_the_first_are_counted_when_they_left() -> None:
    given = answers(OK, RETRY, unsent=[1])
    again = settled(page(A, A, tries=1, sent_before=True), given)
    first = settled(page(A, A, tries=1), given)
    assert again.entries[Entry(Outcome.RETRIED)] == 1
    assert Entry(Outcome.RETRIED) not in first.entries


def test_a_row_that_cannot_be_tried_in_time_expires_with_the_providers_reason() -> None:
    given = answers(RETRY, BROKEN, OK, reasons=["InternalServerError", "NO_CREDENTIAL", ""])
    result = settled(page(A, F, A), given, terms(expires_at=NOW + SOON))
    assert result.verdicts == bytes([EXPIRED, EXPIRED, OK])
    assert result.reasons[0] == "InternalServerError"
    assert result.entries[Entry(Outcome.EXPIRED)] == 2


def test_an_unanswered_request_is_sent_again_at_least_once() -> None:
    result = settled(page(A), answers(UNKNOWN))
    assert result.verdicts == bytes([RETRY])
    assert result.entries[Entry(Outcome.QUEUED)] == 1


def test_an_unanswered_request_stays_unknown_at_most_once() -> None:
    result = settled(page(A), answers(UNKNOWN), terms(delivery=DeliveryPolicy.AT_MOST_ONCE))
    assert result.verdicts == bytes([UNKNOWN])
    assert result.entries[Entry(Outcome.UNKNOWN)] == 1


def test_what_provably_never_left_is_sent_even_at_most_once() -> None:
    limits = terms(delivery=DeliveryPolicy.AT_MOST_ONCE)
    assert len(settled(page(A), answers(RETRY, unsent=[0]), limits).follow_ups) == 1


def test_an_unanswered_request_that_cannot_be_sent_again_in_time_stays_unknown() -> None:
    result = settled(page(A), answers(UNKNOWN), terms(expires_at=NOW + SOON))
    assert result.verdicts == bytes([UNKNOWN])


def test_rows_that_went_unanswered_once_are_in_doubt_from_then_on() -> None:
    first = settled(page(A, F), answers(UNKNOWN, RETRY))
    doubts = {bytes(each.rows.providers): each.in_doubt for each in first.follow_ups}
    assert doubts == {bytes([A]): True, bytes([F]): False}
    (again,) = settled(page(A, in_doubt=True), answers(RETRY)).follow_ups
    assert again.in_doubt


@pytest.mark.parametrize("verdict", [RETRY, BROKEN, EXPIRED])
def test_what_may_have_been_taken_does_not_expire_but_is_unknown(verdict: Verdict) -> None:
    late = terms(expires_at=NOW + SOON)
    result = settled(page(A, in_doubt=True), answers(verdict, unsent=[]), late)
    assert result.verdicts == bytes([UNKNOWN])
    assert result.entries[Entry(Outcome.UNKNOWN)] == 1


def test_what_a_provider_refuses_in_the_end_is_refused_whatever_went_before() -> None:
    assert settled(page(A, in_doubt=True), answers(DEAD)).verdicts == bytes([DEAD])


@pytest.mark.parametrize(("in_doubt", "outcome"), [(False, EXPIRED), (True, UNKNOWN)])
def test_a_waiting_page_ends_with_one_outcome(in_doubt: bool, outcome: Verdict) -> None:
    result = end_waiting(page(A, F, in_doubt=in_doubt), EXPIRED, reason="EXPIRED")
    assert result.verdicts == bytes([outcome] * 2)
    assert result.entries == {
        Entry(Outcome.QUEUED): -2,
        Entry(Outcome.UNKNOWN if in_doubt else Outcome.EXPIRED): 2,
    }
    assert not result.follow_ups


def test_rows_in_doubt_that_are_not_found_again_are_unknown_and_the_others_wait_on() -> None:
    waiting = page(A, F, W, tries=2, in_doubt=True)
    result = end_unreachable(waiting, waiting.rows.pick([1]), now=NOW)
    assert result.verdicts == bytes([UNKNOWN, RETRY, UNKNOWN])
    assert result.entries == {Entry(Outcome.QUEUED): -2, Entry(Outcome.UNKNOWN): 2}
    (left,) = result.follow_ups
    assert left.rows == waiting.rows.pick([1])
    assert (left.due_at, left.tries, left.in_doubt) == (NOW, 2, True)


def test_a_page_in_doubt_that_is_not_found_at_all_is_over() -> None:
    result = end_unreachable(page(A, in_doubt=True), rows(), now=NOW)
    assert result.verdicts == bytes([UNKNOWN])
    assert not result.follow_ups
