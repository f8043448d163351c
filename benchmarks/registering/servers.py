"""The servers that are measured: a registry with its PostgreSQL, and the echo."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import grpc
import psutil
from google.protobuf.message import Message
from pydantic import SecretStr

from benchmarks.outside.nghttpd import free_port
from benchmarks.registering.load import Call
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio.registry.v1.app_pb2 import App
from nuncio.registry.v1.registry_service_pb2 import (
    CreateAppRequest,
    RegisterTokenRequest,
    RegisterTokenResponse,
)
from nuncio_cli.stubs import RegistryStub
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.embedded_postgres import EmbeddedPostgres, embedded_postgres
from nuncio_runtime.migrate import migrate

START_SECONDS: Final = 30.0
STOP_SECONDS: Final = 20.0
CHECKOUT: Final = Path(__file__).parents[2]
_REGISTER: Final = "/nuncio.registry.v1.RegistryService/RegisterToken"
_GRPC_OPTIONS: Final = [("grpc.max_receive_message_length", 64 << 20)]


@dataclass(frozen=True)
class Server:
    """A running server: its stub, its call RegisterToken, and its process."""

    stub: RegistryStub
    register: "Call[RegisterTokenRequest]"
    pid: int


@dataclass(frozen=True)
class Database:
    """A durable PostgreSQL that holds the registry's schema: every commit is on the disk."""

    dsn: str
    admin_dsn: str
    pid: int


@asynccontextmanager
async def durable_database(folder: Path) -> AsyncIterator[Database]:
    """An embedded one, with the settings that it has in production: fsync is on."""
    async with embedded_postgres(folder) as server:
        dsn = await server.dsn_for("registry")
        settings = DatabaseSettings(dsn=SecretStr(dsn), schema="registry")
        await migrate(settings, "nuncio_registry")
        yield Database(dsn, server.admin_dsn("nuncio"), _postmaster(server))


@asynccontextmanager
async def registry_server(database: Database, folder: Path) -> AsyncIterator[Server]:
    """The registry as it is served: one process."""
    port = free_port()
    settings = {
        "NUNCIO_REGISTRY_SERVER__LISTEN": f"127.0.0.1:{port}",
        "NUNCIO_REGISTRY_DATABASE__DSN": database.dsn,
        "NUNCIO_REGISTRY_KEYS__FOLDER": str(folder / "keys"),
        "NUNCIO_REGISTRY_KEYS__CREATE": "true",
    }
    program = ("nuncio_registry", "serve")
    async with _process(*program, settings, port, RegisterTokenResponse) as server:
        yield server


@asynccontextmanager
async def echo_server() -> AsyncIterator[Server]:
    """The echo, in a process of its own."""
    port = free_port()
    program = ("benchmarks.registering.echo", str(port))
    async with _process(*program, {}, port, RegisterTokenRequest) as echo:
        yield echo


async def new_app(registry: Server, app_id: str) -> str:
    """An app without installations."""
    await registry.stub.CreateApp(CreateAppRequest(app=App(app_id=app_id)))
    return app_id


@asynccontextmanager
async def _process(
    module: str, argument: str, settings: Mapping[str, str], port: int, answer: type[Message]
) -> AsyncIterator[Server]:
    """answer: what RegisterToken answers with."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NUNCIO_")}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nuncio_cli.tethered", module, argument),
        cwd=CHECKOUT,
        env={**inherited, **settings},
        stdin=asyncio.subprocess.PIPE,  # It ends with this process at the latest.
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.DEVNULL,
    )
    try:
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}", options=_GRPC_OPTIONS) as channel:
            async with asyncio.timeout(START_SECONDS):
                await channel.channel_ready()
            register = channel.unary_unary(
                _REGISTER,
                request_serializer=RegisterTokenRequest.SerializeToString,
                response_deserializer=answer.FromString,
            )
            yield Server(rpc.RegistryServiceStub(channel), register, process.pid)
    finally:
        process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                await process.wait()
        except TimeoutError:
            process.kill()


def _postmaster(server: EmbeddedPostgres) -> int:
    pid = int((server.folder / "data" / "postmaster.pid").read_text(encoding="utf-8").split()[0])
    assert psutil.pid_exists(pid), "it runs on this machine"
    return pid
