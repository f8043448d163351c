"""Following the change feed: when a page comes, what is held, and how it ends."""

import asyncio
from contextlib import aclosing
from datetime import datetime, timedelta

import pytest
from pydantic import ValidationError

from nuncio_registry.config import FeedSettings
from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.errors import AppNotFound, PositionExpired, Stopping
from nuncio_registry.domain.feed import EVENTS_PER_PAGE, Watch
from nuncio_registry.domain.model import (
    App,
    ChangeKind,
)
from nuncio_registry.domain.ports.feed import FeedEvent, FeedPage, Position
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.errors import InvalidField
from tests.unit.registry.builders import APP, NOW, app, key

POLL, HEARTBEAT = 1, 10
HERE = Position(700, 7)


def page(count: int) -> FeedPage:
    """A page of so many events."""
    places = [Position(800, number) for number in range(1, count + 1)]
    events = [FeedEvent(p, key(1), ChangeKind.ROTATED, 0, "", NOW, None) for p in places]
    return FeedPage(events, places[-1])


class Feed:
    """Gives prepared pages one after the other, then only empty ones; None: expired.

    asked: after which position each page was asked for.
    """

    def __init__(self, *pages: FeedPage | None) -> None:
        self.pages = list(pages)
        self.asked: list[Position | None] = []

    async def read(self, app_id: str, *, after: Position | None, limit: int) -> FeedPage | None:
        assert (app_id, limit) == (APP, EVENTS_PER_PAGE)
        self.asked.append(after)
        return self.pages.pop(0) if self.pages else FeedPage((), after or Position(0, 0))

    async def newest(self, app_id: str) -> Position:
        assert app_id == APP
        return HERE

    async def delete_before(self, app_id: str, *, time: datetime, limit: int) -> int:
        raise NotImplementedError


class Store:
    """Has the app of the tests until it is deleted."""

    def __init__(self) -> None:
        self.deleted = False

    async def get(self, app_id: str) -> App | None:
        return app() if app_id == APP and not self.deleted else None


class Following:
    """A watch, and what came of it so far."""

    def __init__(
        self, *pages: FeedPage | None, after: Position | None = None, from_now: bool = False
    ) -> None:
        self.clock, self.feed, self.store = ManualClock(NOW), Feed(*pages), Store()
        self.watch = Watch(
            self.feed,
            Apps(self.store, self.clock),  # type: ignore[arg-type] # only this part is asked
            clock=self.clock,
            poll=timedelta(seconds=POLL),
            heartbeat=timedelta(seconds=HEARTBEAT),
        )
        self.pages = self.watch.follow(APP, after=after, from_now=from_now)

    async def next_within(self, seconds: int) -> tuple[FeedPage, int]:
        """The next page, and after how many seconds it came."""
        coming = asyncio.ensure_future(anext(self.pages))
        for waited in range(seconds + 1):
            await settled()
            if coming.done():
                return coming.result(), waited
            self.clock.advance(1)
        coming.cancel()
        raise AssertionError


async def settled() -> None:
    """Let everything that is ready run."""
    for _ in range(20):
        await asyncio.sleep(0)


async def test_the_first_page_comes_at_once_even_without_events() -> None:
    following = Following()
    assert await following.next_within(0) == (FeedPage((), Position(0, 0)), 0)
    assert following.feed.asked == [None]


async def test_events_come_at_the_next_look_and_the_reading_goes_on_after_them() -> None:
    empty = FeedPage((), HERE)
    following = Following(empty, empty, page(3), after=HERE)
    await following.next_within(0)
    assert await following.next_within(5) == (page(3), 2 * POLL)
    assert following.feed.asked == [HERE] * 3
    await following.next_within(HEARTBEAT)
    assert following.feed.asked[3] == page(3).position


async def test_silence_is_broken_by_an_empty_page_and_not_before() -> None:
    following = Following(after=HERE)
    await following.next_within(0)
    assert await following.next_within(HEARTBEAT) == (FeedPage((), HERE), HEARTBEAT)
    assert len(following.feed.asked) == 1 + HEARTBEAT / POLL


async def test_what_has_piled_up_is_read_without_a_pause() -> None:
    following = Following(page(EVENTS_PER_PAGE), page(EVENTS_PER_PAGE), page(1))
    waits = [(await following.next_within(0))[1] for _ in range(3)]
    assert waits == [0, 0, 0]


async def test_nothing_is_read_before_the_consumer_asks_for_it() -> None:
    following = Following(page(EVENTS_PER_PAGE), page(EVENTS_PER_PAGE))
    await anext(following.pages)
    following.clock.advance(100)
    await settled()
    assert len(following.feed.asked) == 1


async def test_from_now_says_first_where_that_is() -> None:
    following = Following(page(1), from_now=True)
    assert await following.next_within(0) == (FeedPage((), HERE), 0)
    assert following.feed.asked == []
    assert await following.next_within(0) == (page(1), 0)
    assert following.feed.asked == [HERE]


async def test_from_now_and_a_position_contradict_each_other() -> None:
    with pytest.raises(InvalidField) as refused:
        await anext(Following(after=HERE, from_now=True).pages)
    assert refused.value.violations[0].field == "from_now"


async def test_a_position_that_is_not_kept_ends_the_watch_at_any_time() -> None:
    following = Following(page(1), None, after=HERE)
    await following.next_within(0)
    with pytest.raises(PositionExpired) as ended:
        await following.next_within(POLL)
    assert ended.value.metadata == {"appId": APP}


@pytest.mark.parametrize("from_now", [False, True])
async def test_an_app_that_is_not_there_is_told(from_now: bool) -> None:
    following = Following(from_now=from_now)
    following.store.deleted = True
    with pytest.raises(AppNotFound):
        await anext(following.pages)


async def test_an_app_that_was_deleted_ends_the_watch() -> None:
    following = Following()
    await following.next_within(0)
    following.store.deleted = True

    async def go_on() -> None:
        while following.clock.monotonic() < 100:
            await following.next_within(HEARTBEAT)

    with pytest.raises(AppNotFound):
        await go_on()


async def test_a_server_that_stops_ends_the_watch_in_the_middle_of_a_pause() -> None:
    following = Following()
    await following.next_within(0)
    coming = asyncio.ensure_future(anext(following.pages))
    await settled()
    following.watch.drain()
    with pytest.raises(Stopping) as ended:
        await coming
    assert ended.value.retry_after == timedelta(seconds=1)
    with pytest.raises(Stopping):
        await anext(following.watch.follow(APP, after=HERE, from_now=False))


async def test_a_consumer_that_leaves_takes_everything_along() -> None:
    following = Following()
    before = asyncio.all_tasks()
    async with aclosing(following.pages) as pages:
        await anext(pages)
        coming = asyncio.ensure_future(anext(pages))
        await settled()
        assert asyncio.all_tasks() - before != {coming}
        coming.cancel()
        await asyncio.gather(coming, return_exceptions=True)
    await settled()
    assert asyncio.all_tasks() == before


def test_no_settings_make_the_silence_longer_than_the_contract_allows() -> None:
    longest = FeedSettings(poll=timedelta(seconds=5), heartbeat=timedelta(seconds=10))
    assert longest.poll + longest.heartbeat <= timedelta(seconds=15)
    for beyond in ({"poll": 6}, {"heartbeat": 11}):
        with pytest.raises(ValidationError):
            FeedSettings.model_validate(beyond)
