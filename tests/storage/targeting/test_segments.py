"""The contract of the port Segments, on PostgreSQL."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta

import pytest

from nuncio_runtime.postgres import StorageUnavailable, open_pool
from nuncio_targeting.domain.errors import SegmentInUse, SegmentNotFound
from nuncio_targeting.domain.model import Segment, SegmentContent
from nuncio_targeting.domain.ports import Segments
from nuncio_targeting.storage.postgres import PostgresSegments, Q
from tests.support.postgres import fresh_database

APP = "shop"
THEN = datetime(2026, 1, 1, tzinfo=UTC)
LATER = THEN + timedelta(days=1)


@pytest.fixture
async def segments() -> AsyncIterator[Segments]:
    async with (
        fresh_database("nuncio_targeting", "targeting") as database,
        open_pool(database) as pool,
    ):
        yield PostgresSegments(pool)


def segment(name: str, expression: str = "all()", *, at: datetime = THEN) -> Segment:
    return Segment(name, SegmentContent(expression, "for people"), created_at=at, updated_at=at)


async def test_what_is_created_can_be_read(segments: Segments) -> None:
    stored = await segments.create(APP, segment("vip"), uses=[])
    assert stored == segment("vip")
    assert await segments.get(APP, "vip") == stored


async def test_a_segment_belongs_to_its_app(segments: Segments) -> None:
    await segments.create(APP, segment("vip"), uses=[])
    with pytest.raises(SegmentNotFound) as raised:
        await segments.get("other", "vip")
    assert raised.value.metadata == {"appId": "other", "segment": "vip"}
    assert await segments.list("other", after="", limit=10) == []
    assert await segments.contents("other", ["vip"]) == {}


async def test_creating_again_gives_what_is_stored_and_changes_nothing(segments: Segments) -> None:
    first = await segments.create(APP, segment("vip"), uses=[])
    other = segment("vip", 'platform = "ios"', at=LATER)
    assert await segments.create(APP, other, uses=[]) == first
    assert await segments.get(APP, "vip") == first


async def test_of_concurrent_creations_all_get_the_one_that_won(segments: Segments) -> None:
    wanted = [segment("vip", f"attributes.a = {i}") for i in range(8)]
    stored = await asyncio.gather(*(segments.create(APP, each, uses=[]) for each in wanted))
    assert len(set(stored)) == 1
    assert stored[0] in wanted


async def test_replacing_keeps_the_time_of_creation(segments: Segments) -> None:
    await segments.create(APP, segment("vip"), uses=[])
    other = segment("vip", 'platform = "ios"', at=LATER)
    stored = await segments.replace(APP, other, uses=[])
    assert stored == Segment("vip", other.content, created_at=THEN, updated_at=LATER)


async def test_replacing_with_the_same_leaves_the_time_of_change(segments: Segments) -> None:
    await segments.create(APP, segment("vip"), uses=[])
    assert await segments.replace(APP, segment("vip", at=LATER), uses=[]) == segment("vip")


async def test_only_what_is_there_can_be_replaced(segments: Segments) -> None:
    with pytest.raises(SegmentNotFound):
        await segments.replace(APP, segment("vip"), uses=[])


async def test_lists_go_by_the_bytes_of_the_name(segments: Segments) -> None:
    for name in ("b", "a_1", "a-1", "a1", "c"):
        await segments.create(APP, segment(name), uses=[])
    first = await segments.list(APP, after="", limit=3)
    assert [each.name for each in first] == ["a-1", "a1", "a_1"]
    rest = await segments.list(APP, after="a_1", limit=3)
    assert [each.name for each in rest] == ["b", "c"]


async def test_contents_are_of_those_that_are_there(segments: Segments) -> None:
    await segments.create(APP, segment("vip"), uses=[])
    found = await segments.contents(APP, ["vip", "nobody"])
    assert found == {"vip": SegmentContent("all()", "for people")}


async def test_a_used_segment_stays(segments: Segments) -> None:
    await segments.create(APP, segment("inner"), uses=[])
    await segments.create(APP, segment("b", 'segment("inner")'), uses=["inner"])
    await segments.create(APP, segment("a", 'segment("inner")'), uses=["inner"])
    with pytest.raises(SegmentInUse) as raised:
        await segments.delete(APP, "inner")
    assert raised.value.metadata == {"appId": APP, "segment": "inner", "usedBy": "a,b"}
    assert await segments.get(APP, "inner") == segment("inner")


async def test_a_segment_goes_once_nobody_refers_to_it(segments: Segments) -> None:
    await segments.create(APP, segment("inner"), uses=[])
    await segments.create(APP, segment("a", 'segment("inner")'), uses=["inner"])
    await segments.create(APP, segment("b", 'segment("inner")'), uses=["inner"])
    await segments.replace(APP, segment("a"), uses=[])
    await segments.delete(APP, "b")
    await segments.delete(APP, "inner")
    with pytest.raises(SegmentNotFound):
        await segments.get(APP, "inner")


async def test_deleting_what_is_not_there_is_no_error(segments: Segments) -> None:
    await segments.delete(APP, "vip")


async def test_a_reference_to_a_deleted_segment_is_refused_as_a_whole(segments: Segments) -> None:
    with pytest.raises(SegmentNotFound) as raised:
        await segments.create(APP, segment("vip", 'segment("gone")'), uses=["gone"])
    assert raised.value.metadata["segment"] == "gone"
    with pytest.raises(SegmentNotFound):
        await segments.get(APP, "vip")


async def test_a_refused_replacement_leaves_the_old_content(segments: Segments) -> None:
    await segments.create(APP, segment("vip"), uses=[])
    with pytest.raises(SegmentNotFound):
        await segments.replace(APP, segment("vip", 'segment("gone")'), uses=["gone"])
    assert await segments.get(APP, "vip") == segment("vip")


async def test_a_segment_never_loses_what_it_refers_to_in_a_race(segments: Segments) -> None:
    """Either the reference is saved and the segment stays, or the other way round."""
    await segments.create(APP, segment("inner"), uses=[])
    outer = segment("outer", 'segment("inner")')
    saved, deleted = await asyncio.gather(
        segments.create(APP, outer, uses=["inner"]),
        segments.delete(APP, "inner"),
        return_exceptions=True,
    )
    kept = await segments.contents(APP, ["inner", "outer"])
    assert isinstance(saved, SegmentNotFound) != isinstance(deleted, SegmentInUse)
    assert kept.keys() == ({"inner", "outer"} if deleted else set())


async def test_every_query_suits_the_schema() -> None:
    async with (
        fresh_database("nuncio_targeting", "targeting") as database,
        open_pool(database) as pool,
        pool.acquire() as connection,
    ):
        for name in Q:
            await connection.prepare(getattr(Q, name))


async def test_a_cancellation_survives_an_outage() -> None:
    async with (
        fresh_database("nuncio_targeting", "targeting") as database,
        open_pool(database) as pool,
    ):
        segments = PostgresSegments(pool)
        await segments.create(APP, segment("vip"), uses=[])
        holder = await pool.acquire()
        await holder.execute("BEGIN; SELECT FROM segment FOR UPDATE")
        replacing = asyncio.create_task(segments.replace(APP, segment("vip"), uses=[]))
        while not await holder.fetchval("SELECT bool_or(NOT granted) FROM pg_locks"):
            pass
        pool.terminate()
        replacing.cancel()
        with pytest.raises(asyncio.CancelledError):
            await replacing


async def test_an_outage_is_told_from_a_mistake() -> None:
    async with fresh_database("nuncio_targeting", "targeting") as database:
        async with open_pool(database) as pool:
            segments = PostgresSegments(pool)
        with pytest.raises(StorageUnavailable):
            await segments.get(APP, "vip")
