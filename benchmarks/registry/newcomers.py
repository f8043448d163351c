"""A client that registers new installations while others read."""

import asyncio
import secrets
from types import TracebackType
from uuid import uuid4

from benchmarks.registry.place import Served
from benchmarks.registry.stock import APP
from nuncio.common.v1.provider_pb2 import PLATFORM_IOS
from nuncio.registry.v1.installation_pb2 import PERMISSION_GRANTED, InstallationFacts
from nuncio.registry.v1.registry_service_pb2 import RegisterTokenRequest, Registration
from nuncio.registry.v1.token_pb2 import Token


class Newcomers:
    """Registers one after the other, from entering to leaving."""

    def __init__(self, registry: Served) -> None:
        self._registry = registry
        self.ids: set[bytes] = set()
        """Those that were sent, registered or about to be."""

    async def __aenter__(self) -> "Newcomers":
        self._task = asyncio.create_task(self._register())
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._task.cancel()
        await asyncio.gather(self._task, return_exceptions=True)

    async def _register(self) -> None:
        while True:
            id_ = uuid4()
            self.ids.add(id_.bytes)
            row = Registration(
                installation_id=str(id_),
                platform=PLATFORM_IOS,
                token=Token(apns=secrets.token_hex(32)),
                facts=InstallationFacts(permission=PERMISSION_GRANTED),
            )
            await self._registry.stub.RegisterToken(
                RegisterTokenRequest(app_id=APP, registration=row)
            )
