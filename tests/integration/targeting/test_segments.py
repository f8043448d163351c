"""Segments over gRPC: each call, and each refusal as the contract says it."""

from collections.abc import Awaitable
from typing import Any

import pytest

from nuncio.targeting.v1 import audience_pb2
from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.targeting.house import House

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


async def refused(call: Awaitable[Any]) -> RemoteError:
    with pytest.raises(RemoteError) as raised:
        await call
    return raised.value


async def update(house: House, app: str, name: str, text: str) -> audience_pb2.Segment:
    segment = audience_pb2.Segment(name=name, expression=text)
    request = pb.UpdateSegmentRequest(app_id=app, segment=segment)
    return (await house.targeting.UpdateSegment(request)).segment


async def test_a_segment_is_saved_and_used(house: House, app: str) -> None:
    swiss = await house.installed(app, country="CH")
    await house.installed(app, country="DE")
    created = await house.segment(app, "swiss", 'country = "CH"')
    assert created.create_time == created.update_time
    read = await house.targeting.GetSegment(pb.GetSegmentRequest(app_id=app, name="swiss"))
    assert read.segment == created
    assert await house.found(app, 'segment("swiss") AND all()') == {swiss}


async def test_creating_again_with_equal_content_changes_nothing(house: House, app: str) -> None:
    first = await house.segment(app, "vip", "all()")
    assert await house.segment(app, "vip", "all()") == first


async def test_creating_again_with_other_content_is_refused(house: House, app: str) -> None:
    await house.segment(app, "vip", "all()")
    error = await refused(house.segment(app, "vip", "user_id:*"))
    assert (error.kind, error.reason) == (Kind.ALREADY_EXISTS, "SEGMENT_EXISTS")
    assert error.metadata == {"appId": app, "segment": "vip"}


async def test_an_update_holds_for_the_next_page(house: House, app: str) -> None:
    swiss = await house.installed(app, country="CH")
    created = await house.segment(app, "here", 'country = "DE"')
    updated = await update(house, app, "here", 'country = "CH"')
    assert updated.create_time == created.create_time
    assert updated.update_time.ToNanoseconds() > created.update_time.ToNanoseconds()
    assert await house.found(app, 'segment("here")') == {swiss}


async def test_lists_come_in_pages_by_name(house: House, app: str) -> None:
    for name in ("c", "a", "b"):
        await house.segment(app, name, "all()")
    first = await house.targeting.ListSegments(pb.ListSegmentsRequest(app_id=app, page_size=2))
    assert [each.name for each in first.segments] == ["a", "b"]
    rest = await house.targeting.ListSegments(
        pb.ListSegmentsRequest(app_id=app, page_size=2, page_token=first.next_page_token)
    )
    assert [each.name for each in rest.segments] == ["c"]
    assert not rest.next_page_token


async def test_a_page_token_belongs_to_its_app(house: House, app: str) -> None:
    for name in ("a", "b"):
        await house.segment(app, name, "all()")
    page = await house.targeting.ListSegments(pb.ListSegmentsRequest(app_id=app, page_size=1))
    other = pb.ListSegmentsRequest(app_id="other", page_token=page.next_page_token)
    error = await refused(house.targeting.ListSegments(other))
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "PAGE_TOKEN_MISMATCH")


async def test_a_segment_in_use_stays(house: House, app: str) -> None:
    await house.segment(app, "inner", "all()")
    await house.segment(app, "outer", 'segment("inner")')
    delete = pb.DeleteSegmentRequest(app_id=app, name="inner")
    error = await refused(house.targeting.DeleteSegment(delete))
    assert (error.kind, error.reason) == (Kind.FAILED_PRECONDITION, "SEGMENT_IN_USE")
    assert error.metadata == {"appId": app, "segment": "inner", "usedBy": "outer"}
    await update(house, app, "outer", "all()")
    await house.targeting.DeleteSegment(delete)
    await house.targeting.DeleteSegment(delete)  # What is not there counts as deleted.


async def test_a_circle_is_refused_when_it_would_close(house: House, app: str) -> None:
    await house.segment(app, "a", "all()")
    await house.segment(app, "b", 'segment("a")')
    error = await refused(update(house, app, "a", 'segment("b")'))
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "SEGMENT_CYCLE")
    assert error.metadata == {"segments": "a,b,a"}
    error = await refused(house.segment(app, "me", 'segment("me")'))
    assert error.metadata == {"segments": "me,me"}


async def test_only_a_right_expression_is_saved(house: House, app: str) -> None:
    error = await refused(house.segment(app, "vip", "platform = ios"))
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "AUDIENCE_INVALID")
    assert error.metadata["column"] == "12"
    error = await refused(house.segment(app, "vip", 'segment("nobody")'))
    assert (error.kind, error.reason) == (Kind.NOT_FOUND, "SEGMENT_NOT_FOUND")


async def test_more_than_ten_levels_of_segments_are_refused(house: House, app: str) -> None:
    await house.segment(app, "s0", "all()")
    for level in range(1, 10):
        await house.segment(app, f"s{level}", f'segment("s{level - 1}")')
    error = await refused(house.segment(app, "s10", 'segment("s9")'))
    assert error.reason == "AUDIENCE_TOO_LARGE"
    assert error.metadata["limit"] == "levels of segments"


async def test_what_is_not_there_is_named(house: House, app: str) -> None:
    for call in (
        house.targeting.GetSegment(pb.GetSegmentRequest(app_id=app, name="vip")),
        update(house, app, "vip", "all()"),
    ):
        error = await refused(call)
        assert (error.kind, error.reason) == (Kind.NOT_FOUND, "SEGMENT_NOT_FOUND")
        assert error.metadata == {"appId": app, "segment": "vip"}


async def test_an_unknown_app_is_named(house: House) -> None:
    for call in (
        house.segment("nobody", "vip", "all()"),
        house.targeting.ListSegments(pb.ListSegmentsRequest(app_id="nobody")),
    ):
        error = await refused(call)
        assert (error.kind, error.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")


@pytest.mark.parametrize(
    ("segment", "field"),
    [
        (audience_pb2.Segment(name="Vip", expression="all()"), "segment.name"),
        (audience_pb2.Segment(name="vip"), "segment.expression"),
        (audience_pb2.Segment(name="vip", expression="a" * 20_001), "segment.expression"),
        (
            audience_pb2.Segment(name="vip", expression="all()", description="d" * 501),
            "segment.description",
        ),
    ],
)
async def test_a_field_that_breaks_a_rule_is_named(
    house: House, app: str, segment: audience_pb2.Segment, field: str
) -> None:
    request = pb.CreateSegmentRequest(app_id=app, segment=segment)
    error = await refused(house.targeting.CreateSegment(request))
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "INVALID_FIELD")
    assert error.metadata["field"] == field
