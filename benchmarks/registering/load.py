"""Load on a unary call: as fast as it answers, or at a pace of its own."""

import asyncio
import statistics
from collections.abc import Awaitable, Callable, Iterator, Sequence
from time import perf_counter
from typing import Final, TypeVar

Request = TypeVar("Request")
CONCURRENCY: Final = 256


async def closed_loop(
    call: Callable[[Request], Awaitable[object]], requests: Sequence[Request]
) -> None:
    """Make all calls, CONCURRENCY at a time, each as soon as one before it has its answer."""
    left = iter(requests)

    async def caller(own: Iterator[Request]) -> None:
        for request in own:
            await call(request)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(caller(left))


async def open_loop(
    call: Callable[[Request], Awaitable[object]], requests: Sequence[Request], *, per_second: float
) -> list[float]:
    """Begin calls at a steady pace, whatever the answers do. Gives the seconds that each took,
    from when it was planned to begin.
    """
    taken: list[float] = []
    begin = perf_counter()

    async def timed(request: Request, planned: float) -> None:
        await call(request)
        taken.append(perf_counter() - planned)

    async with asyncio.TaskGroup() as group:
        for number, request in enumerate(requests):
            planned = begin + number / per_second
            if planned > perf_counter():
                await asyncio.sleep(planned - perf_counter())
            group.create_task(timed(request, planned))
    return taken


def p99(seconds: Sequence[float]) -> float:
    """What 99 of 100 do not exceed."""
    return statistics.quantiles(seconds, n=100)[98]
