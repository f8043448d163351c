"""Rows of concurrent callers leave as pages: soon, in order, and none at the cost of another."""

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator

import pytest

from nuncio_registry.domain.errors import WriteQueueFull
from tests.unit.registry.coalescing import WAIT, Scene, crowded_scene


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """At most two pages of three rows at once, and four rows that wait."""
    scene = Scene(largest_page=3, pages_at_once=2, most_waiting=4)
    async with scene.coalescer:
        yield scene


@pytest.fixture
async def crowded() -> AsyncIterator[Scene]:
    async with crowded_scene() as scene:
        yield scene


async def test_rows_that_come_together_leave_at_once_as_one_page(scene: Scene) -> None:
    callers = await scene.call(1, 2, 3)
    assert scene.pages.begun == [("app", [1, 2, 3])]
    await scene.finish(0)
    assert [caller.result() for caller in callers] == [2, 4, 6]
    assert scene.waits == [0.0]


async def test_rows_that_come_later_leave_when_the_page_under_way_is_done(scene: Scene) -> None:
    await scene.call(1)
    second = await scene.call(2)
    third = await scene.call(3)
    assert len(scene.pages.begun) == 1
    await scene.finish(0)
    assert scene.pages.begun[1:] == [("app", [2, 3])]
    await scene.finish(1)
    assert [caller.result() for caller in second + third] == [4, 6]


async def test_no_row_waits_longer_than_5_ms_for_a_slow_page(scene: Scene) -> None:
    first = await scene.call(1)
    await scene.call(2)
    await scene.advance(WAIT - 0.001)
    await scene.call(3)
    assert len(scene.pages.begun) == 1
    await scene.advance(0.001)
    assert scene.pages.begun[1:] == [("app", [2, 3])]
    assert scene.waits == pytest.approx([0, WAIT])
    await scene.finish(1)
    assert not first[0].done()
    await scene.finish(0)


async def test_each_row_has_5_ms_of_its_own(scene: Scene) -> None:
    """The row that waits now is not hurried by the time of one that has left."""
    await scene.call(1)
    await scene.call(2)
    await scene.advance(0.003)
    await scene.finish(0)
    await scene.call(3)
    await scene.advance(0.002)
    assert len(scene.pages.begun) == 2
    await scene.advance(0.003)
    assert scene.pages.begun[2:] == [("app", [3])]
    await scene.finish(1)
    await scene.finish(2)


async def test_only_so_many_pages_are_under_way(scene: Scene) -> None:
    await scene.call(1)
    await scene.call(2)
    await scene.advance(WAIT)
    await scene.call(3)
    await scene.advance(10 * WAIT)
    assert len(scene.pages.begun) == 2
    await scene.finish(0)
    assert scene.pages.begun[2:] == [("app", [3])]
    await scene.finish(1)
    await scene.finish(2)


async def test_a_full_page_leaves_the_rest_for_the_next(scene: Scene) -> None:
    await scene.call(1, 2, 3, 4)
    assert scene.pages.begun == [("app", [1, 2, 3])]
    await scene.advance(WAIT)
    assert scene.pages.begun[1:] == [("app", [4])]
    await scene.finish(0)
    await scene.finish(1)


async def test_keys_do_not_wait_for_each_other(scene: Scene) -> None:
    await scene.call(1, key="one")
    await scene.call(2, key="two")
    assert scene.pages.begun == [("one", [1]), ("two", [2])]
    await scene.finish(0)
    await scene.finish(1)


async def test_a_caller_beyond_the_bound_is_refused_and_the_others_are_not(scene: Scene) -> None:
    await scene.call(0)
    waiting = await scene.call(1, 2, 3, 4)
    with pytest.raises(WriteQueueFull) as refused:
        await scene.coalescer.put("app", 5)
    assert refused.value.retry_after
    for number in range(3):
        await scene.finish(number)
    assert [caller.result() for caller in waiting] == [2, 4, 6, 8]
    again = await scene.call(6)
    await scene.finish(3)
    assert again[0].result() == 12


async def test_a_cancelled_caller_takes_back_what_waits_and_blocks_nobody(scene: Scene) -> None:
    first, second, third = [(await scene.call(number))[0] for number in (1, 2, 3)]
    second.cancel()
    first.cancel()
    await scene.finish(0)
    assert scene.pages.begun == [("app", [1]), ("app", [3])]
    await scene.finish(1)
    assert third.result() == 6
    assert first.cancelled()
    assert second.cancelled()


