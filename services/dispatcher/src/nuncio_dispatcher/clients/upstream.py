"""What the faults of a neighbouring service mean for the dispatcher."""

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import grpc

from nuncio_dispatcher.domain.errors import UpstreamUnavailable
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind

# Not reached, shutting down, without its database, or silent for too long: all worth another try.
_PASSING: Final = frozenset({Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED})


@contextmanager
def faults_of(service: str) -> Iterator[None]:
    """Name the service where it was not reached; its refusals stay what they are."""
    try:
        yield
    except TimeoutError:
        raise UpstreamUnavailable(service) from None
    except RemoteError as error:
        if error.kind in _PASSING:
            raise UpstreamUnavailable(service) from error
        raise


async def next_of(call: Any, service: str, *, timeout: float) -> Any:
    """The next message of a stream, None at its end. Raises ServiceError."""
    with faults_of(service):
        async with asyncio.timeout(timeout):
            message = await call.read()
    return None if message is grpc.aio.EOF else message
