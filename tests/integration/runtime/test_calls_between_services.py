"""What a call meets on its way: validation, errors, deadlines, ids, on both ends."""

import asyncio
import re
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import grpc
import pytest

from nuncio_runtime.calls import current_call, remaining
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.config import ConfigError, ServerSettings
from nuncio_runtime.errors import FieldViolation, InvalidField, Kind, ServiceError
from nuncio_runtime.interceptors.validation import violations
from tests.integration.runtime.echo import SERVICE, Echo, EchoStub, Words, mount
from tests.integration.runtime.running import running


class CupboardBare(ServiceError):
    """The cupboard is bare."""

    kind = Kind.RESOURCE_EXHAUSTED
    reason = "CUPBOARD_BARE"

    def __init__(self, shelf: str) -> None:
        super().__init__(retry_after=timedelta(seconds=7), shelf=shelf)


async def stream(*messages: Any) -> AsyncIterator[Any]:
    for message in messages:
        yield message


async def test_all_four_forms_of_calls_arrive_and_return() -> None:
    async with running([mount(Echo())]) as address, connect(address) as channel:
        echo = EchoStub(channel)
        assert (await echo.Say(Words(text="hello"))).text == "hello"
        assert [w.text async for w in echo.Repeat(Words(tags=["a", "b"]))] == ["a", "b"]
        assert (await echo.Join(stream(Words(text="a"), Words(text="b")))).text == "ab"
        chat = echo.Chat(stream(Words(text="a"), Words(text="b")))
        assert [w.text async for w in chat] == ["a", "b"]


async def test_a_conversation_is_written_and_read_in_turns() -> None:
    async with running([mount(Echo())]) as address, connect(address) as channel:
        chat = EchoStub(channel).Chat()
        for text in ("a", "b"):
            await chat.write(Words(text=text))
            assert (await chat.read()).text == text
        await chat.done_writing()
        assert await chat.read() is grpc.aio.EOF


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (Words(text="x" * 21), "text"),
        (Words(tags=["abc", "abcd"]), "tags[1]"),
        (Words(inner=Words(text="x" * 21)), "inner.text"),
        (Words(inner=Words(tags=["a", "\0"])), "inner.tags[1]"),
    ],
)
async def test_a_message_that_breaks_a_rule_is_refused_and_names_the_field(
    request_: Any, field: str
) -> None:
    async with running([mount(Echo())]) as address, connect(address) as channel:
        with pytest.raises(RemoteError) as refused:
            await EchoStub(channel).Say(request_)
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert refused.value.reason == "INVALID_FIELD"
    assert refused.value.metadata == {"field": field}
    assert [violation.field for violation in refused.value.violations] == [field]
    assert field in str(refused.value)


async def test_a_bad_message_ends_its_stream_after_the_good_ones() -> None:
    async with running([mount(Echo())]) as address, connect(address) as channel:
        chat = EchoStub(channel).Chat(stream(Words(text="good"), Words(text="x" * 21)))
        answers = aiter(chat)
        assert (await anext(answers)).text == "good"
        with pytest.raises(RemoteError) as refused:
            await anext(answers)
    assert refused.value.reason == "INVALID_FIELD"


