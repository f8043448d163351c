"""Verdicts and lanes as people and programs see them."""

import pytest

from nuncio.dispatcher.v1 import lane_pb2
from nuncio.dispatcher.v1.dispatcher_service_pb2 import SendDirectResponse
from nuncio.feedback.v1 import outcome_pb2
from nuncio_cli import lane_view
from nuncio_cli.commands.send_direct import line_of

REQUEST = "request 7"


def test_an_answer_says_what_the_provider_said_in_one_line() -> None:
    dead = SendDirectResponse(
        verdict=outcome_pb2.VERDICT_TOKEN_DEAD, reason="Unregistered", request_id="7"
    )
    dead.dead_since.seconds = 1_700_000_000
    slow = SendDirectResponse(verdict=outcome_pb2.VERDICT_RETRY, reason="SLOW", request_id="7")
    slow.retry_after.seconds = 90
    taken = SendDirectResponse(verdict=outcome_pb2.VERDICT_ACCEPTED, request_id="7")
    assert line_of(dead) == f"token_dead  Unregistered  since 2023-11-14T22:13:20Z  {REQUEST}"
    assert line_of(slow) == f"retry  SLOW  try again after 90 s  {REQUEST}"
    assert line_of(taken) == f"accepted  {REQUEST}"


@pytest.mark.parametrize(
    ("transport", "shown"),
    [
        (lane_pb2.LANE_TRANSPORT_UNSPECIFIED, None),
        (lane_pb2.LANE_TRANSPORT_MULTIPLEX, "multiplex"),
    ],
)
def test_a_lane_that_cannot_send_has_no_transport(
    transport: lane_pb2.LaneTransport.ValueType, shown: str | None
) -> None:
    document = lane_view.document(lane_pb2.Lane(transport=transport))
    assert document["transport"] == shown
