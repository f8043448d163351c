"""A dispatch is followed as its books change."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from uuid import UUID

import pytest

from nuncio_dispatcher.domain.books import Books, Entry, Outcome
from nuncio_dispatcher.domain.dispatch import DeliveryPolicy, Dispatch, DispatchState
from nuncio_dispatcher.domain.errors import UpstreamUnavailable
from nuncio_dispatcher.domain.watch import LEAST_SECONDS, POLL_SECONDS, Changes, Watch
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.errors import ServiceError
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
    """Gives prepared states one after the other, or raises them; the last one stays.

    mark: of every dispatch. looked: how often the marks were read, and for how many.
    """

    def __init__(self, *states: Dispatch | ServiceError) -> None:
        self.states = list(states)
        self.mark = 0
        self.looked: list[int] = []

    async def get(self, _dispatch_id: UUID) -> Dispatch:
        state = self.states.pop(0) if len(self.states) > 1 else self.states[0]
        if isinstance(state, ServiceError):
            raise state
        return state

    async def marks(self, dispatch_ids: Collection[UUID]) -> Mapping[UUID, int]:
        self.looked.append(len(dispatch_ids))
        return dict.fromkeys(dispatch_ids, self.mark)


def away() -> UpstreamUnavailable:
    return UpstreamUnavailable("storage")


async def collect(states: AsyncIterator[Dispatch]) -> list[Dispatch]:
    return [state async for state in states]


async def settled() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_first_event_comes_at_once_and_the_last_when_it_has_finished() -> None:
    clock = ManualClock()
    reads = Reads(dispatch(1), dispatch(2), dispatch(2, finished=True))
    seen: list[Dispatch] = []

    async def follow() -> None:
        async for state in Watch(reads, Changes(), clock).follow(ID):
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
    states = Watch(reads, changes, clock).follow(ID)
    assert await anext(states) == dispatch(1)
    second = asyncio.ensure_future(anext(states))
    await settled()
    clock.advance(LEAST_SECONDS)
    await settled()
    assert not second.done()
    changes.notify(ID)
    assert await second == dispatch(1, finished=True)
    await states.aclose()


async def test_commits_of_other_replicas_are_seen_at_the_next_look() -> None:
    clock = ManualClock()
    reads = Reads(dispatch(1), dispatch(1), dispatch(1), dispatch(1, finished=True))
    watch = Watch(reads, Changes(), clock)
    looking = asyncio.create_task(watch.keep_looking())
    states = watch.follow(ID)
    await anext(states)
    second = asyncio.ensure_future(anext(states))
    for mark in (7, 7, 8):
        assert not second.done()
        reads.mark = mark
        await settled()
        clock.advance(POLL_SECONDS)
        await settled()
    assert await second == dispatch(1, finished=True)
    assert reads.looked == [1, 1, 1]
    looking.cancel()
    await states.aclose()


async def test_followers_of_a_dispatch_share_one_look() -> None:
    clock, changes = ManualClock(), Changes()
    reads = Reads(dispatch(1))
    looking = asyncio.create_task(Watch(reads, changes, clock).keep_looking())
    with changes.following(ID), changes.following(ID), changes.following(UUID(int=6)):
        await settled()
        clock.advance(POLL_SECONDS)
        await settled()
    clock.advance(POLL_SECONDS)
    await settled()
    assert reads.looked == [2, 0]
    looking.cancel()


@pytest.mark.parametrize("stored", [True, False])
async def test_a_storage_that_is_away_is_waited_for_while_following(stored: bool) -> None:
    clock = ManualClock()
    reads = Reads(dispatch(1), away(), away(), dispatch(1, finished=True))
    if stored:
        reads.states.insert(0, away())
    states = Watch(reads, Changes(), clock).follow(ID, stored=stored)
    seen = asyncio.create_task(collect(states))
    while not seen.done():
        await settled()
        clock.advance(LEAST_SECONDS)
    assert await seen == [dispatch(1), dispatch(1, finished=True)]


async def test_who_asks_for_an_unknown_dispatch_is_not_kept_waiting_for_the_storage() -> None:
    with pytest.raises(UpstreamUnavailable):
        await anext(Watch(Reads(away()), Changes(), ManualClock()).follow(ID))


async def test_many_commits_give_ten_events_a_second() -> None:
    clock, changes = ManualClock(), Changes()
    reads = Reads(*(dispatch(count) for count in range(1000)))
    states = Watch(reads, changes, clock).follow(ID)
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
    most = 1 / LEAST_SECONDS
    assert most - 1 <= seen <= most + 1


async def test_news_of_a_dispatch_reach_only_those_who_follow_it() -> None:
    changes = Changes()
    with changes.following(ID) as mine, changes.following(UUID(int=6)) as other:
        changes.notify(ID)
        assert mine.is_set()
        assert not other.is_set()
    changes.notify(ID)
