"""A page token is what a list has given, or it is refused, whatever bytes it is sealed around."""

from collections.abc import Callable
from typing import Any

import pytest

from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio_dispatcher.api.convert import list_cursor, next_page_token
from nuncio_dispatcher.api.lanes import lane_cursor
from nuncio_runtime.paging import PageTokenMismatch, encode_page_token
from tests.unit.dispatcher.test_watch import dispatch

APP = "shop"
# The digests of the lists' filters, as anybody may read in the source.
DISPATCHES, LANES = b"dispatches\0shop\0", b"lanes\0shop"


def of_dispatches(cursor: bytes) -> Any:
    token = encode_page_token(cursor, filter_digest=DISPATCHES)
    return list_cursor(pb.ListDispatchesRequest(app_id=APP, page_token=token))


def of_lanes(cursor: bytes) -> Any:
    token = encode_page_token(cursor, filter_digest=LANES)
    return lane_cursor(pb.ListLanesRequest(app_id=APP, page_token=token))


def test_the_digests_here_are_those_of_the_lists() -> None:
    """Else the tests below would only show that foreign tokens are refused."""
    assert of_dispatches(bytes(24)).dispatch_id.int == 0
    assert of_lanes(b"\1\2shop") == ("shop", 1, 2)


def test_the_place_of_a_dispatch_comes_back() -> None:
    request, last = pb.ListDispatchesRequest(app_id=APP), dispatch()
    request.page_token = next_page_token(request, last)
    assert list_cursor(request) == (last.created_at, last.dispatch_id)


@pytest.mark.parametrize(
    ("read", "cursor"),
    [
        *((of_dispatches, bytes(length)) for length in (0, 1, 8, 23, 25)),
        (of_dispatches, b"\xff" * 24),
        *((of_lanes, cursor) for cursor in (b"", b"\1", b"\1\2\xff", b"\1\2a\0")),
        (of_lanes, b"\1\2" + b"a" * 129),
    ],
)
def test_a_forged_token_is_refused(read: Callable[[bytes], Any], cursor: bytes) -> None:
    with pytest.raises(PageTokenMismatch) as refused:
        read(cursor)
    assert [violation.field for violation in refused.value.violations] == ["page_token"]
