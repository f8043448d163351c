"""The registry on a real socket with a real database, on a clock that tests turn."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1 import provider_pb2, target_pb2
from nuncio.registry.v1 import installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_registry import app
from nuncio_registry.config import KeySettings, Settings, WebPushSettings
from nuncio_registry.domain.coalesce import LONGEST_WAIT
from nuncio_runtime.client import connect
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.config import DatabaseSettings, ServerSettings
from tests.unit.registry.builders import APP, NOW, hex_token, key

ORIGIN = "https://127.0.0.1:8443"


class StandingClock(ManualClock):
    """Stands still until it is moved, but for the milliseconds that rows wait for one another.

    A group commit that waited for the test to move the clock would never come.
    """

    async def sleep(self, seconds: float) -> None:
        if 0 < seconds < 2 * LONGEST_WAIT:
            await asyncio.sleep(seconds)
        else:
            await super().sleep(seconds)


@dataclass
class Registry:
    """A running registry that has the app of the tests. stop: set, it drains."""

    stub: "rpc.RegistryServiceAsyncStub"
    clock: ManualClock
    stop: asyncio.Event

    async def register(
        self, number: int = 1, apns: str = "", **fields: Any
    ) -> pb.RegisterTokenResponse:
        """Register the row with this number."""
        registration = self.row(number, apns, **fields)
        return await self.stub.RegisterToken(
            pb.RegisterTokenRequest(app_id=APP, registration=registration)
        )

    def row(self, number: int = 1, apns: str = "", **fields: Any) -> pb.Registration:
        """A good row: an APNs token on iOS, permission granted; fields replace these."""
        plain: dict[str, Any] = {
            "installation_id": str(key(number)),
            "platform": provider_pb2.PLATFORM_IOS,
            "token": token_pb2.Token(apns=apns or hex_token()),
            "facts": installation_pb2.InstallationFacts(
                permission=installation_pb2.PERMISSION_GRANTED
            ),
        }
        return pb.Registration(**(plain | fields))

    async def installation(self, number: int = 1) -> installation_pb2.Installation:
        """The installation with this number."""
        request = pb.GetInstallationRequest(app_id=APP, installation_id=str(key(number)))
        return (await self.stub.GetInstallation(request)).installation

    async def pages(self, **request: Any) -> list[pb.SelectTargetsResponse]:
        """All pages of a selection."""
        call = self.stub.SelectTargets(pb.SelectTargetsRequest(app_id=APP, **request))
        return [page async for page in call]

    async def selected(self, **request: Any) -> list[int]:
        """The numbers of the installations that a selection gives."""
        return [number for page in await self.pages(**request) for number in numbers(page.page)]


def numbers(page: target_pb2.TargetPage) -> list[int]:
    """The numbers of the installations in a page."""
    ids = page.installation_ids
    return [int.from_bytes(ids[at : at + 16]) for at in range(0, len(ids), 16)]


def timestamp(clock: ManualClock, *, seconds: float = 0) -> Timestamp:
    """So many seconds from the clock's time."""
    time = Timestamp()
    time.FromMicroseconds(round((clock.now().timestamp() + seconds) * 1_000_000))
    return time


@asynccontextmanager
async def running_registry(database: DatabaseSettings, folder: Path) -> AsyncIterator[Registry]:
    """The whole service on a free port. folder: for its keys, made when they are missing."""
    settings = Settings(
        server=ServerSettings.model_validate({"drain_grace": 1}),
        database=database,
        keys=KeySettings(folder=folder, create=True),
        web_push=WebPushSettings(allowed_origins=(ORIGIN,)),
    )
    clock = StandingClock(NOW)
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    async with asyncio.TaskGroup() as group:
        group.create_task(app.run(settings, clock, stop=stop, started=port.set_result))
        async with connect(f"127.0.0.1:{await port}") as channel:
            yield Registry(rpc.RegistryServiceStub(channel), clock, stop)
        stop.set()
