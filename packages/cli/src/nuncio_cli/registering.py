"""Pages of registrations into the registry, several on their way at once."""

import asyncio
from collections.abc import AsyncIterator, Iterator, Sequence
from typing import Final

from nuncio.registry.v1.registry_service_pb2 import (
    RegisterTokensRequest,
    RegisterTokensResponse,
    Registration,
)
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
) -> AsyncIterator[RegisterTokensResponse]:
    """One answer per page, in order. Pages are taken as there is room for them.

    Raises RemoteError when the stream breaks; pages that were answered before are in.
    """
    room = asyncio.Semaphore(PAGES_IN_FLIGHT)

    async def requests() -> AsyncIterator[RegisterTokensRequest]:
        for page in pages:
            await room.acquire()
            yield RegisterTokensRequest(app_id=app_id, registrations=page)

    async for answer in registry.RegisterTokens(requests()):
        room.release()
        yield answer
