"""A registry process of its own, on an embedded PostgreSQL that other benchmarks do not share."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final, NamedTuple

import asyncpg
import grpc
from pydantic import SecretStr

from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_cli.children import Program
from nuncio_registry.domain.sealing import KeyRing
from nuncio_registry.storage.key_files import make_missing_keys, read_key_ring
from nuncio_runtime.client import connect
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.embedded_postgres import embedded_postgres
from nuncio_runtime.migrate import migrate

SCHEMA: Final = "registry"
OPTIONS: Final = {
    "shared_buffers": "1GB",
    "maintenance_work_mem": "256MB",
    "max_wal_size": "4GB",
}
"""Of PostgreSQL; all others, those of durability too, have their defaults."""

START_SECONDS: Final = 60.0
STOP_SECONDS: Final = 30.0


class Place(NamedTuple):
    """A migrated database, and the keys of its tokens."""

    folder: Path
    dsn: str
    keys: KeyRing

    @asynccontextmanager
    async def connection(self) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A connection whose search path is the registry's schema."""
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": SCHEMA})
        try:
            yield connection
        finally:
            await connection.close()


class Served(NamedTuple):
    """A running registry."""

    pid: int
    channel: grpc.aio.Channel
    stub: "rpc.RegistryServiceAsyncStub"


@asynccontextmanager
async def place(folder: Path) -> AsyncIterator[Place]:
    """PostgreSQL in the folder, migrated; what is there stays."""
    make_missing_keys(folder / "keys")
    async with embedded_postgres(folder / "postgres", options=OPTIONS) as server:
        dsn = await server.dsn_for(SCHEMA)
        await migrate(DatabaseSettings(dsn=SecretStr(dsn), schema=SCHEMA), "nuncio_registry")
        yield Place(folder, dsn, read_key_ring(folder / "keys"))


@asynccontextmanager
async def served(
    where: Place, *, settings: Mapping[str, str] | None = None
) -> AsyncIterator[Served]:
    """One process of the registry, from when it answers to its orderly end."""
    address = f"127.0.0.1:{_free_port()}"
    program = Program(
        name="registry",
        arguments=("nuncio_registry", "serve"),
        environment={
            **os.environ,
            "NUNCIO_REGISTRY_SERVER__LISTEN": address,
            "NUNCIO_REGISTRY_DATABASE__DSN": where.dsn,
            "NUNCIO_REGISTRY_KEYS__FOLDER": str(where.folder / "keys"),
            **(settings or {}),
        },
        log_file=where.folder / "registry.log",
    )
    process = await program.spawn()
    try:
        async with connect(address) as channel:
            await asyncio.wait_for(channel.channel_ready(), START_SECONDS)
            yield Served(process.pid, channel, rpc.RegistryServiceStub(channel))
    finally:
        process.terminate()
        await asyncio.wait_for(process.wait(), STOP_SECONDS)


def _free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
    return port
