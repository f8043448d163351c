"""What a lane tells of itself, and what people make of it."""

from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from typing import Final, NamedTuple

from nuncio_dispatcher.domain.lane_status import Condition, LaneAnswers, LaneState, LaneTraffic
from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.http2.exchange import Origin, Traffic
from nuncio_dispatcher.providers.answers import Own
from nuncio_dispatcher.providers.lane.breaker import BreakerState, Circuit
from nuncio_dispatcher.providers.lane.budget import BudgetState

_REFUSED: Final = (
    Verdict.TOKEN_DEAD,
    Verdict.TOKEN_DOUBTFUL,
    Verdict.REFUSED,
    Verdict.MISCONFIGURED,
)
_READY: Final = Condition()


class Pause(NamedTuple):
    """A lane, or a part of it, whose credential is refused."""

    part: str
    """Empty: all of the lane."""
    reason: str
    since: datetime
    next_probe_at: datetime | None
    """None: a probe is under way."""


class RoadState(NamedTuple):
    """How the way to one origin is."""

    origin: Origin
    budget: BudgetState
    breaker: BreakerState


class LiveState(NamedTuple):
    """How a lane stands at this moment."""

    pauses: Sequence[Pause]
    roads: Sequence[RoadState]
    traffic: Sequence[tuple[Origin, Traffic]]
    answers: LaneAnswers


class Tally:
    """Counts what came of a lane's rows; told once per send."""

    def __init__(self) -> None:
        self._counts = LaneAnswers()

    def add(self, verdicts: bytearray) -> None:
        """Take in the answers of a send: numbers of Verdict."""
        accepted = verdicts.count(Verdict.ACCEPTED)
        refused = sum(verdicts.count(verdict) for verdict in _REFUSED)
        failed = len(verdicts) - accepted - refused
        before = self._counts
        self._counts = LaneAnswers(
            before.accepted + accepted, before.refused + refused, before.failed + failed
        )

    @property
    def answers(self) -> LaneAnswers:
        """What was counted since the lane was made."""
        return self._counts


def condition_of(live: LiveState, *, many_origins: bool) -> Condition:
    """Whether the lane sends. Of several troubles the worst, and of equal ones the oldest.

    many_origins: the lane serves several, so that a trouble with one of them concerns a part.
    """
    found = [*_paused(live.pauses), *_troubles(live.roads, many_origins=many_origins)]
    return min(found, key=_severity, default=_READY)


def origins_of(live: LiveState) -> Sequence[Origin]:
    """Those that the lane has to do with now."""
    return sorted({origin for origin, _ in live.traffic} | {road.origin for road in live.roads})


def traffic_of(live: LiveState) -> LaneTraffic:
    """What the lane is doing, with all origins together."""
    traffic = [found for _, found in live.traffic]
    in_budget = sum(road.budget.waiting for road in live.roads)
    return LaneTraffic(
        connections=sum(found.connections for found in traffic),
        in_flight=sum(found.in_flight for found in traffic),
        waiting=sum(found.waiting for found in traffic) + in_budget,
        stream_limit=sum(found.stream_limit for found in traffic),
    )


def rate_of(live: LiveState, *, allowed: float | None) -> float | None:
    """Rows per second that may be sent now, of several origins to the slowest; None: no limit."""
    rates = [road.budget.rate for road in live.roads]
    return min((rate for rate in rates if rate is not None), default=allowed)


def _paused(pauses: Iterable[Pause]) -> Iterator[Condition]:
    for pause in pauses:
        yield Condition(
            LaneState.PAUSED, pause.reason, pause.part, pause.since, pause.next_probe_at
        )


def _troubles(roads: Iterable[RoadState], *, many_origins: bool) -> Iterator[Condition]:
    for road in roads:
        part = str(road.origin) if many_origins else ""
        breaker, budget = road.breaker, road.budget
        if breaker.circuit is not Circuit.CLOSED:
            yield Condition(
                LaneState.DOWN, Own.LANE_DOWN.value, part, breaker.since, breaker.probe_at
            )
        if budget.slowed_since is not None:
            yield Condition(
                LaneState.SLOWED,
                Own.SLOWED_DOWN.value,
                part,
                budget.slowed_since,
                budget.resumes_at,
            )


def _severity(condition: Condition) -> tuple[int, bool, float]:
    since = 0.0 if condition.since is None else condition.since.timestamp()
    return condition.state, bool(condition.part), since
