"""Waiting: for news, for what is far away, and for the next item while this one is in use."""

import asyncio
import random
from collections.abc import AsyncIterator, Coroutine
from datetime import timedelta
from types import TracebackType
from typing import Any, Final, Generic, Self, TypeVar

from nuncio_runtime.clock import Clock

T = TypeVar("T")

_FIRST_PAUSE: Final = 0.2
_LONGEST_PAUSE: Final = 5.0


async def unless(stop: asyncio.Event, coroutine: Coroutine[Any, Any, T]) -> T | None:
    """What the coroutine returns; None, and the coroutine cancelled, when `stop` is set first."""
    task, stopped = asyncio.ensure_future(coroutine), asyncio.ensure_future(stop.wait())
    try:
        await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
        return task.result() if task.done() else None
    finally:
        task.cancel()
        stopped.cancel()
        await asyncio.gather(task, stopped, return_exceptions=True)


class Wake:
    """Ends a wait when there is news, and at the latest after the poll time."""

    def __init__(self, clock: Clock, *, poll: timedelta) -> None:
        self._clock = clock
        self._seconds = poll.total_seconds()
        self._news = asyncio.Event()

    def set(self) -> None:
        """There is news."""
        self._news.set()

    async def wait(self) -> None:
        """Return when there is news since the last return, or when it is time to look anyway."""
        await unless(self._news, self._clock.sleep(self._seconds))
        self._news.clear()


class Backoff:
    """Growing pauses, with full jitter, for as long as something fails."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._failures = 0

    def reset(self) -> None:
        """It worked again."""
        self._failures = 0

    async def pause(self) -> None:
        """Wait after a failure: up to 0.2 s after the first one, up to 5 s in the end."""
        longest = min(_LONGEST_PAUSE, _FIRST_PAUSE * (1 << min(self._failures, 10)))
        self._failures += 1
        await self._clock.sleep(longest * random.random())  # noqa: S311 - spreads load


class Ahead(Generic[T]):
    """Reads an iterator one item ahead of whoever uses it; bounded by that one item."""

    def __init__(self, items: AsyncIterator[T]) -> None:
        self._items = items
        self._coming: asyncio.Future[T | None] | None = None

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._coming is not None:
            self._coming.cancel()
            await asyncio.gather(self._coming, return_exceptions=True)

    async def next(self) -> T | None:
        """The next item, None at the end. When cancelled, the item is kept for the next call."""
        coming = self._coming or self._fetch()
        self._coming = coming
        item = await asyncio.shield(coming)
        self._coming = self._fetch() if item is not None else None
        return item

    def _fetch(self) -> "asyncio.Future[T | None]":
        return asyncio.ensure_future(anext(self._items, None))
