"""Follows dispatches as their books change."""

import asyncio
from collections import defaultdict
from collections.abc import AsyncGenerator, Collection, Iterator, Mapping
from contextlib import contextmanager
from typing import Final, Protocol
from uuid import UUID

import structlog

from nuncio_dispatcher.domain.dispatch import Dispatch
from nuncio_dispatcher.domain.wait import Backoff
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import Kind, ServiceError

log = structlog.get_logger(__name__)

LEAST_SECONDS: Final = 0.1
"""Between two events of one dispatch."""
POLL_SECONDS: Final = 0.5
"""How late the commits of other replicas may be seen."""


class Reads(Protocol):
    """The part of ports.Dispatches that is needed to follow them."""

    async def get(self, dispatch_id: UUID) -> Dispatch:
        """See ports.Dispatches."""

    async def marks(self, dispatch_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """See ports.Dispatches."""


class Changes:
    """Where this process's commits are made known to those who follow a dispatch."""

    def __init__(self) -> None:
        self._followers: defaultdict[UUID, set[asyncio.Event]] = defaultdict(set)

    def followed(self) -> Collection[UUID]:
        """The dispatches that somebody follows now."""
        return list(self._followers)

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
    """Reads a dispatch again whenever it has changed."""

    def __init__(self, dispatches: Reads, changes: Changes, clock: Clock) -> None:
        self._dispatches = dispatches
        self._changes = changes
        self._clock = clock

    async def follow(
        self, dispatch_id: UUID, *, stored: bool = False
    ) -> AsyncGenerator[Dispatch, None]:
        """The dispatch as it is now, then after changes, last when it has finished.

        stored: it is known to be there, so a storage that is away is waited for from the start, and
        not only after the first state. Raises DispatchNotFound.
        """
        seen, backoff = None, Backoff(self._clock)
        with self._changes.following(dispatch_id) as news:
            while seen is None or seen.finished_at is None:
                news.clear()
                try:
                    dispatch = await self._dispatches.get(dispatch_id)
                except ServiceError as error:
                    if error.kind is not Kind.UNAVAILABLE or not stored:
                        raise
                    await backoff.pause()
                    continue
                backoff.reset()
                stored = True
                if dispatch != seen:
                    yield dispatch
                    seen = dispatch
                    await self._clock.sleep(LEAST_SECONDS)
                else:
                    await news.wait()

    async def keep_looking(self) -> None:
        """Until cancelled, make the commits of other replicas known to those who follow.

        One read for all dispatches that are followed here, however many follow them.
        """
        known: Mapping[UUID, int] = {}
        while True:
            await self._clock.sleep(POLL_SECONDS)
            try:
                marks = await self._dispatches.marks(self._changes.followed())
            except ServiceError as error:
                log.warning("changes_not_read", reason=error.message)
                continue
            for dispatch_id, mark in marks.items():
                if known.get(dispatch_id) != mark:
                    self._changes.notify(dispatch_id)
            known = marks
