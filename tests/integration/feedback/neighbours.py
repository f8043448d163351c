"""Feedback on a real socket, and a registry of a few lines that answers as a test likes."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import grpc

from nuncio.feedback.v1 import feedback_service_pb2 as pb
from nuncio.feedback.v1 import feedback_service_pb2_grpc as rpc
from nuncio.registry.v1 import registry_service_pb2 as registry_pb
from nuncio.registry.v1.token_pb2 import InvalidationOutcome
from nuncio_feedback import app
from nuncio_feedback.config import InvalidationSettings, RegistrySettings, Settings
from nuncio_feedback.domain.model import OutcomePage
from nuncio_runtime.client import connect
from nuncio_runtime.config import DatabaseSettings, ServerSettings
from nuncio_runtime.interceptors.pipeline import Pipeline
from tests.unit.feedback.pages import wire

Answer = Callable[
    [registry_pb.InvalidateTokensRequest], Awaitable[registry_pb.InvalidateTokensResponse]
]


@asynccontextmanager
async def running_feedback(
    database: DatabaseSettings, *, registry: str
) -> AsyncIterator[grpc.aio.Channel]:
    """The whole service on a free port, impatient with outages, and a channel to it."""
    settings = Settings(
        server=ServerSettings.model_validate({"drain_grace": 1}),
        database=database,
        registry=RegistrySettings.model_validate({"target": registry, "timeout": 2}),
        invalidation=InvalidationSettings.model_validate(
            {"poll_interval": 0.2, "first_wait": 0.05, "longest_wait": 0.2}
        ),
    )
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(app.run(settings, stop=stop, started=port.set_result))
        async with connect(f"127.0.0.1:{await port}") as channel:
            yield channel
        stop.set()


@asynccontextmanager
async def registry_double(answer: Answer, *, port: int = 0) -> AsyncIterator[str]:
    """A registry that knows InvalidateTokens only; gives its target."""

    async def invalidate_tokens(
        request: registry_pb.InvalidateTokensRequest, _: grpc.aio.ServicerContext[Any, Any]
    ) -> registry_pb.InvalidateTokensResponse:
        return await answer(request)

    handler = grpc.unary_unary_rpc_method_handler(
        invalidate_tokens,
        registry_pb.InvalidateTokensRequest.FromString,
        registry_pb.InvalidateTokensResponse.SerializeToString,
    )
    server = grpc.aio.server()
    Pipeline(server, default_deadline=5).add_registered_method_handlers(
        "nuncio.registry.v1.RegistryService", {"InvalidateTokens": handler}
    )
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


class Client:
    """Calls feedback as its users do."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self.stub = rpc.FeedbackServiceStub(channel)

    async def report(self, *pages: OutcomePage) -> list[str]:
        """The ids that were acknowledged."""

        async def requests() -> AsyncIterator[pb.ReportOutcomesRequest]:
            for page in pages:
                yield pb.ReportOutcomesRequest(page=wire(page))

        return [answer.page_id async for answer in self.stub.ReportOutcomes(requests())]

    async def campaign(
        self, campaign: str = "spring", *, app_id: str = "com.example.app"
    ) -> pb.GetCampaignReportResponse:
        return await self.stub.GetCampaignReport(
            pb.GetCampaignReportRequest(app_id=app_id, campaign=campaign)
        )

    async def settled(
        self, *expected: "InvalidationOutcome.ValueType", app_id: str = "com.example.app"
    ) -> pb.GetCampaignReportResponse:
        """The campaign's report, once its invalidations have come to these ends."""
        async with asyncio.timeout(8):
            while True:
                report = await self.campaign(app_id=app_id)
                if {kind.outcome for kind in report.invalidations} == set(expected):
                    return report
                await asyncio.sleep(0.02)
