"""Waiting ends when it should, and nothing is left behind."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import timedelta

import pytest

from nuncio_dispatcher.domain.wait import Ahead, Backoff, Wake, unless
from nuncio_runtime.clock import ManualClock

SECOND = timedelta(seconds=1)


async def settled() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


async def test_a_wait_gives_what_came_before_the_stop() -> None:
    async def answer() -> int:
        return 7

    assert await unless(asyncio.Event(), answer()) == 7


async def test_a_wait_ends_at_the_stop_and_cancels_what_it_waited_for() -> None:
    stop, cancelled = asyncio.Event(), asyncio.Event()

    async def forever() -> int:
        try:
            return await asyncio.Event().wait()
        finally:
            cancelled.set()

    waiting = asyncio.create_task(unless(stop, forever()))
    await settled()
    stop.set()
    assert await waiting is None
    assert cancelled.is_set()


async def test_an_error_passes_through_a_wait() -> None:
    async def fail() -> int:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await unless(asyncio.Event(), fail())


async def test_news_before_the_wait_end_it_at_once_and_only_once() -> None:
    clock = ManualClock()
    wake = Wake(clock, poll=SECOND)
    wake.set()
    await wake.wait()
    second = asyncio.create_task(wake.wait())
    await settled()
    assert not second.done()
    clock.advance(1)
    await second


async def test_pauses_grow_up_to_a_bound_and_start_again_after_success() -> None:
    clock = ManualClock()
    backoff = Backoff(clock)

    async def pause() -> float:
        """Seconds, in steps of 0.05, until the pause was over."""
        pausing = asyncio.create_task(backoff.pause())
        await settled()
        began = clock.monotonic()
        while not pausing.done():
            clock.advance(0.05)
            await settled()
        return clock.monotonic() - began

    assert await pause() <= 0.25
    assert max([await pause() for _ in range(20)]) <= 5.05
    backoff.reset()
    assert await pause() <= 0.25


async def numbers(count: int, started: list[int]) -> AsyncGenerator[int, None]:
    for number in range(count):
        started.append(number)
        yield number


async def test_one_item_is_read_ahead_and_no_more() -> None:
    started: list[int] = []
    async with Ahead(numbers(5, started)) as ahead:
        assert await ahead.next() == 0
        await settled()
        assert started == [0, 1]
        assert [await ahead.next() for _ in range(5)] == [1, 2, 3, 4, None]


async def test_an_item_is_not_lost_when_waiting_for_it_is_cancelled() -> None:
    gate = asyncio.Event()

    async def gated() -> AsyncGenerator[int, None]:
        await gate.wait()
        yield 1
        yield 2

    async with Ahead(gated()) as ahead:
        impatient = asyncio.create_task(ahead.next())
        await settled()
        impatient.cancel()
        await asyncio.gather(impatient, return_exceptions=True)
        gate.set()
        assert [await ahead.next() for _ in range(3)] == [1, 2, None]


async def test_leaving_early_ends_what_was_being_read() -> None:
    ended = asyncio.Event()

    async def endless() -> AsyncGenerator[int, None]:
        try:
            yield 1
            await asyncio.Event().wait()
        finally:
            ended.set()

    async with Ahead(endless()) as ahead:
        assert await ahead.next() == 1
        await settled()
    assert ended.is_set()
