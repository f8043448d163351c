"""Positions and scopes on the wire."""

from datetime import UTC, datetime
from uuid import UUID

import pytest

from nuncio.feedback.v1 import feedback_service_pb2 as pb
from nuncio_feedback.api import convert
from nuncio_feedback.domain.model import Position, Scope
from nuncio_runtime.errors import InvalidField
from nuncio_runtime.paging import PageTokenMismatch
from tests.unit.feedback.pages import Row, page_of, wire

SCOPE = Scope("com.example.app", "", None)
POSITION = Position(datetime(2026, 11, 21, 12, 0, 0, 123_456, tzinfo=UTC), 42)


def test_a_position_survives_its_page_token() -> None:
    token = convert.page_token(POSITION, scope=SCOPE)
    assert convert.position(token, scope=SCOPE) == POSITION


def test_the_end_and_the_start_have_no_token() -> None:
    assert convert.page_token(None, scope=SCOPE) == ""
    assert convert.position("", scope=SCOPE) is None


@pytest.mark.parametrize(
    "other", [Scope("com.example.other", "", None), Scope("com.example.app", "", UUID(int=1))]
)
def test_a_page_token_of_another_list_is_refused(other: Scope) -> None:
    token = convert.page_token(POSITION, scope=SCOPE)
    with pytest.raises(PageTokenMismatch):
        convert.position(token, scope=other)


def test_a_page_survives_the_wire() -> None:
    page = page_of(Row(reason="a"), Row(reason="b"), test=True)
    assert convert.outcome_page(wire(page)) == page


def test_a_dispatch_id_that_is_no_uuid_is_refused() -> None:
    with pytest.raises(InvalidField, match="dispatch_id"):
        convert.list_scope(pb.ListInvalidationsRequest(app_id="a", dispatch_id="spring"))
