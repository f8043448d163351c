"""Work on several items of a stream at once, with the results in the order of the items."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Sequence
from typing import Any, TypeVar

T = TypeVar("T")
R = TypeVar("R")


async def in_order(
    items: AsyncIterator[T], work: Callable[[T], Awaitable[R]], *, depth: int
) -> AsyncGenerator[R, None]:
    """Give the result of each item, in order, each as soon as those before it were given.

    At most `depth` items are worked on or wait to be given; no more are read meanwhile. The first
    error, of an item's work or of the stream itself, is raised in its turn, after the results
    before it. Whatever still runs then, or when the generator is closed, is cancelled and awaited.
    """
    # Tasks instead of a TaskGroup: a group would wrap that error in another one, and cannot live
    # in a generator, which may be closed while it is suspended.
    slots = asyncio.Semaphore(depth)
    running: asyncio.Queue[asyncio.Future[R] | None] = asyncio.Queue()

    async def read() -> None:
        try:
            await slots.acquire()
            async for item in items:
                running.put_nowait(asyncio.ensure_future(work(item)))
                await slots.acquire()
        finally:
            running.put_nowait(None)

    task: asyncio.Future[R] | None = None
    reader = asyncio.create_task(read())
    try:
        while (task := await running.get()) is not None:
            yield await task
            slots.release()
        await reader
    finally:
        left = [reader, task, *(running.get_nowait() for _ in range(running.qsize()))]
        await _cancelled([one for one in left if one is not None])


async def _cancelled(tasks: Sequence[asyncio.Future[Any]]) -> None:
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
