"""Rows that are given back go on in the next page, as if they had never left."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from tests.unit.registry.coalescing import WAIT, Scene, crowded_scene


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """At most two pages of three rows at once."""
    scene = Scene(largest_page=3, pages_at_once=2)
    async with scene.coalescer:
        yield scene


@pytest.fixture
async def crowded() -> AsyncIterator[Scene]:
    async with crowded_scene() as scene:
        yield scene


async def test_a_row_that_is_given_back_is_in_the_next_page_in_its_new_form(scene: Scene) -> None:
    back, answered = await scene.call(101, 2)
    await scene.finish(0)
    assert answered.result() == 4
    assert not back.done()
    assert scene.pages.begun[1:] == [("app", [102])]
    await scene.finish(1)
    assert back.result() == 204


async def test_rows_that_are_given_back_come_before_those_that_came_later(scene: Scene) -> None:
    callers = await scene.call(101, 103)
    callers += await scene.call(3)
    await scene.finish(0)
    assert scene.pages.begun[1:] == [("app", [102, 104, 3])]
    await scene.finish(1)
    assert [caller.result() for caller in callers] == [204, 208, 6]


async def test_a_row_waits_no_longer_than_5_ms_in_all_pages_together(crowded: Scene) -> None:
    (back,) = await crowded.call(101)
    await crowded.advance(0.003)
    await crowded.call(4, 6, 8)  # The page is full.
    await crowded.advance(0.001)
    await crowded.call(10)
    await crowded.advance(0.001)
    await crowded.finish(1)
    await crowded.advance(0.001)
    assert len(crowded.pages.begun) == 2
    # 3 ms before its first page and 2 ms since: what the page took does not count.
    await crowded.advance(0.001)
    assert crowded.pages.begun[2:] == [("app", [102, 10])]
    assert crowded.waits == pytest.approx([0, 0.003, WAIT])
    await crowded.finish(2)
    assert back.result() == 204


async def test_who_came_while_a_page_was_written_is_not_held_up_by_what_that_gives_back(
    crowded: Scene,
) -> None:
    await crowded.call(4, 6, 8, 101)
    (other,) = await crowded.call(10)
    await crowded.advance(0.004)
    await crowded.finish(1)
    await crowded.advance(0.001)
    assert crowded.pages.begun[2:] == [("app", [102, 10])]
    await crowded.finish(2)
    assert other.result() == 20


async def test_a_full_page_of_rows_that_are_given_back_does_not_wait(crowded: Scene) -> None:
    callers = await crowded.call(101, 103, 105, 107)
    await crowded.finish(1)
    assert crowded.pages.begun[2:] == [("app", [102, 104, 106, 108])]
    await crowded.finish(2)
    assert [caller.result() for caller in callers] == [204, 208, 212, 216]


async def test_rows_that_are_given_back_are_no_crowd_of_their_own() -> None:
    scene = Scene(crowd=3)
    async with scene.coalescer:
        await scene.call(101, 103)
        await scene.finish(0)
        assert scene.pages.begun[1:] == [("app", [102, 104])]
        await scene.finish(1)


async def test_leaving_writes_what_is_given_back() -> None:
    scene = Scene(crowd=2)
    async with asyncio.TaskGroup() as group:
        async with scene.coalescer:
            callers = await scene.call(101, 103)

            async def write_the_rest() -> None:
                await scene.settle()
                await scene.finish(0)
                await scene.finish(1)

            group.create_task(write_the_rest())
        assert [caller.result() for caller in callers] == [204, 208]


async def test_a_cancelled_caller_takes_back_what_is_given_back(crowded: Scene) -> None:
    gone, stays = await crowded.call(101, 103)
    await crowded.advance(WAIT)
    gone.cancel()
    await crowded.finish(1)
    assert crowded.pages.begun[2:] == [("app", [104])]
    await crowded.finish(2)
    assert stays.result() == 208
    assert repr(crowded.coalescer) == "Coalescer(waiting=0, pages=0)"
