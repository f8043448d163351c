"""Group commit: rows of callers that come at the same time are written as pages."""

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable, Hashable, Sequence
from contextvars import Context
from datetime import timedelta
from types import TracebackType
from typing import Final, Generic, NamedTuple, Self, TypeVar

from nuncio_registry.domain.errors import WriteQueueFull
from nuncio_runtime.clock import Clock

Key = TypeVar("Key", bound=Hashable)
Row = TypeVar("Row")
Result = TypeVar("Result")

LONGEST_WAIT: Final = 0.005
LARGEST_PAGE: Final = 500
PAGES_AT_ONCE: Final = 2  # More of them are smaller, and take longer: each is several trips.
# So many callers at once are a crowd: pages are better large ones.
CROWD: Final = 4
MOST_WAITING: Final = 20_000

_RETRY_AFTER: Final = timedelta(seconds=1)


class Again(NamedTuple, Generic[Row]):
    """In the place of a result: the row, as it is now, belongs into the next page."""

    row: Row


class _Waiting(NamedTuple, Generic[Row, Result]):
    """A row whose caller waits.

    since: on the monotonic clock, in seconds; later by what a page took that it was in before, but
    not later than that of a row behind it.
    """

    row: Row
    answer: "asyncio.Future[Result]"
    since: float


class _Lane(Generic[Row, Result]):
    """The rows of one key."""

    def __init__(self) -> None:
        self.waiting: deque[_Waiting[Row, Result]] = deque()
        self.writers = 0
        self.is_cutting = False  # A writer was started, and has not taken its first page yet.
        self.is_crowded = False
        self.watch: asyncio.Task[None] | None = None


