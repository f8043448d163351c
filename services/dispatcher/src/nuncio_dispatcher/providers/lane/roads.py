"""What a lane keeps of each origin that it sends to: how fast, and whether at all."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from nuncio_dispatcher.http2.exchange import Origin
from nuncio_dispatcher.providers.lane.breaker import Breaker
from nuncio_dispatcher.providers.lane.budget import Budget
from nuncio_dispatcher.providers.lane.live import RoadState
from nuncio_runtime.clock import Clock

MOST_ROADS: Final = 1_000
"""Subscriptions come from outside, and some push services have a host per cluster."""


class Road(NamedTuple):
    """The way to one origin."""

    budget: Budget
    breaker: Breaker


class Roads:
    """A road per origin, the least recently used of too many forgotten."""

    def __init__(self, lane: str, *, rate: float | None, clock: Clock) -> None:
        """rate: requests per minute to one origin; None: no limit."""
        self._lane = lane
        self._rate = None if rate is None else rate / 60
        self._clock = clock
        self._roads: dict[Origin, Road] = {}

    def __repr__(self) -> str:
        return f"Roads({self._lane}, {len(self._roads)})"

    def to(self, origin: Origin) -> Road:
        """The road to an origin."""
        road = self._roads.pop(origin, None)
        if road is None:
            road = Road(
                Budget(self._rate, clock=self._clock),
                Breaker(f"{self._lane} {origin}", clock=self._clock),
            )
            if len(self._roads) >= MOST_ROADS:
                del self._roads[next(iter(self._roads))]
        self._roads[origin] = road
        return road

    def states(self) -> Sequence[RoadState]:
        """How each of them is now, for people."""
        return [
            RoadState(origin, road.budget.state(), road.breaker.state())
            for origin, road in self._roads.items()
        ]
