"""The registry over gRPC."""

import asyncio
from collections.abc import AsyncGenerator, Iterable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Any, Final, cast

import grpc

from nuncio.common.v1 import target_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_runtime.calls import remaining
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from nuncio_targeting.clients.predicate import predicate_of
from nuncio_targeting.domain.errors import UpstreamUnavailable
from nuncio_targeting.domain.model import ALL_KEYS, Counts, Keys, Page, Reach, Selection, Targets

SERVICE: Final = "registry"

# Not reached, shutting down, without its database, or silent for too long: for our callers it is
# all the same, and worth another try.
_PASSING: Final = (Kind.UNAVAILABLE, Kind.DEADLINE_EXCEEDED)


class GrpcRegistry:
    """Keeps the port `Registry`. timeout: of a unary call, and of each page of a stream."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: timedelta) -> None:
        self._stub = rpc.RegistryServiceStub(channel)
        self._timeout = timeout.total_seconds()

    async def check_app(self, app_id: str) -> None:
        """Ask for the app."""
        request = pb.GetAppRequest(app_id=app_id)
        with _upstream_faults():
            await self._stub.GetApp(request, timeout=self._left())

    async def pages(
        self, selection: Selection, *, keys: Keys, cursor: bytes, page_size: int
    ) -> AsyncGenerator[Page, None]:
        """Pass the registry's stream on, page by page."""
        request = pb.SelectTargetsRequest(
            app_id=selection.app_id,
            predicate=predicate_of(selection.condition),
            purpose=selection.purpose,
            range=target_pb2.KeyRange(low=keys.low, high=keys.high),
            cursor=cursor,
            page_size=page_size,
        )
        call = self._stub.SelectTargets(request)
        try:
            while (response := await self._next(call)) is not None:
                yield _page(response)
        finally:
            call.cancel()

    async def page_of(self, selection: Selection, *, limit: int) -> Page:
        """Read the stream to its end; all but one of its pages are empty."""
        stream = self.pages(selection, keys=ALL_KEYS, cursor=b"", page_size=limit)
        pages = [page async for page in stream if page.count or page.suppressed]
        match pages:
            case []:
                return Page(Targets(target_pb2.TargetPage()), 0, {}, b"")
            case [page]:
                return page
        raise RuntimeError("the registry gave more pages than the selection can fill")

    async def reach(self, selection: Selection) -> Reach:
        """Let the registry count."""
        request = pb.CountTargetsRequest(
            app_id=selection.app_id,
            predicate=predicate_of(selection.condition),
            purpose=selection.purpose,
        )
        with _upstream_faults():
            response = await self._stub.CountTargets(request, timeout=self._left())
        reachable: Counts = {int(each.platform): each.count for each in response.reachable}
        return Reach(response.matched, reachable, _suppressed(response.suppressed))

    def _left(self) -> float:
        """Seconds that a unary call may take."""
        return min(self._timeout, remaining(default=self._timeout))

    async def _next(self, call: Any) -> pb.SelectTargetsResponse | None:
        """The next page of a stream, None at its end."""
        with _upstream_faults():
            async with asyncio.timeout(self._timeout):
                response = await call.read()
        ended = response is grpc.aio.EOF
        return None if ended else cast("pb.SelectTargetsResponse", response)


@contextmanager
def _upstream_faults() -> Iterator[None]:
    """Name the registry where it was not reached; its refusals stay what they are."""
    try:
        yield
    except TimeoutError:
        raise UpstreamUnavailable(service=SERVICE) from None
    except RemoteError as error:
        if error.kind not in _PASSING:
            raise
        raise UpstreamUnavailable(service=SERVICE, retry_after=error.retry_after) from error


def _page(response: pb.SelectTargetsResponse) -> Page:
    return Page(
        targets=Targets(response.page),
        count=response.page.count,
        suppressed=_suppressed(response.suppressed),
        cursor=response.cursor,
    )


def _suppressed(counts: Iterable[target_pb2.SuppressedCount]) -> Counts:
    return {int(each.reason): each.count for each in counts}
