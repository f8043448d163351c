"""Following the change feed of a running registry on a clock that stands still by itself."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from nuncio.registry.v1 import event_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from tests.integration.registry.running import Registry
from tests.unit.registry.builders import APP, key

_MARK = 999_999  # The installation whose registration is the last event that is left behind.

APP_REQUEST = pb.GetAppRequest(app_id=APP)


class Feed:
    """An open stream of WatchInstallations.

    step: by how many seconds the clock goes on, again and again, while there is no response.
    """

    step = 1.0

    def __init__(self, registry: Registry, **request: Any) -> None:
        self._registry = registry
        watched = pb.WatchInstallationsRequest(app_id=APP, **request)
        self.call = registry.stub.WatchInstallations(watched)
        self._responses = aiter(self.call)
        self.position = ""

    async def response(self) -> pb.WatchInstallationsResponse:
        """The next response. The clock goes on for as long as there is none."""
        coming = asyncio.ensure_future(anext(self._responses))
        # A call takes a while in which the registry may look.
        while True:
            await self._registry.stub.GetApp(APP_REQUEST)
            if coming.done():
                break
            self._registry.clock.advance(self.step)
        response = await coming
        self.position = response.position
        return response

    async def events(self, count: int) -> list[event_pb2.InstallationEvent]:
        """So many events, no more, however many responses they come in."""
        events: list[event_pb2.InstallationEvent] = []
        while len(events) < count:
            events += (await self.response()).events
        return events

    async def catch_up(self) -> None:
        """Leave behind all that has happened so far.

        While some older transaction of the server runs, that of another test perhaps, events
        that are committed are still before the feed, even one that begins now.
        """
        await self._registry.register(_MARK, facts=None)
        while not any(
            event.installation_id == str(key(_MARK)) for event in (await self.response()).events
        ):
            pass


@asynccontextmanager
async def watching(registry: Registry, **request: Any) -> AsyncIterator[Feed]:
    """A stream for as long as the context lasts. Its first response is taken when from_now."""
    feed = Feed(registry, **request)
    try:
        if request.get("from_now"):
            await feed.response()
        yield feed
    finally:
        feed.call.cancel()
