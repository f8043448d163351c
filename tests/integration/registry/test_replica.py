"""With a replica: what reads it, what never does, and what its absence takes down."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import NamedTuple

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr

from nuncio.registry.v1 import app_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_registry import app
from nuncio_registry.config import KeySettings, ReplicaSettings, Settings
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.config import DatabaseSettings, ServerSettings
from nuncio_runtime.errors import Kind
from tests.integration.registry.running import Registry, running_registry
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP, NOW

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


class WithReplica(NamedTuple):
    """A registry, and its channel."""

    registry: Registry
    channel: grpc.aio.Channel

    async def health(self, service: str) -> int:
        """The state that health tells."""
        request = health_pb2.HealthCheckRequest(service=service)
        return int((await health_pb2_grpc.HealthStub(self.channel).Check(request)).status)


@asynccontextmanager
async def with_replica(
    database: DatabaseSettings, replica: SecretStr, folder: Path
) -> AsyncIterator[WithReplica]:
    settings = Settings(
        server=ServerSettings.model_validate({"drain_grace": 1}),
        database=database,
        replica=ReplicaSettings(dsn=replica),
        keys=KeySettings(folder=folder, create=True),
    )
    clock = ManualClock(NOW)
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(app.run(settings, clock, stop=stop, started=port.set_result))
        async with connect(f"127.0.0.1:{await port}") as channel:
            yield WithReplica(Registry(rpc.RegistryServiceStub(channel), clock, stop), channel)
        stop.set()


@pytest.fixture
async def databases() -> AsyncIterator[tuple[DatabaseSettings, DatabaseSettings]]:
    """Two that know nothing of each other, so that each answer tells where it came from."""
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        fresh_database("nuncio_registry", "registry") as replica,
    ):
        yield database, replica


async def test_scans_read_the_replica_and_targets_the_database(
    databases: tuple[DatabaseSettings, DatabaseSettings], tmp_path: Path
) -> None:
    database, replica = databases
    assert replica.dsn is not None
    create = pb.CreateAppRequest(app=app_pb2.App(app_id=APP))
    async with running_registry(replica, tmp_path) as lagging:
        await lagging.stub.CreateApp(create)
        for number in (7, 8, 9):
            await lagging.register(number)
    async with with_replica(database, replica.dsn, tmp_path) as (registry, channel):
        await registry.stub.CreateApp(create)
        await registry.register(1)
        counted = await registry.stub.CountTargets(pb.CountTargetsRequest(app_id=APP))
        assert counted.matched == 3
        listed = await registry.stub.ListInstallations(pb.ListInstallationsRequest(app_id=APP))
        assert len(listed.installations) == 3
        assert await registry.selected() == [1]
        asking = WithReplica(registry, channel)
        assert await asking.health("dependency/replica") == SERVING


async def test_without_its_replica_the_registry_serves_on_and_says_so(tmp_path: Path) -> None:
    nowhere = SecretStr(f"postgresql://nuncio_registry@/nuncio?host={tmp_path}&port=5432")
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        with_replica(database, nowhere, tmp_path) as (registry, channel),
    ):
        await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
        await registry.register(1)
        assert await registry.selected() == [1]
        with pytest.raises(RemoteError) as caught:
            await registry.stub.CountTargets(pb.CountTargetsRequest(app_id=APP))
        assert caught.value.kind is Kind.UNAVAILABLE
        assert caught.value.reason == "STORAGE_UNAVAILABLE"
        asking = WithReplica(registry, channel)
        assert await asking.health("dependency/replica") == NOT_SERVING
        assert await asking.health("dependency/postgres") == SERVING
        assert await asking.health("") == SERVING
