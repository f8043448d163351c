"""Load on a unary call: as fast as it answers, or at a pace of its own."""

import asyncio
import statistics
from collections.abc import Awaitable, Iterator, Sequence
from time import perf_counter
from typing import Final, Protocol, TypeVar

Request = TypeVar("Request")
Contra = TypeVar("Contra", contravariant=True)
CONCURRENCY: Final = 256
DEADLINE: Final = 30.0
"""Of each call, in seconds: no caller in production is without one."""


class Call(Protocol[Contra]):
    """A unary call of a stub."""

    def __call__(self, request: Contra, /, *, timeout: float) -> Awaitable[object]: ...


async def closed_loop(call: Call[Request], requests: Sequence[Request]) -> None:
    """Make all calls, CONCURRENCY at a time, each as soon as one before it has its answer."""
    left = iter(requests)

    async def caller(own: Iterator[Request]) -> None:
        for request in own:
            await call(request, timeout=DEADLINE)

    async with asyncio.TaskGroup() as group:
        for _ in range(CONCURRENCY):
            group.create_task(caller(left))


async def open_loop(
    call: Call[Request], requests: Sequence[Request], *, per_second: float
) -> list[float]:
    """Begin calls at a steady pace, whatever the answers do. Gives the seconds that each took,
    from when it was planned to begin.
    """
    taken: list[float] = []
    begin = perf_counter()

    async def timed(request: Request, planned: float) -> None:
        await call(request, timeout=DEADLINE)
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