async def test_a_caller_that_goes_while_its_page_is_written_harms_nobody_in_it(
    scene: Scene,
) -> None:
    gone, stays = await scene.call(1, 2)
    gone.cancel()
    await scene.settle()
    await scene.finish(0)
    assert gone.cancelled()
    assert stays.result() == 4


async def test_a_page_that_fails_fails_for_its_callers_only(scene: Scene) -> None:
    first = await scene.call(1, 2)
    second = await scene.call(3)
    fault = OSError()
    await scene.finish(0, fault)
    await scene.finish(1)
    assert [caller.exception() for caller in first] == [fault, fault]
    assert second[0].result() == 6


async def test_leaving_waits_for_the_pages_under_way() -> None:
    scene = Scene()
    async with asyncio.TaskGroup() as group:
        async with scene.coalescer:
            (caller,) = await scene.call(1)
            group.create_task(scene.finish(0))
        assert caller.done()
    assert caller.result() == 2


async def test_a_caller_does_not_wait_for_ever_for_a_writer_that_was_cancelled() -> None:
    scene = Scene(pages_at_once=1)
    callers: list[asyncio.Task[int]] = []

    async def served() -> None:
        async with scene.coalescer:
            callers.extend(await scene.call(1))
            callers.extend(await scene.call(2))
            raise OSError

    with pytest.raises(ExceptionGroup):
        await served()
    await scene.settle()
    assert [caller.cancelled() for caller in callers] == [True, True]


async def test_after_a_crowd_a_row_waits_for_others_though_nothing_is_under_way(
    crowded: Scene,
) -> None:
    await crowded.advance(0.001)
    first = await crowded.call(3)
    await crowded.advance(WAIT - 0.001)
    second = await crowded.call(4)
    assert len(crowded.pages.begun) == 1
    await crowded.advance(0.001)
    assert crowded.pages.begun[1:] == [("app", [3, 4])]
    assert crowded.waits == pytest.approx([0, WAIT])
    await crowded.finish(1)
    assert [caller.result() for caller in first + second] == [6, 8]


async def test_after_fewer_rows_than_a_crowd_a_row_leaves_at_once(crowded: Scene) -> None:
    await crowded.call(3)
    await crowded.advance(WAIT)
    await crowded.finish(1)
    await crowded.call(4)
    assert crowded.pages.begun[1:] == [("app", [3]), ("app", [4])]
    await crowded.finish(2)


async def test_a_full_page_of_a_crowd_does_not_wait(crowded: Scene) -> None:
    await crowded.call(3, 4, 5)
    assert len(crowded.pages.begun) == 1
    await crowded.call(6)
    assert crowded.pages.begun[1:] == [("app", [3, 4, 5, 6])]
    # The next one is full before the last is written.
    await crowded.call(7, 8, 9, 10, 11)
    assert crowded.pages.begun[2:] == [("app", [7, 8, 9, 10])]
    await crowded.finish(1)
    await crowded.advance(WAIT)
    assert crowded.pages.begun[3:] == [("app", [11])]
    await crowded.finish(2)
    await crowded.finish(3)


async def test_what_waits_in_a_crowd_waits_on_when_a_page_is_written(crowded: Scene) -> None:
    """Each page takes what has come within 5 ms, whenever the page before is done."""
    await crowded.call(3, 4, 5, 6)
    await crowded.advance(0.001)
    await crowded.call(7)
    await crowded.finish(1)
    await crowded.advance(WAIT - 0.001)
    assert len(crowded.pages.begun) == 2
    await crowded.advance(0.001)
    assert crowded.pages.begun[2:] == [("app", [7])]
    await crowded.finish(2)


async def test_a_crowd_is_forgotten_when_nobody_comes_for_5_ms(crowded: Scene) -> None:
    await crowded.advance(WAIT)
    await crowded.call(3)
    assert crowded.pages.begun[1:] == [("app", [3])]
    assert crowded.waits == [0, 0]
    await crowded.finish(1)


async def test_a_crowd_is_remembered_for_5_ms(crowded: Scene) -> None:
    await crowded.advance(WAIT - 0.001)
    await crowded.call(3)
    assert repr(crowded.coalescer) == "Coalescer(waiting=1, pages=0)"
    await crowded.advance(WAIT)
    assert repr(crowded.coalescer) == "Coalescer(waiting=0, pages=1)"
    await crowded.finish(1)


