"""What the sends of a lane share: the rows that are under way, and what answers ask of them all.

Everything happens in callbacks of the transport, for many rows at a time: what all rows of an
exchange have in common is written down once at its end, and only rows that were not accepted are
looked at one by one.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import timedelta
from typing import Final

from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.http2.exchange import (
    UNREACHABLE,
    Exchange,
    Failure,
    Reply,
    Requests,
    Transport,
)
from nuncio_dispatcher.providers.answers import Aftermath, Answer, Own
from nuncio_dispatcher.providers.client import Client, Job
from nuncio_dispatcher.providers.lane.gate import Gate, Parts, Pass
from nuncio_dispatcher.providers.lane.roads import Road, Roads
from nuncio_dispatcher.providers.lane.sheet import Sheet
from nuncio_runtime.clock import Clock

SILENT: Final = (UNREACHABLE - {Failure.NOT_HTTP2}) | {
    Failure.STREAM_RESET,
    Failure.BAD_ANSWER,
    Failure.CONNECTION_LOST,
    Failure.NO_ANSWER,
}
"""Failures of the provider, or of the way to it, row by row; others say nothing about either."""
LONGEST_PAUSE: Final = timedelta(seconds=5)
"""Of a lane: when it is longer, rows go back, so that the other lanes of their page go on."""


@dataclass(eq=False, kw_only=True)
class Line:
    """What the sends of a lane share.

    legs: what is under way, by exchange. credentials: how often they were renewed, so that a job
    from before is known.
    """

    client: Client
    transport: Transport
    gate: Gate
    roads: Roads
    answer_within: float
    clock: Clock

    def __post_init__(self) -> None:
        self.legs: dict[Exchange, Leg] = {}
        self.credentials = 0

    def refusal(self, road: Road, parts: Parts) -> Answer | None:
        """The answer for rows that must not go out now."""
        refusal = self.gate.refusal(parts)
        if refusal is not None:
            return refusal
        wait = road.breaker.refusal()
        if wait is not None:
            return Answer(Verdict.RETRY, Own.LANE_DOWN.value, wait)
        return None

    def pause(self, road: Road) -> Answer | None:
        """The answer for rows that are not worth keeping here until the provider wants more."""
        resumes_at = road.budget.state().resumes_at
        wait = timedelta() if resumes_at is None else resumes_at - self.clock.now()
        return Answer(Verdict.RETRY, Own.SLOWED_DOWN.value, wait) if wait > LONGEST_PAUSE else None

    def turn_back(self) -> None:
        """Answer the rows that wait, but may no longer go out. Probes stay."""
        for leg in list(self.legs.values()):
            refusal = None if leg.is_probe else self.refusal(leg.road, leg.passed.parts)
            if refusal is not None:
                leg.put_waiting(refusal)

    def slow_down(self, road: Road, wait: timedelta | None) -> None:
        """A provider wants fewer requests: rows that wait go out again as the budget allows."""
        road.budget.slow_down(wait)
        for leg in list(self.legs.values()):
            if leg.road is road and not leg.is_probe:
                leg.again(leg.take_back())

    def renewed(self, credentials: int) -> None:
        """The credentials of a job are no longer taken and there are new ones: rows that wait go
        out with these."""
        if credentials == self.credentials:
            self.credentials += 1
            for leg in list(self.legs.values()):
                leg.again(leg.take_back())


@dataclass(eq=False, kw_only=True)
class Leg:
    """Rows on their way as one exchange.

    sheet: for the answers. again: takes rows that are to be prepared anew. rows: their numbers in
    the send.
    """

    line: Line
    sheet: Sheet
    again: Callable[[Sequence[int]], None]
    job: Job
    credentials: int
    rows: Sequence[int]
    passed: Pass
    road: Road
    is_probe: bool
    requests: InitVar[Requests]
    urgent: InitVar[bool]
    accepted: int = field(default=0, init=False)
    """How many of the accepted rows the breaker and the gate were told of."""
    is_abandoned: bool = field(default=False, init=False)
    """Whether it is us who wait no longer: that says nothing about the provider."""

    def __post_init__(self, requests: Requests, urgent: bool) -> None:
        self.exchange = Exchange(
            requests,
            answer_within=self.line.answer_within,
            heard=self.heard,
            urgent=urgent,
        )

    def heard(self, exchange: Exchange, ended: Sequence[int]) -> None:
        """Take what came of rows; see exchange.Heard."""
        sheet, rows, sent_at = self.sheet, self.rows, exchange.written_at
        answers: list[Answer] = []
        ok = failed = 0
        has_lost = False
        for at in ended:
            reply = exchange.replies.get(at)
            if reply is None:
                failure = exchange.failures[at]
                if _is_of_connection(failure, is_written=sent_at[at] is not None):
                    has_lost = True
                else:
                    failed += failure in SILENT
                sheet.lose(rows[at], failure, sent_at[at])
            else:
                answer = self._read(rows[at], reply)
                sheet.put(rows[at], answer, sent_at[at])
                answers.append(answer)
                if reply.status < 500:
                    ok += 1
                elif Aftermath.RECONNECT in answer.aftermath:
                    has_lost = True
                else:
                    failed += 1
        self._tell(answers, ok=ok, failed=0 if self.is_abandoned else failed + has_lost)
        if not exchange.open:
            self.finish()
        self._follow(answers)
        line = self.line
        if line.gate.is_paused or self.road.breaker.refusal() is not None:
            line.turn_back()

    def take_back(self) -> list[int]:
        """Withdraw the rows that wait. They are the caller's to answer."""
        rows = [self.rows[at] for at in self.exchange.withdraw()]
        self.road.budget.give_back(len(rows))
        if not self.exchange.open and not self.exchange.unheard:
            self._tell()
            self.finish()
        return rows

    def put_waiting(self, answer: Answer) -> None:
        """Withdraw the rows that wait, and give them this answer."""
        for row in self.take_back():
            self.sheet.put(row, answer, None)

    def finish(self) -> None:
        """Every row has ended: write down the accepted ones."""
        line, exchange = self.line, self.exchange
        if line.legs.pop(exchange, None) is None:
            return
        line.gate.leave(self.passed)
        if exchange.accepted == len(self.rows):
            self.sheet.accept(self.rows, exchange.written_at)
        elif exchange.accepted:
            taken = [at for at, status in enumerate(exchange.statuses) if 200 <= status < 300]
            written_at = exchange.written_at
            rows = [self.rows[at] for at in taken]
            self.sheet.accept(rows, [written_at[at] for at in taken])

    def _read(self, row: int, reply: Reply) -> Answer:
        try:
            answer = self.job.read(row, reply)
        # Whatever is wrong with this answer, the other rows shall have theirs.
        except Exception as error:  # noqa: BLE001
            self.sheet.remark("unexpected_failure", error=type(error).__name__)
            return Answer(Verdict.UNKNOWN, Failure.FAULT.value)
        if answer.aftermath and Aftermath.RECONNECT in answer.aftermath:
            reply.via.drain()
        return answer

    def _tell(self, answers: Sequence[Answer] = (), *, ok: int = 0, failed: int = 0) -> None:
        """What came of rows says something about the credential, and about the provider."""
        accepted = self.exchange.accepted - self.accepted
        self.accepted = self.exchange.accepted
        if accepted or ok or failed or (self.is_probe and not self.exchange.open):
            self.road.breaker.note(ok=accepted + ok, failed=failed, is_probe=self.is_probe)
        self.line.gate.learn(self.passed, answers, accepted=accepted)

    def _follow(self, answers: Iterable[Answer]) -> None:
        """Do what answers ask of the lane."""
        for answer in answers:
            if not answer.aftermath:
                continue
            if Aftermath.SLOW_DOWN in answer.aftermath:
                self.line.slow_down(self.road, answer.retry_after)
            if Aftermath.KEEP_TOKEN in answer.aftermath:
                self.sheet.remark("too_many_provider_tokens")
            if Aftermath.NEW_TOKEN in answer.aftermath:
                self.line.renewed(self.credentials)


def _is_of_connection(failure: Failure, *, is_written: bool) -> bool:
    """Whether one connection is the trouble of all its rows, which then is one failure.

    A load balancer that restarts takes hundreds of rows along and says nothing about the next
    connection. Rows that were not written are another matter: several connections came to nothing.
    """
    return failure is Failure.NOT_HTTP2 or (failure is Failure.CONNECTION_LOST and is_written)
