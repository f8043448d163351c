"""A dispatch is followed as its books change."""

import asyncio
from uuid import UUID

from nuncio_dispatcher.domain.books import Books, Entry, Outcome
from nuncio_dispatcher.domain.dispatch import DeliveryPolicy, Dispatch, DispatchState
from nuncio_dispatcher.domain.watch import LEAST_SECONDS, POLL_SECONDS, Changes, Watch
from nuncio_runtime.clock import ManualClock
from tests.unit.dispatcher.builders import HOUR, NOW

ID = UUID(int=5)


def dispatch(accepted: int = 0, *, finished: bool = False) -> Dispatch:
    """A running dispatch with so many accepted, or one that has finished with them."""
    return Dispatch(
        dispatch_id=ID,
        app_id="shop",
        client_ref="first",
        content_digest=b"d" * 32,
        campaign="",
        purpose="",
        test=False,
        delivery=DeliveryPolicy.AT_LEAST_ONCE,
        state=DispatchState.COMPLETED if finished else DispatchState.RUNNING,
        failure="",
        created_at=NOW,
        started_at=NOW,
        finished_at=NOW if finished else None,
        expires_at=NOW + HOUR,
        books=Books({Entry(Outcome.RESOLVED): accepted, Entry(Outcome.ACCEPTED): accepted}),
    )


class Reads:
    """Gives prepared states one after the other; the last one stays."""

    def __init__(self, *states: Dispatch) -> None:
        self.states = list(states)
        self.count = 0

    async def get(self, _dispatch_id: UUID) -> Dispatch:
        self.count += 1
        return self.states.pop(0) if len(self.states) > 1 else self.states[0]


async def settled() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_first_event_comes_at_once_and_the_last_when_it_has_finished() -> None:
    clock = ManualClock()
    reads = Reads(dispatch(1), dispatch(2), dispatch(2, finished=True))
    seen: list[Dispatch] = []

    async def follow() -> None:
        async for state in Watch(reads.get, Changes(), clock).follow(ID):
            seen.append(state)  # noqa: PERF401 - the test looks at it in between

    following = asyncio.create_task(follow())
    await settled()
    assert seen == [dispatch(1)]
    for _ in range(2):
        clock.advance(LEAST_SECONDS)
        await settled()
    assert seen == [dispatch(1), dispatch(2), dispatch(2, finished=True)]
    clock.advance(LEAST_SECONDS)
    await following


async def test_a_commit_of_this_process_is_seen_without_waiting_for_the_poll() -> None:
    clock, changes = ManualClock(), Changes()
    reads = Reads(dispatch(1), dispatch(1), dispatch(1, finished=True))
    states = Watch(reads.get, changes, clock).follow(ID)
    assert await anext(states) == dispatch(1)
    second = asyncio.ensure_future(anext(states))
    await settled()
    clock.advance(LEAST_SECONDS)
    await settled()
    assert not second.done()
    changes.notify(ID)
    assert await second == dispatch(1, finished=True)
    await states.aclose()


async def test_commits_of_other_replicas_are_seen_at_the_next_poll() -> None:
    clock = ManualClock()
    reads = Reads(dispatch(1), dispatch(1), dispatch(1, finished=True))
    states = Watch(reads.get, Changes(), clock).follow(ID)
    await anext(states)
    second = asyncio.ensure_future(anext(states))
    for seconds in (LEAST_SECONDS, POLL_SECONDS):
        await settled()
        clock.advance(seconds)
    assert await second == dispatch(1, finished=True)
    await states.aclose()


async def test_many_commits_give_ten_events_a_second_at_most() -> None:
    clock, changes = ManualClock(), Changes()
    reads = Reads(*(dispatch(count) for count in range(1000)))
    states = Watch(reads.get, changes, clock).follow(ID)
    seen = 0

    async def follow() -> None:
        nonlocal seen
        async for _ in states:
            seen += 1

    following = asyncio.create_task(follow())
    for _ in range(100):
        changes.notify(ID)
        await settled()
        clock.advance(0.01)
    following.cancel()
    assert seen <= 1 / LEAST_SECONDS + 1


async def test_news_of_a_dispatch_reach_only_those_who_follow_it() -> None:
    changes = Changes()
    with changes.following(ID) as mine, changes.following(UUID(int=6)) as other:
        changes.notify(ID)
        assert mine.is_set()
        assert not other.is_set()
    changes.notify(ID)
