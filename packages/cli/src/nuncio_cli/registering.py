"""Pages of registrations into the registry, several on their way at once."""

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator, Iterator, Sequence
from typing import Final

from nuncio.common.v1.error_reason_pb2 import ERROR_REASON_APP_NOT_FOUND
from nuncio.registry.v1.registry_service_pb2 import (
    RegisterTokensRequest,
    RegisterTokensResponse,
    Registration,
)
from nuncio_cli.errors import AppUnknown
from nuncio_cli.stubs import RegistryStub

PAGE: Final = 1_000
# Enough to keep the registry busy while this side makes the next page.
PAGES_IN_FLIGHT: Final = 4


def in_pages(registrations: Sequence[Registration]) -> Iterator[Sequence[Registration]]:
    """Cut into pages of the size that the registry takes."""
    for start in range(0, len(registrations), PAGE):
        yield registrations[start : start + PAGE]


async def register_pages(
    registry: RegistryStub,
    pages: Iterator[Sequence[Registration]],
    *,
    app_id: str,
) -> AsyncGenerator[RegisterTokensResponse, None]:
    """One answer per page, in order. Pages are taken as there is room for them.

    Raises RemoteError when the stream breaks, and AppUnknown when there is no such app (any more);
    pages that were answered before are in. What `pages` raises is raised after the answers to the
    pages before.
    """
    room = asyncio.Semaphore(PAGES_IN_FLIGHT)
    failures: list[Exception] = []

    async def requests() -> AsyncIterator[RegisterTokensRequest]:
        # gRPC would drop an exception here, and cancel the call with all answers that are due.
        try:
            for page in pages:
                await room.acquire()
                yield RegisterTokensRequest(app_id=app_id, registrations=page)
        except Exception as error:  # noqa: BLE001 - raised below
            failures.append(error)

    call = registry.RegisterTokens(requests())
    try:
        async for answer in call:
            if any(error.reason == ERROR_REASON_APP_NOT_FOUND for error in answer.errors):
                # Or the pages to come would be refused as well, row by row.
                raise AppUnknown(detail=app_id, appId=app_id)
            room.release()
            yield answer
    finally:
        call.cancel()
    for failure in failures:
        raise failure