class Coalescer(Generic[Key, Row, Result]):
    """Writes the rows of concurrent callers together, a page for each key.

    write: stores a page of rows that have the same key, and gives one result per row, in order.
    What it raises, each caller of the page gets; so what is wrong with a single row is a result.
    A row that it gives back (`Again`) is put before those that wait, and its wait goes on.

    A page leaves at once when none of its key is under way; else when one has been written, or,
    with fewer than `pages_at_once` under way, when its first row has waited `longest_wait`
    seconds. When a page is written, and its rows and those that wait are `crowd` or more, the next
    one waits as long in any case, unless it is full before: a page costs as much as some rows do,
    however few are in it.

    The rows of a key are written in the order in which they came, unless pages overtake each
    other. A caller that is cancelled takes its row back while that still waits; once its page has
    left, the page is written all the same, and nobody else notices.

    When `most_waiting` rows wait, pages under way not counted, a caller is refused with
    WriteQueueFull: what cannot be written soon is better tried again elsewhere. waited: told for
    each page how many seconds its first row has waited.

    Use it as an asynchronous context manager: leaving waits for the pages under way.
    """

    def __init__(
        self,
        write: Callable[[Key, Sequence[Row]], Awaitable[Sequence[Result | Again[Row]]]],
        clock: Clock,
        *,
        longest_wait: float = LONGEST_WAIT,
        largest_page: int = LARGEST_PAGE,
        pages_at_once: int = PAGES_AT_ONCE,
        most_waiting: int = MOST_WAITING,
        crowd: int = CROWD,
        waited: Callable[[float], object] = lambda _: None,
    ) -> None:
        self._write = write
        self._clock = clock
        self._longest_wait = longest_wait
        self._largest_page = largest_page
        self._pages_at_once = pages_at_once
        self._most_waiting = most_waiting
        self._crowd = crowd
        self._waited = waited
        self._lanes: dict[Key, _Lane[Row, Result]] = {}
        self._count = 0
        self._is_closing = False
        self._tasks = asyncio.TaskGroup()

    def __repr__(self) -> str:
        writers = sum(lane.writers for lane in self._lanes.values())
        return f"Coalescer(waiting={self._count}, pages={writers})"

    async def __aenter__(self) -> Self:
        await self._tasks.__aenter__()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._is_closing = True
        for key, lane in list(self._lanes.items()):
            if lane.watch is not None:
                lane.watch.cancel()
            if lane.waiting and not lane.writers:
                self._start_writer(key, lane)
        try:
            await self._tasks.__aexit__(kind, error, trace)
        finally:
            for lane in self._lanes.values():
                for waiting in lane.waiting:
                    waiting.answer.cancel()

    async def put(self, key: Key, row: Row) -> Result:
        """Write the row with others of its key, and give its result.

        Raises WriteQueueFull, and what `write` raises.
        """
        if self._count >= self._most_waiting:
            raise WriteQueueFull(retry_after=_RETRY_AFTER)
        lane = self._lanes.get(key)
        if lane is None:
            lane = self._lanes[key] = _Lane()
        answer: asyncio.Future[Result] = asyncio.get_running_loop().create_future()
        lane.waiting.append(_Waiting(row, answer, self._clock.monotonic()))
        self._count += 1
        if self._leaves_now(lane):
            self._start_writer(key, lane)
        else:
            self._watch(key, lane)
        return await answer

    def _leaves_now(self, lane: _Lane[Row, Result]) -> bool:
        if lane.is_crowded and not self._is_closing:
            return len(lane.waiting) >= self._largest_page and self._may_start(lane)
        return not lane.writers

    def _start_writer(self, key: Key, lane: _Lane[Row, Result]) -> None:
        # It belongs to no call: neither the log fields nor the deadline of the first caller count.
        self._tasks.create_task(self._write_pages(key, lane), context=Context())
        lane.writers += 1
        lane.is_cutting = True

    async def _write_pages(self, key: Key, lane: _Lane[Row, Result]) -> None:
        """Write until nothing waits. Rows that come before it first runs are in its first page."""
        try:
            while page := self._cut(lane):
                self._watch(key, lane)
                self._waited(self._clock.monotonic() - page[0].since)
                again = await self._write_page(key, page)
                self._put_back(lane, again)
                callers = len(page) - len(again) + len(lane.waiting)
                lane.is_crowded = callers >= self._crowd
                is_full = len(lane.waiting) >= self._largest_page
                if lane.is_crowded and not is_full and not self._is_closing:
                    break
        finally:
            lane.writers -= 1
            self._watch(key, lane)
            self._forget(key, lane)

    def _cut(self, lane: _Lane[Row, Result]) -> list[_Waiting[Row, Result]]:
        """The next page, without the rows whose callers have gone."""
        lane.is_cutting = False
        page: list[_Waiting[Row, Result]] = []
        while lane.waiting and len(page) < self._largest_page:
            waiting = lane.waiting.popleft()
            self._count -= 1
            if not waiting.answer.done():
                page.append(waiting)
        return page

    async def _write_page(
        self, key: Key, page: Sequence[_Waiting[Row, Result]]
    ) -> list[_Waiting[Row, Result]]:
        """Answer the callers of the page; gives those of the next page."""
        again: list[_Waiting[Row, Result]] = []
        left = self._clock.monotonic()
        try:
            results = await self._write(key, [waiting.row for waiting in page])
            took = self._clock.monotonic() - left
            for waiting, result in zip(page, results, strict=True):
                if isinstance(result, Again):
                    again.append(_Waiting(result.row, waiting.answer, waiting.since + took))
                elif not waiting.answer.done():
                    waiting.answer.set_result(result)
        except Exception as error:  # noqa: BLE001 - the callers get it
            for waiting in page:
                if not waiting.answer.done():
                    waiting.answer.set_exception(error)
            return []
        except asyncio.CancelledError:
            for waiting in page:
                waiting.answer.cancel()
            raise
        return again

    def _put_back(self, lane: _Lane[Row, Result], again: Sequence[_Waiting[Row, Result]]) -> None:
        """Before the others, so that the first one of all has waited for longest."""
        for waiting in reversed(again):
            since = min(waiting.since, lane.waiting[0].since) if lane.waiting else waiting.since
            lane.waiting.appendleft(waiting._replace(since=since))
        self._count += len(again)
        if again and lane.watch is not None:
            # It looks at a row that is not the first any more.
            lane.watch.cancel()
            lane.watch = None

    def _watch(self, key: Key, lane: _Lane[Row, Result]) -> None:
        """See to it that no row waits too long, and that no crowd is remembered for long."""
        busy = lane.is_crowded or lane.waiting
        if busy and lane.watch is None and self._may_start(lane) and not self._is_closing:
            lane.watch = self._tasks.create_task(self._hurry(key, lane), context=Context())

    async def _hurry(self, key: Key, lane: _Lane[Row, Result]) -> None:
        """Start a writer when the first row has waited for long."""
        try:
            if not lane.waiting:
                await self._clock.sleep(self._longest_wait)
            while lane.waiting and self._may_start(lane):
                first = lane.waiting[0]
                await self._clock.sleep(first.since + self._longest_wait - self._clock.monotonic())
                still_waits = bool(lane.waiting) and lane.waiting[0] is first
                if still_waits and self._may_start(lane):
                    self._start_writer(key, lane)
        finally:
            if lane.watch is asyncio.current_task():
                lane.watch = None
                self._forget(key, lane)

    def _may_start(self, lane: _Lane[Row, Result]) -> bool:
        """Whether a further page may be under way; one that is about to be cut takes all rows."""
        return lane.writers < self._pages_at_once and not lane.is_cutting

    def _forget(self, key: Key, lane: _Lane[Row, Result]) -> None:
        """Keep no lane that has nothing to do."""
        if not lane.writers and not lane.waiting and lane.watch is None:
            self._lanes.pop(key, None)
