"""PostgreSQL dies in the middle of the load: what was acknowledged is there afterwards."""

import asyncio
import itertools
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from nuncio.registry.v1 import app_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.embedded_postgres import embedded_postgres
from nuncio_runtime.errors import Kind
from nuncio_runtime.migrate import migrate
from nuncio_runtime.postgres import open_pool
from tests.integration.registry.running import Registry, running_registry
from tests.support.folders import reachable_folder
from tests.unit.registry.builders import APP, hex_token, key

CLIENTS = 32
ENOUGH = 200  # Acknowledged before the server is killed, and again after it is back.


@pytest.fixture
def folder() -> Iterator[Path]:
    """For a server of the test's own, and for the registry's keys."""
    with reachable_folder() as found:
        yield found


class Load:
    """Clients that register new installations all the time, and keep what they were told."""

    def __init__(self, registry: Registry) -> None:
        self._registry = registry
        self._numbers = itertools.count()
        self.acknowledged: dict[int, str] = {}
        self.refused: list[RemoteError] = []
        self.progress = asyncio.Condition()
        self.over = False

    async def client(self) -> None:
        while not self.over:
            number, token = next(self._numbers), hex_token()
            try:
                await self._registry.register(number, token)
            except RemoteError as error:
                self.refused.append(error)
            else:
                self.acknowledged[number] = token
            async with self.progress:
                self.progress.notify_all()

    async def more_acknowledged(self, count: int) -> None:
        """Wait for so many more."""
        goal = len(self.acknowledged) + count
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.acknowledged) >= goal)

    async def some_refused(self) -> None:
        """Wait until a caller has noticed."""
        async with self.progress:
            await self.progress.wait_for(lambda: bool(self.refused))


@pytest.mark.timeout(120)
async def test_what_was_acknowledged_survives_the_death_of_the_database(folder: Path) -> None:
    postgres = folder / "postgres"
    async with embedded_postgres(postgres) as server:
        dsn = SecretStr(await server.dsn_for("registry"))
    database = DatabaseSettings(dsn=dsn, schema="registry", embedded_folder=postgres)
    async with embedded_postgres(postgres):
        await migrate(database, "nuncio_registry")
        async with running_registry(database, folder) as registry:
            await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
            load = Load(registry)
            async with asyncio.TaskGroup() as clients:
                for _ in range(CLIENTS):
                    clients.create_task(load.client())
                await load.more_acknowledged(ENOUGH)
                os.kill(_postmaster(postgres), signal.SIGKILL)
                await load.some_refused()
                async with embedded_postgres(postgres):  # Started again, on what the disk has.
                    await load.more_acknowledged(ENOUGH)
                    load.over = True
        async with open_pool(database) as pool:
            stored = await pool.fetchval(
                "SELECT array_agg(installation_id) FROM installation WHERE token_state = 1"
            )
    assert load.refused
    assert {(error.kind, error.reason) for error in load.refused} == {
        (Kind.UNAVAILABLE, "STORAGE_UNAVAILABLE")
    }
    assert all(error.retry_after for error in load.refused)
    assert {key(number) for number in load.acknowledged} <= set(stored)


def _postmaster(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text(encoding="utf-8").splitlines()[0])
