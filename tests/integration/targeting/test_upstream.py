"""Targeting while the registry is away, and after it came back."""

import asyncio
from pathlib import Path

import pytest

from nuncio.registry.v1 import app_pb2
from nuncio.registry.v1 import registry_service_pb2 as registry_pb
from nuncio.registry.v1 import registry_service_pb2_grpc as registry_rpc
from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio.targeting.v1 import targeting_service_pb2_grpc as rpc
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.errors import Kind
from tests.integration.targeting.house import expression
from tests.support.postgres import fresh_database
from tests.support.services import running_service, service_process

pytestmark = pytest.mark.timeout(60)


async def refused(stub: "rpc.TargetingServiceAsyncStub") -> RemoteError:
    request = pb.ResolveAudienceRequest(app_id="shop", audience=expression("all()"))
    with pytest.raises(RemoteError) as raised:
        async for _ in stub.ResolveAudience(request):
            pass
    return raised.value


async def answered(
    stub: "rpc.TargetingServiceAsyncStub", request: pb.ValidateAudienceRequest
) -> pb.ValidateAudienceResponse:
    """The answer, asked for again as often and as late as the refusals say."""
    while True:
        try:
            return await stub.ValidateAudience(request)
        except RemoteError as error:
            if error.retry_after is None:
                raise
            await asyncio.sleep(error.retry_after.total_seconds())


async def test_a_registry_that_is_away_is_named_and_found_again(tmp_path: Path) -> None:
    keys = {"KEYS__FOLDER": str(tmp_path), "KEYS__CREATE": "true"}
    async with (
        fresh_database("nuncio_registry", "registry") as registry_database,
        fresh_database("nuncio_targeting", "targeting") as database,
        service_process("registry", database=registry_database, **keys) as registry,
        running_service("targeting", database=database, REGISTRY__TARGET=registry.target) as target,
        connect(target) as channel,
    ):
        stub: rpc.TargetingServiceAsyncStub = rpc.TargetingServiceStub(channel)
        await registry.kill()

        error = await refused(stub)
        assert (error.kind, error.reason) == (Kind.UNAVAILABLE, "UPSTREAM_UNAVAILABLE")
        assert error.metadata == {"service": "registry"}
        assert error.retry_after is not None

        async with (
            service_process(
                "registry", database=registry_database, SERVER__LISTEN=registry.target, **keys
            ),
            connect(registry.target) as registry_channel,
        ):
            registry_stub: registry_rpc.RegistryServiceAsyncStub
            registry_stub = registry_rpc.RegistryServiceStub(registry_channel)
            app = app_pb2.App(app_id="shop")
            await registry_stub.CreateApp(registry_pb.CreateAppRequest(app=app))
            request = pb.ValidateAudienceRequest(app_id="shop", expression="all()")
            await answered(stub, request)
