"""The budget: how fast a lane may send, who goes first, and how it gives way."""

import asyncio
from collections.abc import Coroutine
from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio_dispatcher.providers.lane.budget import BURST, CLIMB, COLD_SHARE, Budget, Flow
from nuncio_runtime.clock import ManualClock

TINY = 1e-3


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock()


async def settle() -> None:
    """Let everything run that does not wait for the clock."""
    for _ in range(10):
        await asyncio.sleep(0)


async def advance(clock: ManualClock, seconds: float) -> None:
    clock.advance(seconds)
    await settle()


def started(taking: Coroutine[None, None, int]) -> asyncio.Task[int]:
    return asyncio.get_running_loop().create_task(taking)


async def taken_within(budget: Budget, clock: ManualClock, seconds: float, step: float) -> int:
    """What one greedy sender gets in a time."""
    total, taking = 0, started(budget.take(1_000))
    for _ in range(round(seconds / step)):
        await advance(clock, step)
        while taking.done():
            total += await taking
            taking = started(budget.take(1_000))
            await settle()
    taking.cancel()
    await settle()
    return total


async def warm(budget: Budget, clock: ManualClock) -> None:
    """Bring it to its full rate, with a full bucket."""
    await budget.take(1)
    for _ in range(2):
        await advance(clock, CLIMB / 2 + TINY)
        await budget.take(1)
    await advance(clock, 1)


async def drained(rate: float, clock: ManualClock) -> Budget:
    """A warm one with an empty bucket."""
    budget = Budget(rate, clock=clock)
    await warm(budget, clock)
    await budget.take(10**9)
    return budget


async def test_without_a_rate_all_rows_go_at_once(clock: ManualClock) -> None:
    budget = Budget(None, clock=clock)
    assert await budget.take(1_000_000) == 1_000_000
    assert await budget.take(1_000_000) == 1_000_000
    assert budget.state().rate is None


async def test_a_cold_lane_climbs_over_a_minute(clock: ManualClock) -> None:
    budget = Budget(100, clock=clock)
    first = await taken_within(budget, clock, 6, step=0.05)
    # From 10 to 19 rows per second: 87 in six seconds, and a first burst of 2.
    assert 85 <= first <= 90
    assert 10 < (budget.state().rate or 0) < 100
    await taken_within(budget, clock, 54.1, step=0.05)
    assert budget.state().rate == 100
    assert 995 <= await taken_within(budget, clock, 10, step=0.05) <= 1_000 + 100 * BURST


async def test_silence_makes_a_lane_cold_again(clock: ManualClock) -> None:
    budget = await drained(100, clock)
    await advance(clock, 59)
    assert await budget.take(1_000) == 25
    await advance(clock, 60)
    assert await budget.take(1_000) == 100 * COLD_SHARE * BURST // 1


async def test_a_slow_lane_that_waits_is_not_cold(clock: ManualClock) -> None:
    budget = Budget(1 / 90, clock=clock)
    await budget.take(1)
    taking = started(budget.take(1))
    await settle()
    # The climb brings 60 s * 55 % / 90 s of a row, and the rest of it takes 57 s.
    await advance(clock, 116.9)
    assert not taking.done()
    await advance(clock, 0.2)
    assert await taking == 1
    assert budget.state().rate == pytest.approx(1 / 90)


async def test_no_more_than_a_quarter_of_a_second_is_saved_up(clock: ManualClock) -> None:
    budget = Budget(100, clock=clock)
    await warm(budget, clock)
    assert await budget.take(1_000) == 25


async def test_a_row_may_go_at_once_however_low_the_rate(clock: ManualClock) -> None:
    assert await Budget(0.01, clock=clock).take(1_000) == 1


async def test_fast_lanes_are_fed_in_helpings(clock: ManualClock) -> None:
    budget = await drained(10_000, clock)
    taking = started(budget.take(1_000))
    await advance(clock, 0.01)
    assert not taking.done()
    await advance(clock, 0.01 + TINY)
    assert 200 <= await taking <= 220


