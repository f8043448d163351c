"""Follows dispatches as their books change."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import Final
from uuid import UUID

from nuncio_dispatcher.domain.dispatch import Dispatch
from nuncio_dispatcher.domain.wait import unless
from nuncio_runtime.clock import Clock

LEAST_SECONDS: Final = 0.1
"""Between two events of one dispatch."""
POLL_SECONDS: Final = 0.5
"""How late the commits of other replicas may be seen."""


class Changes:
    """Where this process's commits are made known to those who follow a dispatch."""

    def __init__(self) -> None:
        self._followers: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)

    def notify(self, dispatch_id: UUID) -> None:
        """The dispatch or its books have changed."""
        for news in self._followers.get(dispatch_id, ()):
            news.set()

    @contextmanager
    def following(self, dispatch_id: UUID) -> Iterator[asyncio.Event]:
        """An event that is set at each change, for as long as the context lasts."""
        news = asyncio.Event()
        self._followers[dispatch_id].add(news)
        try:
            yield news
        finally:
            self._followers[dispatch_id].discard(news)
            if not self._followers[dispatch_id]:
                del self._followers[dispatch_id]


class Watch:
    """Reads a dispatch again whenever it may have changed. read: as Dispatches.get."""

    def __init__(
        self, read: Callable[[UUID], Awaitable[Dispatch]], changes: Changes, clock: Clock
    ) -> None:
        self._read = read
        self._changes = changes
        self._clock = clock

    async def follow(self, dispatch_id: UUID) -> AsyncGenerator[Dispatch, None]:
        """The dispatch as it is now, then after changes, last when it has finished.

        Raises DispatchNotFound.
        """
        seen: Dispatch | None = None
        with self._changes.following(dispatch_id) as news:
            while seen is None or seen.finished_at is None:
                news.clear()
                dispatch = await self._read(dispatch_id)
                if dispatch != seen:
                    yield dispatch
                    seen = dispatch
                    await self._clock.sleep(LEAST_SECONDS)
                else:
                    await unless(news, self._clock.sleep(POLL_SECONDS))