async def test_nothing_is_kept_of_a_key_whose_crowd_is_forgotten() -> None:
    class Key(str):
        """A text of which one can tell whether somebody still has it."""

        __slots__ = ("__weakref__",)

    scene = Scene(crowd=2)
    key = Key("app")
    kept = weakref.ref(key)
    async with scene.coalescer:
        await scene.call(1, 2, key=key)
        await scene.finish(0)
        scene.pages.begun.clear()
        del key
        gc.collect()
        assert kept() is not None
        await scene.advance(WAIT)
        gc.collect()
        assert kept() is None


async def test_a_crowd_of_one_key_holds_up_no_other(crowded: Scene) -> None:
    await crowded.call(3)
    await crowded.call(4, key="other")
    assert crowded.pages.begun[1:] == [("other", [4])]
    await crowded.finish(1)
    await crowded.advance(WAIT)
    await crowded.finish(2)


async def test_a_stuck_page_of_a_crowd_holds_up_nobody_for_longer_than_5_ms(
    crowded: Scene,
) -> None:
    stuck = await crowded.call(3, 4, 5, 6)
    for number in range(3):
        (caller,) = await crowded.call(number)
        await crowded.advance(WAIT)
        assert crowded.pages.begun[-1] == ("app", [number])
        await crowded.finish(2 + number)
        assert caller.done()
    assert max(crowded.waits) == pytest.approx(WAIT)
    assert not any(caller.done() for caller in stuck)
    await crowded.finish(1)


async def test_when_all_pages_of_a_crowd_are_stuck_the_first_that_ends_takes_what_waits(
    crowded: Scene,
) -> None:
    await crowded.call(3, 4, 5, 6)
    await crowded.call(7, 8, 9, 10)
    await crowded.call(11)
    await crowded.advance(2 * WAIT)
    assert len(crowded.pages.begun) == 3
    await crowded.finish(2)
    assert crowded.pages.begun[3:] == [("app", [11])]
    await crowded.finish(1)
    await crowded.finish(3)


async def test_a_cancelled_caller_takes_back_what_waits_in_a_crowd(crowded: Scene) -> None:
    gone, stays = await crowded.call(3, 4)
    gone.cancel()
    await crowded.advance(WAIT)
    assert crowded.pages.begun[1:] == [("app", [4])]
    await crowded.finish(1)
    assert stays.result() == 8


async def test_a_crowd_whose_callers_have_all_gone_writes_nothing(crowded: Scene) -> None:
    for caller in await crowded.call(3, 4):
        caller.cancel()
    await crowded.advance(WAIT)
    assert len(crowded.pages.begun) == 1
    assert repr(crowded.coalescer) == "Coalescer(waiting=0, pages=0)"


async def test_leaving_writes_what_waits_in_a_crowd() -> None:
    scene = Scene(crowd=2)
    async with asyncio.TaskGroup() as group:
        async with scene.coalescer:
            await scene.call(1, 2)
            await scene.finish(0)
            (caller,) = await scene.call(3)
            assert not scene.pages.begun[1:]

            async def write_the_rest() -> None:
                await scene.settle()
                await scene.finish(1)

            group.create_task(write_the_rest())
        assert caller.done()
    assert scene.pages.begun[1:] == [("app", [3])]
    assert caller.result() == 6


async def test_leaving_writes_what_waits_behind_a_page_of_a_crowd() -> None:
    """Without waiting for a clock that may not go on."""
    scene = Scene(crowd=2, pages_at_once=1)
    async with asyncio.TaskGroup() as group:
        async with scene.coalescer:
            await scene.call(1, 2)
            callers = await scene.call(3, 4)

            async def write_the_rest() -> None:
                await scene.settle()
                await scene.finish(0)
                await scene.finish(1)

            group.create_task(write_the_rest())
        assert all(caller.done() for caller in callers)
    assert scene.pages.begun[1:] == [("app", [3, 4])]


def test_its_repr_tells_no_rows() -> None:
    assert repr(Scene().coalescer) == "Coalescer(waiting=0, pages=0)"


async def test_those_who_wait_for_a_page_are_of_its_crowd() -> None:
    scene = Scene(crowd=3)
    async with scene.coalescer:
        await scene.call(1)
        callers = await scene.call(2, 3)
        await scene.finish(0)
        assert scene.pages.begun == [("app", [1])]
        callers += await scene.call(4)
        await scene.advance(WAIT)
        assert scene.pages.begun[1:] == [("app", [2, 3, 4])]
        await scene.finish(1)
        assert [caller.result() for caller in callers] == [4, 6, 8]
