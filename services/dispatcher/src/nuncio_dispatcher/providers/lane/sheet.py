"""The answers of one send: each row waits, is handed over, and is answered, once."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime
from typing import Final

import structlog

from nuncio_dispatcher.domain.model import Answers, Verdict
from nuncio_dispatcher.http2.exchange import Failure
from nuncio_dispatcher.providers.answers import Answer

log = structlog.get_logger(__name__)

MOST_REMARKS: Final = 10
"""Different ones of a send that are logged as they are."""

_WAITS, _HANDED_OVER, _ANSWERED = 0, 1, 2


class Sheet:
    """Filled in row by row, or many at once. `full` is set once every row has its answer."""

    def __init__(self, count: int) -> None:
        self.full = asyncio.Event()
        self._answers = Answers.uniform(count, Verdict.RETRY, reason=Failure.NOT_SENT.value)
        self._states = bytearray(count)
        self._open = count
        self._remarks: Counter[tuple[str, frozenset[tuple[str, str]]]] = Counter()
        if not count:
            self.full.set()

    def __repr__(self) -> str:
        return f"Sheet({len(self._states) - self._open}/{len(self._states)})"

    def __len__(self) -> int:
        return len(self._states)

    def hand_over(self, rows: Sequence[int]) -> None:
        """Note that waiting rows are with the transport."""
        self._set(rows, _HANDED_OVER)

    def take_back(self, rows: Sequence[int]) -> None:
        """Note that rows wait again: the transport has not written them."""
        self._set(rows, _WAITS)

    def put(self, row: int, answer: Answer, sent_at: datetime | None) -> None:
        """Write down a row's answer; sent_at is None when provably nothing was processed.

        The first answer counts.
        """
        if self._states[row] == _ANSWERED:
            return
        self._states[row] = _ANSWERED
        answers = self._answers
        answers.verdicts[row] = answer.verdict
        answers.reasons[row] = answer.reason
        answers.retry_after[row] = answer.retry_after
        answers.dead_since[row] = answer.dead_since
        answers.sent_at[row] = sent_at
        if answer.unlisted is not None:
            self.remark("unlisted_answer", reason=answer.reason, word=answer.unlisted)
        self._less(1)

    def accept(self, rows: Sequence[int], sent_at: Sequence[datetime | None]) -> None:
        """Write down that rows which were handed over were accepted."""
        answers, count = self._answers, len(rows)
        if isinstance(rows, range) and rows.step == 1:
            part = slice(rows.start, rows.stop)
            answers.verdicts[part] = bytes([Verdict.ACCEPTED]) * count
            answers.reasons[part] = [""] * count
            answers.sent_at[part] = sent_at
        else:
            verdicts, reasons, column = answers.verdicts, answers.reasons, answers.sent_at
            accepted = Verdict.ACCEPTED.value
            for row, at in zip(rows, sent_at, strict=True):
                verdicts[row] = accepted
                reasons[row] = ""
                column[row] = at
        self._set(rows, _ANSWERED)
        self._less(count)

    def lose(self, row: int, failure: Failure, sent_at: datetime | None) -> None:
        """Write down that a row got no answer: what was written may have been taken."""
        verdict = Verdict.RETRY if sent_at is None else Verdict.UNKNOWN
        if failure is Failure.TOO_LARGE:
            verdict = Verdict.REFUSED  # it will not become smaller
        self.put(row, Answer(verdict, failure.value), sent_at)

    def put_waiting(self, answer: Answer) -> None:
        """Give every row that waits the same answer."""
        row = self._states.find(_WAITS)
        while row >= 0:
            self.put(row, answer, None)
            row = self._states.find(_WAITS, row)

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

    def _set(self, rows: Sequence[int], state: int) -> None:
        states = self._states
        if isinstance(rows, range) and rows.step == 1:
            states[rows.start : rows.stop] = bytes([state]) * len(rows)
        else:
            for row in rows:
                states[row] = state

    def _less(self, count: int) -> None:
        self._open -= count
        if not self._open:
            self.full.set()
