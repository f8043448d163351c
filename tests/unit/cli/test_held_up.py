"""What is said of lanes that hold a dispatch up."""

import json

import pytest

from nuncio.common.v1.provider_pb2 import ENVIRONMENT_PRODUCTION, PROVIDER_APNS
from nuncio.dispatcher.v1 import lane_pb2
from nuncio.dispatcher.v1.dispatch_pb2 import DISPATCH_STATE_RUNNING, Books, Dispatch
from nuncio.registry.v1 import installation_pb2
from nuncio_cli import installation_view
from nuncio_cli.following import Followed
from nuncio_cli.held_up import HeldUp, Lanes, sorted_out
from nuncio_cli.output import no_report


def lane(state: lane_pb2.LaneState.ValueType, reason: str = "", part: str = "") -> lane_pb2.Lane:
    return lane_pb2.Lane(
        app_id="shop",
        provider=PROVIDER_APNS,
        environment=ENVIRONMENT_PRODUCTION,
        state=state,
        reason=reason,
        part=part,
    )


@pytest.mark.parametrize(
    ("state", "reason", "said"),
    [
        (lane_pb2.LANE_STATE_PAUSED, "InvalidProviderToken", "nuncio credentials check shop"),
        (lane_pb2.LANE_STATE_MISCONFIGURED, "shop.toml: apns: is required", "credentials check"),
        (lane_pb2.LANE_STATE_MISCONFIGURED, "NO_CREDENTIAL: no section", "shop.toml"),
        (lane_pb2.LANE_STATE_DOWN, "LANE_DOWN", "by itself"),
        (lane_pb2.LANE_STATE_SLOWED, "SLOWED_DOWN", "by itself"),
        (lane_pb2.LaneState.ValueType(99), "", "nuncio lanes"),
    ],
)
def test_each_state_says_what_to_do(
    state: lane_pb2.LaneState.ValueType, reason: str, said: str
) -> None:
    (found,), ready = sorted_out([lane(state, reason), lane(lane_pb2.LANE_STATE_READY)])
    assert ready == {"apns/shop/production"}
    assert said in found.advice
    assert found.line().startswith("what is for lane apns/shop/production waits: ")
    assert reason in found.line()


def test_a_part_of_a_lane_is_named() -> None:
    (found,), _ = sorted_out([lane(lane_pb2.LANE_STATE_DOWN, "LANE_DOWN", "apple")])
    assert found.reason == "apple: LANE_DOWN"


def test_lanes_are_told_when_they_change_and_not_again(capsys: pytest.CaptureFixture[str]) -> None:
    running = Dispatch(dispatch_id="d", state=DISPATCH_STATE_RUNNING, books=Books(queued=1))
    followed = Followed(running, no_report, as_json=False)
    missing = HeldUp("fcm/shop/production", "misconfigured", "NO_CREDENTIAL", "write it")
    paused = missing._replace(state="paused", reason="refused")
    other = missing._replace(lane="apns/shop/production")
    for now in ([missing], [missing], [missing, other], [paused, other], [paused, other]):
        followed.lanes_are(Lanes(now))
    followed.lanes_are(Lanes([other], {paused.lane}))
    followed.lanes_are(Lanes([]))  # Nobody knows whether the other one sends.
    told = [line.split("; ")[0] for line in capsys.readouterr().err.splitlines()]
    assert told == [
        "what is for lane fcm/shop/production waits: misconfigured: NO_CREDENTIAL",
        "what is for lane apns/shop/production waits: misconfigured: NO_CREDENTIAL",
        "what is for lane fcm/shop/production waits: paused: refused",
        "lane fcm/shop/production sends again",
    ]


def test_programs_get_a_line_for_each_change(capsys: pytest.CaptureFixture[str]) -> None:
    running = Dispatch(dispatch_id="d", state=DISPATCH_STATE_RUNNING, books=Books(queued=1))
    followed = Followed(running, no_report, as_json=True)
    followed.dispatch_is(running)  # Known already.
    down = HeldUp("fcm/shop/production", "down", "LANE_DOWN", "wait")
    for now in ([down], [down], []):
        followed.lanes_are(Lanes(now))
    followed.dispatch_is(Dispatch(dispatch_id="d", books=Books(accepted=1)))
    lines = [json.loads(line) for line in capsys.readouterr().out.splitlines()]
    assert [line["held_up"] for line in lines] == [[down._asdict()], [], []]
    assert [line["books"]["accepted"] for line in lines] == [0, 0, 1]


@pytest.mark.parametrize(
    ("number", "shown"), [(3.0, "orders=3"), (-2.5, "orders=-2.5"), (1e300, "orders=1e+300")]
)
def test_whole_numbers_are_shown_whole(
    number: float, shown: str, capsys: pytest.CaptureFixture[str]
) -> None:
    installation = installation_pb2.Installation()
    installation.facts.attributes["orders"].number = number
    installation_view.show(installation)
    assert shown in capsys.readouterr().out.split()
