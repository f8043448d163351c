"""What people are told of a lane: the worst of its troubles, and its traffic."""

from datetime import UTC, datetime, timedelta

from nuncio_dispatcher.domain.lane_status import Condition, LaneAnswers, LaneState, LaneTraffic
from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.http2.exchange import Origin, Traffic
from nuncio_dispatcher.providers.lane.breaker import BreakerState, Circuit
from nuncio_dispatcher.providers.lane.budget import BudgetState
from nuncio_dispatcher.providers.lane.live import (
    LiveState,
    Pause,
    RoadState,
    Tally,
    condition_of,
    origins_of,
    rate_of,
    traffic_of,
)

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=30)
ONE, OTHER = Origin("one.example", 443), Origin("other.example", 8443)
FREE = BudgetState(None, None, 0, slowed_since=None, resumes_at=None)
SLOW = BudgetState(100, 50, 7, slowed_since=NOW, resumes_at=LATER)
UP = BreakerState(Circuit.CLOSED, None, None)
DOWN = BreakerState(Circuit.OPEN, NOW, LATER)
PROBED = BreakerState(Circuit.HALF_OPEN, NOW, None)
PAUSE = Pause("", "InvalidProviderToken", NOW, LATER)


def live(*roads: RoadState, pauses: tuple[Pause, ...] = ()) -> LiveState:
    traffic = [(ONE, Traffic(2, 30, 4, 1_000)), (OTHER, Traffic(1, 1, 0, 100))]
    return LiveState(pauses, roads, traffic, LaneAnswers())


def condition(*roads: RoadState, pauses: tuple[Pause, ...] = (), many: bool = False) -> Condition:
    return condition_of(live(*roads, pauses=pauses), many_origins=many)


def test_a_lane_without_trouble_is_ready() -> None:
    assert condition(RoadState(ONE, FREE, UP)) == Condition(LaneState.READY, "", "", None, None)


def test_a_lane_says_why_and_until_when_it_does_not_send() -> None:
    assert condition(pauses=(PAUSE,)) == (
        LaneState.PAUSED,
        "InvalidProviderToken",
        "",
        NOW,
        LATER,
    )
    assert condition(RoadState(ONE, FREE, DOWN)) == (LaneState.DOWN, "LANE_DOWN", "", NOW, LATER)
    assert condition(RoadState(ONE, SLOW, UP)) == (LaneState.SLOWED, "SLOWED_DOWN", "", NOW, LATER)


def test_while_a_probe_is_under_way_it_is_still_down() -> None:
    assert condition(RoadState(ONE, FREE, PROBED))[0] is LaneState.DOWN


def test_the_worst_trouble_is_told() -> None:
    road = RoadState(ONE, SLOW, DOWN)
    assert condition(road)[0] is LaneState.DOWN
    assert condition(road, pauses=(PAUSE,))[0] is LaneState.PAUSED


def test_a_trouble_of_the_whole_comes_before_one_of_a_part() -> None:
    part = PAUSE._replace(part="apple", reason="THIRD_PARTY_AUTH_ERROR")
    assert condition(pauses=(part,)).part == "apple"
    assert condition(pauses=(part, PAUSE)).part == ""


def test_of_several_origins_the_one_in_trouble_is_named() -> None:
    roads = RoadState(ONE, FREE, UP), RoadState(OTHER, FREE, DOWN)
    assert condition(*roads, many=True).part == "https://other.example:8443"


def test_traffic_is_that_of_all_origins_and_of_the_budget() -> None:
    found = live(RoadState(ONE, SLOW, UP))
    assert traffic_of(found) == LaneTraffic(3, 31, 4 + 7, 1_100)
    assert origins_of(found) == [ONE, OTHER]


def test_the_rate_is_that_of_the_slowest_origin() -> None:
    fast = SLOW._replace(rate=80.0)
    roads = RoadState(ONE, SLOW, UP), RoadState(OTHER, fast, UP)
    assert rate_of(live(*roads), allowed=100) == 50
    assert rate_of(live(), allowed=100) == 100
    assert rate_of(live(RoadState(ONE, FREE, UP)), allowed=None) is None


def test_every_verdict_is_counted_once() -> None:
    tally = Tally()
    tally.add(bytearray(Verdict))
    tally.add(bytearray([Verdict.ACCEPTED]))
    assert tally.answers == LaneAnswers(accepted=2, refused=4, failed=3)
    assert sum(tally.answers) == len(Verdict) + 1
