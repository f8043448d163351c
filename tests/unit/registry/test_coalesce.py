"""Rows of concurrent callers leave as pages: soon, in order, and none at the cost of another."""

import asyncio
from collections.abc import AsyncIterator, Sequence

import pytest

from nuncio_registry.domain.coalesce import Coalescer
from nuncio_registry.domain.errors import WriteQueueFull
from nuncio_runtime.clock import ManualClock

WAIT = 0.005


class Pages:
    """Stores pages when the test lets it: the result of a row is its double."""

    def __init__(self) -> None:
        self.begun: list[tuple[str, list[int]]] = []
        self._gates: list[asyncio.Future[None]] = []

    async def write(self, key: str, rows: Sequence[int]) -> list[int]:
        self.begun.append((key, list(rows)))
        gate = asyncio.get_running_loop().create_future()
        self._gates.append(gate)
        await gate
        return [row * 2 for row in rows]

    def finish(self, number: int, error: Exception | None = None) -> None:
        """Let the page with this number end."""
        if error is None:
            self._gates[number].set_result(None)
        else:
            self._gates[number].set_exception(error)


class Scene:
    """A coalescer with its clock and its pages, and callers as tasks."""

    def __init__(self, **limits: int) -> None:
        self.clock = ManualClock()
        self.pages = Pages()
        self.waits: list[float] = []
        self.coalescer: Coalescer[str, int, int] = Coalescer(
            self.pages.write,
            self.clock,
            longest_wait=WAIT,
            waited=self.waits.append,
            **limits,
        )

    async def call(self, *rows: int, key: str = "app") -> list["asyncio.Task[int]"]:
        """Callers that come at the same time; they wait when this returns."""
        callers = [asyncio.create_task(self.coalescer.put(key, row)) for row in rows]
        await self.settle()
        return callers

    async def settle(self) -> None:
        """Let everything run that can run."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.settle()

    async def finish(self, number: int, error: Exception | None = None) -> None:
        self.pages.finish(number, error)
        await self.settle()


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    """At most two pages of three rows at once, and four rows that wait."""
    scene = Scene(largest_page=3, pages_at_once=2, most_waiting=4)
    async with scene.coalescer:
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


def test_its_repr_tells_no_rows() -> None:
    assert repr(Scene().coalescer) == "Coalescer(waiting=0, pages=0)"
