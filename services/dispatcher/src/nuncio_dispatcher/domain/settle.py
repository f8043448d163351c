"""Turns the answers of a page into what is journaled: outcomes, follow-ups and books."""

from collections.abc import Callable, Iterable, Mapping
from datetime import datetime, timedelta
from typing import Final

from nuncio_dispatcher.domain import books
from nuncio_dispatcher.domain.model import Answers, Verdict
from nuncio_dispatcher.domain.pages import FollowUp, Page, Settled
from nuncio_dispatcher.domain.retry import Attempt, Terms, next_attempt

Jitter = Callable[[], float]
"""Draws a number from 0 to 1."""

_OPEN: Final = frozenset({Verdict.RETRY, Verdict.MISCONFIGURED, Verdict.UNKNOWN})
_FINAL: Final = bytes(set(Verdict) - _OPEN)


def settle(page: Page, answers: Answers, *, terms: Terms, now: datetime, jitter: Jitter) -> Settled:
    """Decide for every row of a page in flight whether it has its outcome or follows up.

    Rows that fared alike follow up together, so that a page brings few pages after it.
    """
    verdicts = bytearray(answers.verdicts)
    follow_ups = []
    for done, rows in _stragglers(answers).items():
        due_at = next_attempt(done, tries=page.tries + 1, now=now, terms=terms, jitter=jitter())
        verdict = _journaled(done.verdict, again=due_at is not None)
        for row in rows:
            verdicts[row] = verdict
        if due_at is not None:
            follow_ups.append(_follow_up(page, done, rows, due_at=due_at))
    return Settled(
        verdicts=bytes(verdicts),
        reasons=answers.reasons,
        sent_at=answers.sent_at,
        dead_since=answers.dead_since,
        follow_ups=follow_ups,
        entries=_entries(page, verdicts, answers),
    )


def _stragglers(answers: Answers) -> Mapping[Attempt, list[int]]:
    """Rows without a final verdict, by how they fared."""
    groups: dict[Attempt, list[int]] = {}
    if not answers.verdicts.translate(None, _FINAL):
        return groups  # By far the most pages: nothing is left when the final bytes are deleted.
    for row, verdict in enumerate(answers.verdicts):
        if verdict in _OPEN:
            written = answers.sent_at[row] is not None
            wait = _rounded(answers.retry_after[row])
            groups.setdefault(Attempt(Verdict(verdict), written, wait), []).append(row)
    return groups


def _rounded(wait: timedelta | None) -> timedelta | None:
    """Up to the next power of two seconds: rows with about the same wait belong together."""
    if wait is None:
        return None
    seconds = -(-wait // timedelta(seconds=1))
    return timedelta(seconds=1 << (seconds - 1).bit_length() if seconds > 1 else max(seconds, 0))


def _journaled(verdict: Verdict, *, again: bool) -> Verdict:
    if verdict is Verdict.UNKNOWN:
        return Verdict.RETRY if again else Verdict.UNKNOWN
    return verdict if again else Verdict.EXPIRED


def _follow_up(page: Page, done: Attempt, rows: list[int], *, due_at: datetime) -> FollowUp:
    return FollowUp(
        rows=page.rows.pick(rows),
        due_at=due_at,
        tries=page.tries + 1,
        sent_before=page.sent_before or done.written,
    )


def _entries(page: Page, verdicts: Iterable[int], answers: Answers) -> books.Entries:
    sent = sum(moment is not None for moment in answers.sent_at)
    return books.closed(
        bytes(verdicts),
        page.rows.providers,
        answers.reasons,
        retried=sent if page.sent_before else 0,
    )