async def test_it_is_served_in_order_of_arrival_but_urgent_rows_first(clock: ManualClock) -> None:
    budget, order = await drained(10, clock), list[str]()

    async def take(name: str, *, urgent: bool) -> None:
        await budget.take(1, urgent=urgent)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for name in ("bulk 1", "bulk 2", "urgent 1", "urgent 2"):
            group.create_task(take(name, urgent=name.startswith("urgent")))
            await settle()
        for count in range(4):
            assert len(order) == count, "one row in a tenth of a second"
            await advance(clock, 0.1 + TINY)
    assert order == ["urgent 1", "urgent 2", "bulk 1", "bulk 2"]


async def test_nobody_overtakes_those_who_wait_but_the_urgent(clock: ManualClock) -> None:
    budget = await drained(10_000, clock)
    first = started(budget.take(1_000))
    await advance(clock, 0.005)  # 50 rows, too few to be worth handing out to the first
    second = started(budget.take(1))
    await settle()
    assert (first.done(), second.done()) == (False, False)
    assert await budget.take(1, urgent=True) == 1
    await advance(clock, 0.02)
    assert (first.done(), second.done()) == (True, False)
    await advance(clock, 0.001)
    assert second.done()


async def test_rows_that_are_given_back_go_to_those_who_wait(clock: ManualClock) -> None:
    budget = await drained(10, clock)
    taking = started(budget.take(1))
    await settle()
    budget.give_back(1)
    await settle()
    assert await taking == 1
    await leaves_nothing(budget)


async def leaves_nothing(budget: Budget) -> None:
    await settle()
    assert budget.state().waiting == 0
    assert asyncio.all_tasks() == {asyncio.current_task()}


async def test_a_caller_that_is_cancelled_leaves_nothing_behind(clock: ManualClock) -> None:
    budget = await drained(10, clock)
    takings = [started(budget.take(5)) for _ in range(3)]
    await settle()
    assert budget.state().waiting == 15
    for taking in takings:
        taking.cancel()
    await leaves_nothing(budget)
    await advance(clock, 0.1 + TINY)
    assert await budget.take(5) == 1, "what they did not take is there"


async def test_the_next_one_is_served_when_the_first_gives_up(clock: ManualClock) -> None:
    budget = await drained(10, clock)
    first, second = started(budget.take(1)), started(budget.take(1))
    await settle()
    first.cancel()
    await advance(clock, 0.1 + TINY)
    assert await second == 1


async def test_what_was_given_to_a_caller_that_is_cancelled_comes_back(clock: ManualClock) -> None:
    budget = await drained(10, clock)
    taking = started(budget.take(1))
    await settle()
    budget.give_back(1)  # gives it to the one who waits, who is cancelled before it can know
    taking.cancel()
    await settle()
    assert taking.cancelled()
    assert await budget.take(5) == 1


async def test_a_429_holds_everything_and_halves_the_rate(clock: ManualClock) -> None:
    budget = await drained(100, clock)
    budget.slow_down(timedelta(seconds=5))
    state = budget.state()
    assert state.rate == 0
    assert state.resumes_at == clock.now() + timedelta(seconds=5)
    assert state.slowed_since == clock.now()
    taking = started(budget.take(1, urgent=True))
    await advance(clock, 4.99)
    assert not taking.done()
    await advance(clock, 0.04)
    assert await taking == 1
    assert budget.state().rate == pytest.approx(50, rel=0.01)


async def test_it_comes_back_linearly_within_a_minute(clock: ManualClock) -> None:
    budget = await drained(100, clock)
    budget.slow_down(None)
    rates = []
    for _ in range(4):
        rates.append(budget.state().rate)
        await advance(clock, 20)
        await budget.take(1)
    assert rates == pytest.approx([50, 200 / 3, 250 / 3, 100])
    assert budget.state().slowed_since is None


async def test_many_429_within_a_second_halve_once(clock: ManualClock) -> None:
    budget = await drained(100, clock)
    for _ in range(50):
        budget.slow_down(None)
    assert budget.state().rate == pytest.approx(50)
    await advance(clock, 1)
    budget.slow_down(None)
    assert budget.state().rate == pytest.approx(25, rel=0.05)


async def test_a_wait_that_is_made_longer_does_not_shorten_the_way_back(
    clock: ManualClock,
) -> None:
    budget = await drained(100, clock)
    budget.slow_down(None)
    budget.slow_down(timedelta(seconds=30))
    await advance(clock, 30)
    assert budget.state().rate == pytest.approx(50)


async def test_a_wait_is_an_hour_at_most(clock: ManualClock) -> None:
    budget = await drained(100, clock)
    budget.slow_down(timedelta(days=3))
    assert budget.state().resumes_at == clock.now() + timedelta(hours=1)


