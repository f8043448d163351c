"""Limits in time for every test and every fixture, so that no run can hang. A pytest plugin.

Three of them, and each is there for what the one before cannot end:

1. An async test that has not ended within its `timeout` is cancelled where it waits, and so is an
   async fixture, on its way in or out, after FIXTURE_SECONDS. Their own cleanup runs.
2. A plain test is interrupted by pytest-timeout's alarm. Async ones are not: the alarm raises in
   whatever runs at that moment - another task, a callback, gRPC's or asyncpg's inside - which
   swallows it or is broken by it, and what waits goes on waiting.
3. A phase that lasts GRACE_SECONDS longer than that - a loop that is blocked, a task that cannot
   be cancelled, a plain fixture - ends its process: the stacks of all threads are printed, and
   pytest-xdist names the test and starts another worker. What the process had started is killed
   at the end of the run: see `tests.support.leftovers`.
"""

import asyncio
import faulthandler
import functools
import inspect
import os
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from typing import Any, Final

import pytest
from pytest_timeout import Settings

FIXTURE_SECONDS: Final = 90.0
"""For one async fixture to set up, or to tear down: a few programs that start on a busy machine."""
GRACE_SECONDS: Final = 30.0
FIXTURES_SECONDS: Final = 2 * FIXTURE_SECONDS + GRACE_SECONDS
"""For all fixtures of one test to set up, or to tear down."""

_STDERR = pytest.StashKey[int]()


def pytest_configure(config: pytest.Config) -> None:
    """Keep the run's own standard error: during a test, pytest captures what is written there."""
    config.stash[_STDERR] = os.dup(2)


def pytest_unconfigure(config: pytest.Config) -> None:
    """And let it go."""
    os.close(config.stash[_STDERR])


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> Iterator[None]:
    """Fixtures on their way in."""
    return (yield from _ended_after(FIXTURES_SECONDS, item.config))


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_runtest_teardown(item: pytest.Item) -> Iterator[None]:
    """Fixtures on their way out; after the last test, those of the session too."""
    return (yield from _ended_after(FIXTURES_SECONDS, item.config))


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_set_timer(item: pytest.Item, settings: Settings) -> bool | None:
    """The test itself. pytest-timeout asks this once it knows the limit; True: no alarm."""
    _end_after(settings.timeout + GRACE_SECONDS, item.config)
    if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
        item.obj = _cancelled_after(settings.timeout, item.obj)
        return True
    return None


@pytest.hookimpl(tryfirst=True)
def pytest_timeout_cancel_timer() -> None:
    """The test has ended."""
    faulthandler.cancel_dump_traceback_later()


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_fixture_setup(fixturedef: "pytest.FixtureDef[Any]") -> Iterator[None]:
    """An async fixture gets its limit before pytest-asyncio makes a plain one of it."""
    plain = fixturedef.func
    with pytest.MonkeyPatch.context() as patch:
        if inspect.isasyncgenfunction(plain):
            patch.setattr(fixturedef, "func", _cancelled_both_ways(plain))
        elif inspect.iscoroutinefunction(plain):
            patch.setattr(fixturedef, "func", _cancelled_after(FIXTURE_SECONDS, plain))
        return (yield)


def _cancelled_after(seconds: float, function: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(function)
    async def limited(*args: Any, **kwargs: Any) -> Any:
        async with asyncio.timeout(seconds):
            return await function(*args, **kwargs)

    return limited


def _cancelled_both_ways(fixture: Callable[..., AsyncIterator[Any]]) -> Callable[..., Any]:
    @functools.wraps(fixture)
    async def limited(*args: Any, **kwargs: Any) -> AsyncIterator[Any]:
        steps = fixture(*args, **kwargs)
        async with asyncio.timeout(FIXTURE_SECONDS):
            value = await anext(steps)
        yield value
        async with asyncio.timeout(FIXTURE_SECONDS):
            with suppress(StopAsyncIteration):
                await anext(steps)

    return limited


def _ended_after(seconds: float, config: pytest.Config) -> Iterator[None]:
    _end_after(seconds, config)
    try:
        return (yield)
    finally:
        faulthandler.cancel_dump_traceback_later()


def _end_after(seconds: float, config: pytest.Config) -> None:
    """Unless somebody debugs, who may take their time."""
    if not config.getoption("usepdb"):
        faulthandler.dump_traceback_later(seconds, exit=True, file=config.stash[_STDERR])
