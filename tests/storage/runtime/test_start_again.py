"""An embedded PostgreSQL that was killed while it was held is started again."""

import asyncio
import os
import signal
from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest

from nuncio_runtime.embedded_postgres import EmbeddedPostgres, embedded_postgres
from nuncio_runtime.locks import locked
from tests.support.folders import reachable_folder

# Making a cluster takes a second, and more on a busy machine.
pytestmark = pytest.mark.timeout(60)


@pytest.fixture
def folder() -> Iterator[Path]:
    with reachable_folder() as parent:
        yield parent / "postgres"


async def asked(server: EmbeddedPostgres, statement: str) -> object:
    connection = await asyncpg.connect(server.admin_dsn())
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def killed(folder: Path) -> None:
    """Kill the server, and wait for the lock that its last process lets go of."""

    def wait() -> None:
        with locked(folder / "server"):
            pass

    pid = (folder / "data" / "postmaster.pid").read_text().partition("\n")[0]
    os.kill(int(pid), signal.SIGKILL)
    await asyncio.to_thread(wait)


async def test_a_server_that_was_killed_is_started_again_at_its_address(folder: Path) -> None:
    async with embedded_postgres(folder, options={"max_connections": "17"}) as server:
        await asked(server, "CREATE TABLE spared AS SELECT 7 AS n")
        assert not server.is_gone
        await killed(folder)
        assert server.is_gone
        await server.start_again()
        assert not server.is_gone
        assert await asked(server, "SELECT n FROM spared") == 7
        assert await asked(server, "SHOW max_connections") == "17"
        async with embedded_postgres(folder):
            await server.start_again()  # One that runs is left alone.
        assert await asked(server, "SELECT n FROM spared") == 7
    assert server.is_gone  # The last user has stopped it.