async def test_a_longer_wait_is_not_shortened(clock: ManualClock) -> None:
    budget = await drained(100, clock)
    budget.slow_down(timedelta(minutes=1))
    until = budget.state().resumes_at
    budget.slow_down(timedelta(seconds=1))
    assert budget.state().resumes_at == until


async def test_after_a_minute_of_waiting_a_lane_starts_gently(clock: ManualClock) -> None:
    budget = await drained(100, clock)
    budget.slow_down(timedelta(minutes=2))
    await advance(clock, 120)
    assert budget.state().rate == pytest.approx(100 * COLD_SHARE)


async def test_a_lane_without_a_rate_is_held_up_too(clock: ManualClock) -> None:
    budget = Budget(None, clock=clock)
    budget.slow_down(None)
    taking = started(budget.take(1_000))
    await advance(clock, 0.99)
    assert not taking.done()
    await advance(clock, 0.01)
    assert await taking == 1_000
    assert budget.state().slowed_since is None


async def test_an_old_slowness_is_not_told_of_a_gentle_start(clock: ManualClock) -> None:
    budget = await drained(100, clock)
    budget.slow_down(None)
    await advance(clock, 200)
    await budget.take(1)
    assert (budget.state().rate or 0) < 100
    assert budget.state().slowed_since is None


STEPS = st.lists(
    st.tuples(st.sampled_from(["wait", "halve", "hold", "cold"]), st.floats(0, 30)), max_size=30
)


@given(rate=st.floats(0.02, 50_000), steps=STEPS)
def test_no_window_has_more_than_rate_times_time_and_a_burst(
    rate: float, steps: list[tuple[str, float]]
) -> None:
    """A sender that always takes all there is, whatever happens in between."""
    flow, now, sent = Flow(rate, now=0), 0.0, [(0.0, 0.0)]
    for step, seconds in steps:
        match step:
            case "wait":
                now += seconds
            case "halve":
                flow.halve(now)
            case "hold":
                flow.hold(now + seconds, now)
            case "cold":
                flow.start_gently(now)
        saved = int(flow.saved(now))
        flow.spend(saved)
        sent.append((now, sent[-1][1] + saved))
    burst = max(1.0, rate * BURST)
    for later, (end, total) in enumerate(sent):
        for start, before in sent[:later]:
            assert total - before <= rate * (end - start) + burst + TINY * max(1.0, rate / 1_000)


@given(
    rate=st.floats(0.02, 50_000),
    share=st.sampled_from(["cold", "halved", "full"]),
    begun=st.floats(0, 90),
    count=st.integers(1, 5_000),
)
def test_a_wait_is_just_long_enough(rate: float, share: str, begun: float, count: int) -> None:
    flow = Flow(rate, now=0)
    if share != "cold":
        flow.saved(CLIMB)
        begun += CLIMB
    if share == "halved":
        flow.halve(CLIMB)
    count = min(count, int(flow.burst(begun)))
    flow.spend(flow.saved(begun))
    wait = flow.wait_for(count, begun)
    twin = Flow(rate, now=0)
    twin.__dict__.update(flow.__dict__)
    assert twin.saved(begun + wait * 0.99) < count
    assert flow.saved(begun + wait) == pytest.approx(count, rel=1e-6)


async def test_a_waiter_that_is_cancelled_just_before_rows_come_back_gets_none_of_them(
    clock: ManualClock,
) -> None:
    budget = await drained(10, clock)
    gone, next_one = started(budget.take(1)), started(budget.take(1))
    await settle()
    gone.cancel()
    budget.give_back(1)
    assert await next_one == 1
    assert gone.cancelled()


async def test_those_who_wait_hear_at_once_of_a_pause(clock: ManualClock) -> None:
    budget = await drained(1, clock)
    takes = [started(budget.take(5)), started(budget.take(1, urgent=True))]
    await settle()
    budget.slow_down(timedelta(minutes=2))
    await settle()
    assert [await take for take in takes] == [0, 0]
    assert budget.state().waiting == 0
    again = started(budget.take(1))
    budget.slow_down(timedelta(minutes=1))
    await settle()
    assert not again.done(), "that pause is no longer than the one it knew of"
    await advance(clock, 180)
    assert await again == 1
