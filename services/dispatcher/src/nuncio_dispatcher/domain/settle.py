"""Turns the answers of a page into what is journaled: outcomes, follow-ups and books."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import Final

from nuncio_dispatcher.domain import books
from nuncio_dispatcher.domain.model import Answers, Verdict
from nuncio_dispatcher.domain.pages import FollowUp, Page, Rows, Settled
from nuncio_dispatcher.domain.retry import Attempt, Terms, in_steps, next_attempt

Jitter = Callable[[], float]
"""Draws a number from 0 to 1."""

MOST_TRIES: Final = 1_000_000
"""Where counting the tries of a page ends. Whatever depends on them has ended long before."""
UNREACHABLE: Final = "NOT_REACHABLE"
"""The reason of rows that were never answered, and may not be asked about again."""

_OPEN: Final = frozenset({Verdict.RETRY, Verdict.MISCONFIGURED, Verdict.UNKNOWN})
_FINAL: Final = bytes(set(Verdict) - _OPEN)


def settle(page: Page, answers: Answers, *, terms: Terms, now: datetime, jitter: Jitter) -> Settled:
    """Decide for every row of a page in flight whether it has its outcome or follows up.

    Rows that fared alike follow up together, so that a page brings few pages after it.
    """
    verdicts = bytearray(answers.verdicts)
    follow_ups = []
    for done, rows in _stragglers(answers, left=terms.expires_at - now).items():
        due_at = next_attempt(done, tries=page.tries + 1, now=now, terms=terms, jitter=jitter())
        verdict = _journaled(done.verdict, again=due_at is not None)
        for row in rows:
            verdicts[row] = verdict
        if due_at is not None:
            follow_ups.append(_follow_up(page, done, rows, due_at=due_at))
    if page.in_doubt:
        verdicts = verdicts.replace(bytes([Verdict.EXPIRED]), bytes([Verdict.UNKNOWN]))
    return Settled(
        verdicts=bytes(verdicts),
        reasons=answers.reasons,
        sent_at=answers.sent_at,
        dead_since=answers.dead_since,
        follow_ups=follow_ups,
        entries=_entries(page, verdicts, answers),
    )


def end_waiting(page: Page, verdict: Verdict, *, reason: str) -> Settled:
    """A waiting page ends with the same outcome for all of it, and nothing sent.

    When its rows may have been taken before, they are unknown: that is all that can be said.
    """
    count = len(page.rows)
    final = Verdict.UNKNOWN if page.in_doubt else verdict
    return _unsent(page, bytes([final]) * count, reason=reason)


def end_unreachable(page: Page, found: Rows, *, now: datetime) -> Settled:
    """Of a waiting page in doubt, the rows that were not found again are unknown.

    The others go on waiting, as a page of their own that is due now.
    """
    ids = set(found.ids())
    again = [row for row, key in enumerate(page.rows.ids()) if key in ids]
    verdicts = bytearray([Verdict.UNKNOWN]) * len(page.rows)
    for row in again:
        verdicts[row] = Verdict.RETRY
    follow_up = FollowUp(
        rows=page.rows.pick(again),
        due_at=now,
        tries=page.tries,
        sent_before=page.sent_before,
        in_doubt=True,
    )
    return _unsent(
        page, bytes(verdicts), reason=UNREACHABLE, follow_ups=[follow_up] if again else []
    )


def _unsent(
    page: Page, verdicts: bytes, *, reason: str, follow_ups: list[FollowUp] | None = None
) -> Settled:
    """The result of a waiting page without an attempt."""
    count = len(page.rows)
    answers = Answers.uniform(count, Verdict.UNKNOWN, reason=reason)
    flight = books.reopened(count, count, {})
    return Settled(
        verdicts=verdicts,
        reasons=answers.reasons,
        sent_at=answers.sent_at,
        dead_since=answers.dead_since,
        follow_ups=follow_ups or [],
        entries=books.merged([flight, _entries(page, verdicts, answers)]),
    )


def _stragglers(answers: Answers, *, left: timedelta) -> Mapping[Attempt, list[int]]:
    """Rows without a final verdict, by how they fared. left: until the dispatch ends."""
    groups: dict[Attempt, list[int]] = {}
    if not answers.verdicts.translate(None, _FINAL):
        return groups  # By far the most pages: nothing is left when the final bytes are deleted.
    for row, verdict in enumerate(answers.verdicts):
        if verdict in _OPEN:
            written = answers.sent_at[row] is not None
            asked = answers.retry_after[row]
            wait = None if asked is None else in_steps(asked, left=left)
            groups.setdefault(Attempt(Verdict(verdict), written, wait), []).append(row)
    return groups


def _journaled(verdict: Verdict, *, again: bool) -> Verdict:
    if verdict is Verdict.UNKNOWN:
        return Verdict.RETRY if again else Verdict.UNKNOWN
    return verdict if again else Verdict.EXPIRED


def _follow_up(page: Page, done: Attempt, rows: list[int], *, due_at: datetime) -> FollowUp:
    return FollowUp(
        rows=page.rows.pick(rows),
        due_at=due_at,
        tries=min(page.tries + 1, MOST_TRIES),
        sent_before=page.sent_before or done.written,
        in_doubt=page.in_doubt or done.verdict is Verdict.UNKNOWN,
    )


def _entries(page: Page, verdicts: bytes | bytearray, answers: Answers) -> books.Entries:
    sent = sum(moment is not None for moment in answers.sent_at)
    return books.closed(
        bytes(verdicts),
        page.rows.providers,
        answers.reasons,
        retried=sent if page.sent_before else 0,
    )
