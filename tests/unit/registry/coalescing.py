"""A coalescer whose pages and clock a test holds in its hands."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager

from nuncio_registry.domain.coalesce import Again, Coalescer
from nuncio_runtime.clock import ManualClock

WAIT = 0.005


class Pages:
    """Stores pages when the test lets it: the result of a row is its double.

    Odd rows above 100 are given back, as the next number.
    """

    def __init__(self) -> None:
        self.begun: list[tuple[str, list[int]]] = []
        self._gates: list[asyncio.Future[None]] = []

    async def write(self, key: str, rows: Sequence[int]) -> list[int | Again[int]]:
        self.begun.append((key, list(rows)))
        gate = asyncio.get_running_loop().create_future()
        self._gates.append(gate)
        await gate
        return [Again(row + 1) if row > 100 and row % 2 else row * 2 for row in rows]

    def finish(self, number: int, error: Exception | None = None) -> None:
        """Let the page with this number end."""
        if error is None:
            self._gates[number].set_result(None)
        else:
            self._gates[number].set_exception(error)


class Scene:
    """A coalescer with its clock and its pages, and callers as tasks.

    No page is a crowd unless the test says so.
    """

    def __init__(self, *, crowd: int = 100, **limits: int) -> None:
        self.clock = ManualClock()
        self.pages = Pages()
        self.waits: list[float] = []
        self.coalescer: Coalescer[str, int, int] = Coalescer(
            self.pages.write,
            self.clock,
            longest_wait=WAIT,
            waited=self.waits.append,
            crowd=crowd,
            **limits,
        )

    async def call(self, *rows: int, key: str = "app") -> list["asyncio.Task[int]"]:
        """Callers that come at the same time; they wait when this returns."""
        callers = [asyncio.create_task(self.coalescer.put(key, row)) for row in rows]
        await self.settle()
        return callers

    async def settle(self) -> None:
        """Let everything run that can run."""
        for _ in range(10):
            await asyncio.sleep(0)

    async def advance(self, seconds: float) -> None:
        self.clock.advance(seconds)
        await self.settle()

    async def finish(self, number: int, error: Exception | None = None) -> None:
        self.pages.finish(number, error)
        await self.settle()


@asynccontextmanager
async def crowded_scene() -> AsyncIterator[Scene]:
    """At most two pages of four rows at once, where a page of two was just written: a crowd."""
    scene = Scene(largest_page=4, pages_at_once=2, crowd=2)
    async with scene.coalescer:
        await scene.call(1, 2)
        await scene.finish(0)
        yield scene
