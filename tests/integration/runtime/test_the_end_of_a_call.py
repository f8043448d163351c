"""What is counted, logged and told when a call ends, in whatever way it does."""

import asyncio
import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeAlias

import grpc
import pytest
from structlog.testing import capture_logs

from nuncio_runtime.config import ServerSettings
from nuncio_runtime.errors import Kind, ServiceError
from nuncio_runtime.metrics import CODES, calls_of
from tests.integration.runtime.echo import SERVICE, Echo, EchoStub, Words, mount
from tests.integration.runtime.running import running

Behavior: TypeAlias = Callable[[Any, Any], Awaitable[Any]]


class NoSuchRoom(ServiceError):
    """There is no such room."""

    kind = Kind.NOT_FOUND


class Saying(Echo):
    def __init__(self, say: Behavior) -> None:
        self._say = say
        self.reached = asyncio.Event()

    async def say(self, request: Any, context: Any) -> Any:
        self.reached.set()
        return await self._say(request, context)


async def answers(request: Any, _context: Any) -> Any:
    return request


async def refuses(_request: Any, _context: Any) -> Any:
    raise NoSuchRoom


async def fails(_request: Any, _context: Any) -> Any:
    raise LookupError


async def aborts(_request: Any, context: Any) -> Any:
    await context.abort(grpc.StatusCode.OUT_OF_RANGE, "beyond")


async def sets_a_code(request: Any, context: Any) -> Any:
    context.set_code(grpc.StatusCode.DATA_LOSS)
    return request


async def waits(_request: Any, _context: Any) -> Any:
    await asyncio.Event().wait()


async def ended(say: Behavior, request: Any, *, timeout: float | None, cancelled: bool) -> Any:
    """The call's code at the caller's. The server has come to its end when this returns."""
    servicer = Saying(say)
    settings = ServerSettings(default_deadline=timedelta(seconds=0.2))
    async with (
        running([mount(servicer)], settings=settings) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        call = EchoStub(channel).Say(request, timeout=timeout)
        if cancelled:
            await servicer.reached.wait()
            call.cancel()
        return await call.code()


@pytest.mark.parametrize(
    ("say", "request_", "timeout", "code"),
    [
        (answers, Words(), 5, "OK"),
        (answers, Words(), None, "OK"),
        (answers, Words(text="x" * 21), 5, "INVALID_ARGUMENT"),
        (refuses, Words(), 5, "NOT_FOUND"),
        (aborts, Words(), 5, "OUT_OF_RANGE"),
        (fails, Words(), 5, "INTERNAL"),
        (sets_a_code, Words(), 5, "DATA_LOSS"),
        (waits, Words(), None, "DEADLINE_EXCEEDED"),
        (waits, Words(), 0.2, "DEADLINE_EXCEEDED"),
        (waits, Words(), 5, "CANCELLED"),
    ],
)
async def test_a_call_is_counted_once_with_the_code_that_it_ends_with(
    say: Behavior, request_: Any, timeout: float | None, code: str
) -> None:
    calls = calls_of(SERVICE, "Say")
    started, before = calls.started, Counter(calls.handled)
    with capture_logs() as logs:
        told = await ended(say, request_, timeout=timeout, cancelled=code == "CANCELLED")
    assert told is grpc.StatusCode[code]
    assert calls.started - started == 1
    counted = {CODES[number]: n for number, n in (Counter(calls.handled) - before).items()}
    assert counted == {code: 1}
    warned = [line["code"] for line in logs if line["event"] == "call_ended"]
    assert warned == ([code] if code in {"INTERNAL", "DATA_LOSS"} else [])


@pytest.mark.parametrize(
    ("headers", "echoed"),
    [
        ((), None),
        ((("x-request-id", "req-1"),), "req-1"),
        ((("x-request-id", "req-1"), ("x-request-id", "req-2")), "req-2"),
        ((("x-request-id", ""),), "[0-9a-f]{16}"),
        ((("x-request-id", "two words"),), "[0-9a-f]{16}"),
    ],
)
async def test_who_names_a_call_gets_a_name_back(
    headers: tuple[tuple[str, str], ...], echoed: str | None
) -> None:
    async with (
        running([mount(Echo())]) as address,
        grpc.aio.insecure_channel(address) as channel,
    ):
        call = EchoStub(channel).Say(Words(), metadata=headers)
        await call
        name = (await call.trailing_metadata()).get("x-request-id")
    assert (name is None) if echoed is None else re.fullmatch(echoed, str(name))
