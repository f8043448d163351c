"""The port Registry over gRPC, when the other end does not behave as usual."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any

import grpc
import pytest

from nuncio.common.v1 import target_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import connect
from nuncio_targeting.clients.registry import GrpcRegistry
from nuncio_targeting.domain.condition import EVERYONE
from nuncio_targeting.domain.errors import UpstreamUnavailable
from nuncio_targeting.domain.model import ALL_KEYS, Selection

EVERYBODY = Selection("shop", EVERYONE)


class ScriptedRegistry:
    """Gives the pages it was told to, then ends or falls silent until the caller leaves."""

    def __init__(self, *pages: pb.SelectTargetsResponse, ends: bool) -> None:
        self._pages = pages
        self._ends = ends
        self.left = asyncio.Event()

    async def get_app(self, _request: Any, _context: Any) -> pb.GetAppResponse:
        await self._silence()
        return pb.GetAppResponse()

    async def select_targets(
        self, _request: Any, _context: Any
    ) -> AsyncIterator[pb.SelectTargetsResponse]:
        for page in self._pages:
            yield page
        if not self._ends:
            await self._silence()

    def handler(self) -> grpc.GenericRpcHandler:
        get_app = grpc.unary_unary_rpc_method_handler(
            self.get_app,
            pb.GetAppRequest.FromString,
            pb.GetAppResponse.SerializeToString,
        )
        select_targets = grpc.unary_stream_rpc_method_handler(
            self.select_targets,
            pb.SelectTargetsRequest.FromString,
            pb.SelectTargetsResponse.SerializeToString,
        )
        return grpc.method_handlers_generic_handler(
            "nuncio.registry.v1.RegistryService",
            {"GetApp": get_app, "SelectTargets": select_targets},
        )

    async def _silence(self) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            self.left.set()


@asynccontextmanager
async def client_of(registry: ScriptedRegistry) -> AsyncIterator[GrpcRegistry]:
    server = grpc.aio.server()
    server.add_generic_rpc_handlers((registry.handler(),))
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        async with connect(f"127.0.0.1:{port}") as channel:
            yield GrpcRegistry(channel, timeout=timedelta(seconds=0.5))
    finally:
        await server.stop(None)


def page(count: int) -> pb.SelectTargetsResponse:
    return pb.SelectTargetsResponse(page=target_pb2.TargetPage(count=count), cursor=b"c")


async def test_a_registry_that_does_not_answer_counts_as_unavailable() -> None:
    async with client_of(ScriptedRegistry(ends=False)) as registry:
        with pytest.raises(UpstreamUnavailable) as raised:
            await registry.check_app("shop")
    assert raised.value.metadata == {"service": "registry"}
    assert raised.value.retry_after is not None


async def test_a_stream_that_falls_silent_counts_as_unavailable_after_its_pages() -> None:
    scripted = ScriptedRegistry(page(1), page(2), ends=False)
    async with client_of(scripted) as registry:
        pages = registry.pages(EVERYBODY, keys=ALL_KEYS, cursor=b"", page_size=2)
        assert [(await anext(pages)).count for _ in range(2)] == [1, 2]
        with pytest.raises(UpstreamUnavailable):
            await anext(pages)
        await scripted.left.wait()


async def test_a_stream_that_is_closed_early_ends_at_the_registry_too() -> None:
    scripted = ScriptedRegistry(page(1), ends=False)
    async with client_of(scripted) as registry:
        pages = registry.pages(EVERYBODY, keys=ALL_KEYS, cursor=b"", page_size=2)
        await anext(pages)
        await pages.aclose()
        await scripted.left.wait()


async def test_reasons_of_a_newer_registry_pass() -> None:
    newer = pb.SelectTargetsResponse()
    newer.suppressed.add(count=3).reason = target_pb2.SuppressionReason.ValueType(99)
    async with client_of(ScriptedRegistry(newer, ends=True)) as registry:
        assert (await registry.page_of(EVERYBODY, limit=5)).suppressed == {99: 3}


async def test_a_selection_without_installations_is_an_empty_page() -> None:
    async with client_of(ScriptedRegistry(page(0), ends=True)) as registry:
        empty = await registry.page_of(EVERYBODY, limit=5)
    assert (empty.count, empty.suppressed) == (0, {})


async def test_pages_do_not_print_their_targets() -> None:
    secret = pb.SelectTargetsResponse(page=target_pb2.TargetPage(count=1, tokens=[b"push-token"]))
    async with client_of(ScriptedRegistry(secret, ends=True)) as registry:
        assert "push-token" not in repr(await registry.page_of(EVERYBODY, limit=1))
