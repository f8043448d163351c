"""Several at once, results in order."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import aclosing

import pytest

from nuncio_feedback.domain.in_order import in_order


class Gates:
    """Work that waits until the test lets it finish."""

    def __init__(self) -> None:
        self.begun: list[int] = []
        self.cancelled: list[int] = []
        self._gates: dict[int, asyncio.Future[None]] = {}
        self._changed = asyncio.Condition()

    async def work(self, item: int) -> int:
        self.begun.append(item)
        gate = self._gates.setdefault(item, asyncio.get_running_loop().create_future())
        async with self._changed:
            self._changed.notify_all()
        try:
            await gate
        except asyncio.CancelledError:
            self.cancelled.append(item)
            raise
        return item

    async def wait_begun(self, *items: int) -> None:
        async with self._changed:
            await self._changed.wait_for(lambda: self.begun == list(items))

    def open(self, *items: int, error: Exception | None = None) -> None:
        for item in items:
            gate = self._gates.setdefault(item, asyncio.get_running_loop().create_future())
            if error is None:
                gate.set_result(None)
            else:
                gate.set_exception(error)


async def stream(*items: int, error: Exception | None = None) -> AsyncIterator[int]:
    for item in items:
        yield item
    if error is not None:
        raise error


async def collect(results: AsyncIterator[int], into: list[int]) -> None:
    async for result in results:
        into.append(result)  # noqa: PERF401 - what came before an error counts, too


async def test_results_come_in_the_order_of_the_items() -> None:
    gates, found = Gates(), list[int]()
    async with asyncio.TaskGroup() as group:
        group.create_task(collect(in_order(stream(1, 2, 3), gates.work, depth=3), found))
        await gates.wait_begun(1, 2, 3)
        gates.open(3, 2, 1)
    assert found == [1, 2, 3]


async def test_no_more_than_depth_run_at_once() -> None:
    gates, found = Gates(), list[int]()
    async with asyncio.TaskGroup() as group:
        group.create_task(collect(in_order(stream(1, 2, 3, 4), gates.work, depth=2), found))
        await gates.wait_begun(1, 2)
        gates.open(2)
        await asyncio.sleep(0)
        assert gates.begun == [1, 2]
        gates.open(1)
        await gates.wait_begun(1, 2, 3, 4)
        gates.open(3, 4)
    assert found == [1, 2, 3, 4]


async def test_a_result_does_not_wait_for_further_items() -> None:
    more = asyncio.Event()

    async def hesitant() -> AsyncIterator[int]:
        yield 1
        await more.wait()
        yield 2

    async def work(item: int) -> int:
        return item

    async with aclosing(in_order(hesitant(), work, depth=8)) as results:
        assert await anext(results) == 1
        more.set()
        assert await anext(results) == 2


async def test_a_failure_comes_after_the_results_before_it_and_cancels_the_rest() -> None:
    gates, found = Gates(), list[int]()

    async def outside() -> None:
        with pytest.raises(ValueError, match="two"):
            await collect(in_order(stream(1, 2, 3), gates.work, depth=3), found)

    async with asyncio.TaskGroup() as group:
        group.create_task(outside())
        await gates.wait_begun(1, 2, 3)
        gates.open(2, error=ValueError("two"))
        gates.open(1)
    assert (found, gates.cancelled) == ([1], [3])


async def test_a_broken_stream_is_raised_after_what_it_brought() -> None:
    gates, found = Gates(), list[int]()
    gates.open(1, 2)
    with pytest.raises(ValueError, match="broken"):
        await collect(
            in_order(stream(1, 2, error=ValueError("broken")), gates.work, depth=2), found
        )
    assert found == [1, 2]


async def test_closing_cancels_what_runs() -> None:
    gates = Gates()
    async with aclosing(in_order(stream(1, 2, 3), gates.work, depth=3)) as results:
        gates.open(1)
        assert await anext(results) == 1
        await gates.wait_begun(1, 2, 3)
    assert gates.cancelled == [2, 3]


async def test_an_empty_stream_gives_nothing() -> None:
    found: list[int] = []
    await collect(in_order(stream(), Gates().work, depth=1), found)
    assert found == []
