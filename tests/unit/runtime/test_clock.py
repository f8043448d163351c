"""The manual clock stands still until it is advanced; the real one does not."""

import asyncio
from datetime import UTC, timedelta

from nuncio_runtime.clock import SYSTEM_CLOCK, Clock, ManualClock


async def test_advancing_moves_both_times_by_as_much() -> None:
    clock: Clock = (manual := ManualClock())
    before, ticks = clock.now(), clock.monotonic()
    manual.advance(90)
    assert clock.now() - before == timedelta(seconds=90)
    assert clock.monotonic() - ticks == 90
    assert clock.now().tzinfo is UTC


async def test_sleepers_wake_in_order_when_their_time_has_come() -> None:
    clock, woken = ManualClock(), []

    async def sleep(seconds: float) -> None:
        await clock.sleep(seconds)
        woken.append(seconds)

    async with asyncio.TaskGroup() as tasks:
        for seconds in (3, 1, 2, 0):
            tasks.create_task(sleep(seconds))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert woken == [0]
        clock.advance(2)
        await asyncio.sleep(0)
        assert woken == [0, 1, 2]
        clock.advance(1)
    assert woken == [0, 1, 2, 3]


async def test_a_cancelled_sleeper_is_forgotten() -> None:
    clock = ManualClock()
    sleeper = asyncio.ensure_future(clock.sleep(1))
    await asyncio.sleep(0)
    sleeper.cancel()
    await asyncio.sleep(0)
    clock.advance(1)
    assert sleeper.cancelled()


async def test_the_system_clock_is_aware_and_goes_on() -> None:
    ticks = SYSTEM_CLOCK.monotonic()
    await SYSTEM_CLOCK.sleep(0.001)
    assert SYSTEM_CLOCK.monotonic() > ticks
    assert SYSTEM_CLOCK.now().tzinfo is UTC
