"""What the commands of a stream come to."""

from collections.abc import AsyncGenerator

from nuncio_dispatcher.domain.commands import Event, Progress, Refused, with_refusal
from nuncio_dispatcher.domain.errors import UpstreamUnavailable
from nuncio_runtime.interceptors.errors import service_error
from tests.unit.dispatcher.test_watch import dispatch

GIVEN = Progress(dispatch(1))


async def failing(error: Exception) -> AsyncGenerator[Event, None]:
    yield GIVEN
    raise error


async def events(error: Exception) -> list[Event]:
    return [event async for event in with_refusal(failing(error), service_error)]


async def test_an_error_for_the_caller_is_the_last_event() -> None:
    error = UpstreamUnavailable("targeting")
    assert await events(error) == [GIVEN, Refused(error)]


async def test_an_error_that_nobody_expected_is_named_by_its_correlation_id_alone() -> None:
    first, last = await events(ZeroDivisionError("a secret"))
    assert first == GIVEN
    assert isinstance(last, Refused)
    assert last.error.reason == "INTERNAL"
    assert last.error.metadata["correlationId"]
    assert "secret" not in last.error.message
