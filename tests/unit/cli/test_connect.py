"""Calls that are made again, and those that are not."""

from datetime import timedelta

import pytest

from nuncio_cli.connect import patiently
from nuncio_runtime.errors import Kind, ServiceError


class Restarting(ServiceError):
    """The service behind is starting again."""

    kind = Kind.UNAVAILABLE
    reason = "UPSTREAM_UNAVAILABLE"


class Refused(ServiceError):
    """The service does not want to."""

    kind = Kind.NOT_FOUND
    reason = "APP_NOT_FOUND"


class Calls:
    """Fails with each of the errors in turn, then answers."""

    def __init__(self, *errors: ServiceError) -> None:
        self.errors = list(errors)

    async def __call__(self) -> str:
        if self.errors:
            raise self.errors.pop(0)
        return "answer"


async def test_a_call_is_made_again_when_the_service_asks_to_come_back() -> None:
    calls = Calls(Restarting(retry_after=timedelta(0)), Restarting(retry_after=timedelta(0)))
    assert await patiently(calls) == "answer"


@pytest.mark.parametrize("error", [Refused(retry_after=timedelta(0)), Restarting()])
async def test_other_errors_are_raised_at_once(error: ServiceError) -> None:
    calls = Calls(error)
    with pytest.raises(type(error)):
        await patiently(calls)
