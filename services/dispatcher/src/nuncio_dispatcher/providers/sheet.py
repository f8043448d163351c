"""The answers of one send: each row waits, is on its way, and is answered, once."""

import asyncio
from collections import Counter
from datetime import datetime
from typing import Final

import structlog

from nuncio_dispatcher.domain.model import Answers, Verdict
from nuncio_dispatcher.providers.answers import Answer, Lost, Own, Unsent

log = structlog.get_logger(__name__)

MOST_REMARKS: Final = 10
"""Different ones of a send that are logged as they are."""


class Sheet:
    """Filled in row by row. `full` is set once every row has its answer."""

    def __init__(self, count: int) -> None:
        self.full = asyncio.Event()
        self._answers = Answers.uniform(count, Verdict.RETRY, reason=Own.NOT_SENT)
        self._open = set(range(count))
        self._written: dict[int, datetime] = {}
        self._remarks: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
        if not count:
            self.full.set()

    def __repr__(self) -> str:
        return f"Sheet({len(self._answers) - len(self._open)}/{len(self._answers)})"

    def write(self, row: int, at: datetime) -> None:
        """Note that a row is on its way."""
        self._written[row] = at

    def take_back(self, row: int) -> None:
        """Note that a row waits again: provably nothing of it was processed."""
        self._written.pop(row, None)

    def put(self, row: int, answer: Answer, sent_at: datetime | None) -> None:
        """Write down a row's answer; sent_at is None when provably nothing was written.

        The first answer counts: what comes after `abandon` is too late.
        """
        if row not in self._open:
            return
        self._open.remove(row)
        answers = self._answers
        answers.verdicts[row] = answer.verdict
        answers.reasons[row] = answer.reason
        answers.retry_after[row] = answer.retry_after
        answers.dead_since[row] = answer.dead_since
        answers.sent_at[row] = sent_at
        if answer.unlisted is not None:
            self.remark("unlisted_answer", reason=answer.reason, word=answer.unlisted)
        if not self._open:
            self.full.set()

    def lose(self, row: int, result: Unsent | Lost) -> None:
        """Write down that a row got no answer."""
        if result.error:
            self.remark("unexpected_failure", error=result.error)
        verdict = Verdict.RETRY if isinstance(result, Unsent) else Verdict.UNKNOWN
        sent_at = None if isinstance(result, Unsent) else self._written[row]
        self.put(row, Answer(verdict, result.reason), sent_at)

    def abandon(self) -> None:
        """Answer what is still open: what is on its way may have been taken, the rest was not."""
        for row in sorted(self._open):
            written = row in self._written
            self.lose(row, Lost(Own.NO_ANSWER) if written else Unsent(Own.NOT_SENT))

    def remark(self, event: str, **fields: str) -> None:
        """Say something about a row in the log: equal remarks are one line, with their count."""
        remark = event, frozenset(fields.items())
        if remark not in self._remarks and len(self._remarks) >= MOST_REMARKS:
            remark = event, frozenset()
        self._remarks[remark] += 1

    def close(self, *, lane: str) -> Answers:
        """The answers, one for every row, as a send returns them; logs the remarks."""
        assert not self._open, f"{self}: every row is answered when a send returns"
        for (event, fields), count in self._remarks.items():
            log.warning(event, lane=lane, count=count, **dict(fields))
        return self._answers
