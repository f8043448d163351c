"""A PostgreSQL that is killed under a running dispatch costs time, and nothing else."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from nuncio_dispatcher.domain.dispatch import DeliveryPolicy
from nuncio_dispatcher.domain.model import Verdict
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.embedded_postgres import embedded_postgres
from nuncio_runtime.migrate import migrate
from nuncio_runtime.postgres import open_pool
from tests.integration.dispatcher.replica import Replica, totals
from tests.integration.dispatcher.scripted import ScriptedLanes, ScriptedTargeting
from tests.support.folders import reachable_folder

# Making a cluster takes a second, and more on a busy machine.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def folder() -> Iterator[Path]:
    """The folder of a server of its own."""
    with reachable_folder() as parent:
        yield parent / "postgres"


async def test_answers_that_came_while_the_storage_was_dead_are_not_lost(folder: Path) -> None:
    async with embedded_postgres(folder, options={"fsync": "off"}) as server:
        dsn = SecretStr(await server.dsn_for("dispatcher"))
        settings = DatabaseSettings(dsn=dsn, schema="dispatcher", embedded_folder=folder)
        await migrate(settings, "nuncio_dispatcher")
        killed = asyncio.Event()

        def kill(number: int, _: int) -> Verdict:
            if number == 100:
                os.kill(server_pid(folder), signal.SIGKILL)
                killed.set()
            return Verdict.ACCEPTED

        async with open_pool(settings) as pool:
            replica = Replica(pool, ScriptedTargeting(200), ScriptedLanes(verdict=kill))
            dispatch_id = await replica.add(delivery=DeliveryPolicy.AT_MOST_ONCE, shards=2)
            async with replica.running():
                await killed.wait()
                async with embedded_postgres(folder):  # Recovers, for longer than a lease lasts.
                    dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 200, "ACCEPTED": 200}
    assert {len(ids) for ids in replica.lanes.ids.values()} == {1}


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().split("\n")[0])