async def test_a_method_that_answers_per_row_sees_its_bad_messages() -> None:
    class Tolerant(Echo):
        async def chat(self, requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
            async for request in requests:
                yield Words(text=",".join(broken.field for broken in violations(request)))

    mounted = mount(Tolerant(), self_checked=frozenset({"Chat"}))
    async with running([mounted]) as address, connect(address) as channel:
        chat = EchoStub(channel).Chat(stream(Words(text="x" * 21), Words(text="good")))
        assert [words.text async for words in chat] == ["text", ""]


class Failing(Echo):
    """Fails in each form, as the text says."""

    def __init__(self, error: Exception) -> None:
        self._error = error

    async def say(self, _request: Any, _context: Any) -> Any:
        raise self._error

    async def repeat(self, _request: Any, _context: Any) -> AsyncIterator[Any]:
        yield Words(text="one")
        raise self._error

    async def join(self, _requests: AsyncIterator[Any], _context: Any) -> Any:
        raise self._error

    async def chat(self, _requests: AsyncIterator[Any], _context: Any) -> AsyncIterator[Any]:
        yield Words(text="one")
        raise self._error


async def failures_of(echo: EchoStub) -> list[RemoteError]:
    """The error of each form of call."""
    found = []
    for call in (echo.Say(Words()), echo.Join(stream(Words()))):
        with pytest.raises(RemoteError) as failed:
            await call
        found.append(failed.value)
    for call in (echo.Repeat(Words()), echo.Chat(stream(Words()))):
        with pytest.raises(RemoteError) as failed:
            [words async for words in call]
        found.append(failed.value)
    return found


async def test_a_service_error_comes_back_as_itself_in_all_forms() -> None:
    servicer = mount(Failing(CupboardBare("top")))
    async with running([servicer]) as address, connect(address) as channel:
        for error in await failures_of(EchoStub(channel)):
            assert error.kind is Kind.RESOURCE_EXHAUSTED
            assert error.reason == "CUPBOARD_BARE"
            assert error.metadata == {"shelf": "top"}
            assert error.retry_after == timedelta(seconds=7)
            assert "The cupboard is bare." in str(error)


async def test_an_unforeseen_error_shows_an_id_and_nothing_from_inside() -> None:
    servicer = mount(Failing(RuntimeError("the secret inside")))
    async with running([servicer]) as address, connect(address) as channel:
        for error in await failures_of(EchoStub(channel)):
            assert error.kind is Kind.INTERNAL
            assert re.fullmatch("[0-9a-f]{16}", error.metadata["correlationId"])
            assert error.metadata["correlationId"] in str(error)
            assert "secret" not in str(error)


async def test_a_rule_of_the_domain_names_its_field_like_the_contract_does() -> None:
    servicer = mount(Failing(InvalidField(FieldViolation("text", "must rhyme"))))
    async with running([servicer]) as address, connect(address) as channel:
        with pytest.raises(RemoteError) as refused:
            await EchoStub(channel).Say(Words())
    assert refused.value.violations == (FieldViolation("text", "must rhyme"),)


async def test_a_server_that_is_not_there_is_unavailable() -> None:
    async with connect("127.0.0.1:1") as channel:
        with pytest.raises(RemoteError) as failed:
            await EchoStub(channel).Say(Words())
    assert failed.value.kind is Kind.UNAVAILABLE
    assert failed.value.reason == ""
    assert "127.0.0.1" not in str(failed.value)


def test_a_target_elsewhere_is_not_called_in_clear_text(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="needs TLS"):
        connect("registry.internal:7411")
    with pytest.raises(ConfigError, match=r"missing\.pem"):
        connect("registry.internal:7411", ca_file=tmp_path / "missing.pem")


async def test_an_unknown_method_is_unimplemented() -> None:
    async with running([]) as address, connect(address) as channel:
        with pytest.raises(RemoteError) as failed:
            await EchoStub(channel).Say(Words())
    assert failed.value.kind is Kind.UNIMPLEMENTED


class Waiting(Echo):
    """Never answers, and tells how it ended."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.cancelled = asyncio.Event()

    async def say(self, _request: Any, _context: Any) -> Any:
        self.reached.set()
        try:
            await asyncio.Event().wait()
        finally:
            self.cancelled.set()


async def test_a_unary_call_without_deadline_gets_the_servers() -> None:
    settings = ServerSettings(default_deadline=timedelta(milliseconds=50))
    servicer = Waiting()
    async with running([mount(servicer)], settings=settings) as address:
        async with grpc.aio.insecure_channel(address) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as failed:
                await EchoStub(channel).Say(Words())
        assert failed.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        assert servicer.cancelled.is_set()


async def test_the_callers_deadline_ends_the_call_on_both_ends() -> None:
    servicer = Waiting()
    async with running([mount(servicer)]) as address, connect(address) as channel:
        with pytest.raises(RemoteError) as failed:
            await EchoStub(channel).Say(Words(), timeout=0.05)
        assert failed.value.kind is Kind.DEADLINE_EXCEEDED
        await servicer.cancelled.wait()


async def test_a_cancelled_call_is_cancelled_at_the_server() -> None:
    servicer = Waiting()
    async with running([mount(servicer)]) as address, connect(address) as channel:
        call = EchoStub(channel).Say(Words())
        await servicer.reached.wait()
        call.cancel()
        await servicer.cancelled.wait()
        with pytest.raises(asyncio.CancelledError):
            await call


async def test_outgoing_calls_get_what_is_left_of_the_callers_time() -> None:
    class Asking(Echo):
        async def say(self, _request: Any, _context: Any) -> Any:
            return Words(text=str(remaining(margin=20)))

    async with running([mount(Asking())]) as address, connect(address) as channel:
        left = float((await EchoStub(channel).Say(Words(), timeout=60)).text)
    assert 30 < left < 40.5  # 60 less 20, less the way here; gRPC rounds what it sends.


async def test_request_and_trace_ids_travel_from_service_to_service() -> None:
    class Last(Echo):
        async def say(self, _request: Any, _context: Any) -> Any:
            call = current_call.get()
            assert call is not None
            return Words(tags=[], inner=Words(text=call.request_id), text=call.trace_id[:20])

    class First(Echo):
        def __init__(self, channel: grpc.aio.Channel) -> None:
            self._last = EchoStub(channel)

        async def say(self, request: Any, _context: Any) -> Any:
            return await self._last.Say(request)

    trace = "0af7651916cd43dd8448eb211c80319c"
    headers = (("x-request-id", "req-1"), ("traceparent", f"00-{trace}-b7ad6b7169203331-01"))
    async with (
        running([mount(Last())]) as last_address,
        connect(last_address) as inside,
        running([mount(First(inside))]) as address,
        connect(address) as channel,
    ):
        call = EchoStub(channel).Say(Words(), metadata=headers)
        answer = await call
        assert answer.inner.text == "req-1"
        assert answer.text == trace[:20]
        assert (await call.trailing_metadata())["x-request-id"] == "req-1"


async def test_a_remote_error_passes_through_a_service_unchanged() -> None:
    class Through(Echo):
        def __init__(self, channel: grpc.aio.Channel) -> None:
            self._next = EchoStub(channel)

        async def say(self, request: Any, _context: Any) -> Any:
            return await self._next.Say(request)

    async with (
        running([mount(Failing(CupboardBare("top")))]) as last_address,
        connect(last_address) as inside,
        running([mount(Through(inside))]) as address,
        connect(address) as channel,
    ):
        with pytest.raises(RemoteError) as failed:
            await EchoStub(channel).Say(Words())
    assert (failed.value.reason, failed.value.metadata) == ("CUPBOARD_BARE", {"shelf": "top"})
    assert SERVICE not in str(failed.value)
