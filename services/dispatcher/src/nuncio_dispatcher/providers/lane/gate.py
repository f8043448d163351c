"""A lane whose credential is refused stops by itself, and finds out with one row when to go on.

Sending page after page into a refusal helps nobody: the rows trickle (APNs allows one stream until
it has seen a valid token), other lanes of their pages wait, and providers count the refusals.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import structlog
from prometheus_client import Gauge

from nuncio_dispatcher.domain.model import Provider, Verdict
from nuncio_dispatcher.providers.answers import Aftermath, Answer
from nuncio_dispatcher.providers.lane.live import Pause
from nuncio_runtime.clock import Clock
from nuncio_runtime.metrics import REGISTRY

log = structlog.get_logger(__name__)

PAUSED: Final = Gauge(
    "dispatcher_lane_paused",
    "Lanes, or parts of them, that send nothing because the provider refuses the credential.",
    ("provider",),
    registry=REGISTRY,
)
MOST_DOUBTS: Final = 20
"""Refusals in a row that might be about the rows, before they are taken to be about the lane."""
# The provider looked at the row, so that it has most likely taken the credential before. Where it
# looks in another order, the next row's refusal shuts the lane again.
_JUDGED: Final = frozenset(
    {Verdict.ACCEPTED, Verdict.TOKEN_DEAD, Verdict.TOKEN_DOUBTFUL, Verdict.REFUSED}
)
_CERTAIN: Final = Aftermath.PAUSE | Aftermath.PAUSE_PART

Parts = tuple[str, ...]
"""What of a lane rows go through: all of it, and perhaps one part that may fail alone."""
WHOLE: Final[Parts] = ("",)


class Pass(NamedTuple):
    """Rows that are let through."""

    parts: Parts
    probes: Parts = ()
    """Those whose pause they may end; then it is one row."""


@dataclass
class _Pause:
    reason: str
    until: float
    since: datetime
    is_probed: bool = False


class Gate:
    """Lets a lane's rows through, or tells why not."""

    def __init__(
        self, lane: str, provider: Provider, *, probe_wait: timedelta, clock: Clock
    ) -> None:
        self._lane = lane
        self._gauge = PAUSED.labels(provider.name.lower())
        self._probe_wait = probe_wait.total_seconds()
        self._clock = clock
        self._pauses: dict[str, _Pause] = {}
        self._doubts: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"Gate({self._lane}, paused={sorted(self._pauses)})"

    @property
    def is_paused(self) -> bool:
        """Whether anything of the lane is."""
        return bool(self._pauses)

    def refusal(self, parts: Parts) -> Answer | None:
        """The answer for rows that must not be written now; None when they may `enter`."""
        if not self._pauses:
            return None
        now = self._clock.monotonic()
        for part in parts:
            pause = self._pauses.get(part)
            if pause is not None and (pause.is_probed or now < pause.until):
                return Answer(Verdict.MISCONFIGURED, pause.reason)
        return None

    def enter(self, parts: Parts) -> Pass:
        """Let rows through that got no refusal: all of them, or one if the pass has probes.

        Each Pass must `leave`, whatever comes of its rows.
        """
        probes = tuple(part for part in parts if part in self._pauses) if self._pauses else ()
        for part in probes:
            self._pauses[part].is_probed = True
        return Pass(parts, probes)

    def learn(self, passed: Pass, answers: Iterable[Answer] = (), *, accepted: int = 0) -> None:
        """Learn what came of rows at the same time: so many accepted ones, and other answers.

        Next to an accepted row, a refusal that might be about its own row accuses nothing.
        """
        if accepted:
            self._prove(passed, passed.parts)
        for answer in answers:
            self._prove(passed, _proven(passed.parts, answer))
            accused = _accused(passed.parts, answer)
            if accused is not None and (not accepted or answer.aftermath & _CERTAIN):
                self._accuse(accused, answer)

    def leave(self, passed: Pass) -> None:
        """All that could be learned of the rows is; where it was not enough, another may probe."""
        for part in passed.probes:
            if part in self._pauses:
                self._pauses[part].is_probed = False

    def pauses(self) -> Sequence[Pause]:
        """What of the lane is paused now, for people."""
        now, moment = self._clock.monotonic(), self._clock.now()
        return [
            Pause(
                part=part,
                reason=pause.reason,
                since=pause.since,
                next_probe_at=None
                if pause.is_probed
                else moment + timedelta(seconds=max(pause.until - now, 0)),
            )
            for part, pause in self._pauses.items()
        ]

    def close(self) -> None:
        """The lane sends nothing any more, for another reason."""
        self._gauge.dec(len(self._pauses))
        self._pauses.clear()

    def _prove(self, passed: Pass, parts: Parts) -> None:
        if not self._doubts and not self._pauses:
            return
        for part in parts:
            self._doubts.pop(part, None)
            if part in passed.probes:
                self._resume(part)

    def _accuse(self, part: str, answer: Answer) -> None:
        pause, now = self._pauses.get(part), self._clock.monotonic()
        if pause is None:
            if self._is_certain(part, answer):
                until = now + self._probe_wait
                self._pauses[part] = _Pause(answer.reason, until, since=self._clock.now())
                self._gauge.inc()
                log.warning("lane_paused", lane=self._lane, part=part, reason=answer.reason)
        elif now >= pause.until:
            pause.reason, pause.until = answer.reason, now + self._probe_wait

    def _is_certain(self, part: str, answer: Answer) -> bool:
        """Whether the lane is at fault; where the row might be, many have to say the same."""
        doubts = self._doubts[part] = self._doubts.get(part, 0) + 1
        if doubts < MOST_DOUBTS and not answer.aftermath & _CERTAIN:
            return False
        del self._doubts[part]
        return True

    def _resume(self, part: str) -> None:
        if self._pauses.pop(part, None) is not None:
            self._gauge.dec()
            log.info("lane_resumed", lane=self._lane, part=part)


def _proven(parts: Parts, answer: Answer) -> Parts:
    """The parts that the provider has taken the credential for."""
    if answer.verdict in _JUDGED:
        return parts
    return parts[:1] if Aftermath.PAUSE_PART in answer.aftermath else ()


def _accused(parts: Parts, answer: Answer) -> str | None:
    """The part that the provider refuses; without certainty the smallest."""
    if answer.verdict is not Verdict.MISCONFIGURED:
        return None
    if Aftermath.PAUSE in answer.aftermath:
        return parts[0]
    if Aftermath.PAUSE_PART in answer.aftermath:
        return parts[1] if len(parts) > 1 else None
    return parts[-1]
