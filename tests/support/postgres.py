"""Databases for tests: real, empty or migrated, one for each test that asks.

One embedded PostgreSQL serves a whole test run, all its workers included. It starts when the
first test asks for a database, and goes, with its folder, when the run ends. A pytest plugin:
`pytest_plugins = ["tests.support.postgres"]`.
"""

import asyncio
import os
import secrets
import shutil
import tempfile
import threading
import time
from collections.abc import AsyncIterator
from contextlib import ExitStack, asynccontextmanager
from pathlib import Path
from typing import Final, TypeAlias

import asyncpg
import psutil
import pytest
from pydantic import SecretStr

from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.embedded_postgres import EmbeddedPostgres, held_postgres
from nuncio_runtime.locks import try_lock
from nuncio_runtime.migrate import migrate
from tests.support.folders import in_memory

# How the processes of one test run (the workers inherit it) agree on a folder.
FOLDER_VARIABLE = "NUNCIO_TEST_POSTGRES"

GONE_SECONDS: Final = 130.0  # What EmbeddedPostgres takes for a stop, at most.
_PREFIX: Final = "nuncio-tests-"

# A crash of the machine loses the data of a test, which is no loss. No database lives long enough
# for autovacuum to be of use, and its transactions would hold up the change feeds of the tests.
OPTIONS = {
    "fsync": "off",
    "synchronous_commit": "off",
    "full_page_writes": "off",
    "wal_level": "minimal",
    "max_wal_senders": "0",
    "autovacuum": "off",
}

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"


_MAKING_KEY = 7_305_005  # Of the advisory lock under which roles and templates are made.


@asynccontextmanager
async def fresh_database(package: str, schema: str) -> AsyncIterator[DatabaseSettings]:
    """A database with all migrations of the service applied, gone afterwards.

    package: the service's, as in `nuncio_registry`. The settings carry the DSN of the role that
    owns the schema. Cloned from a template that is migrated once in a test run.
    """
    server = await asyncio.to_thread(_SERVER.running)
    template = await _template(server, package, schema)
    async with _cloned(server, template) as database:
        yield _settings(server, database, schema)


@asynccontextmanager
async def empty_database(schema: str) -> AsyncIterator[DatabaseSettings]:
    """A database that has the schema and the role that owns it, and nothing else."""
    server = await asyncio.to_thread(_SERVER.running)
    async with _cloned(server, "template1") as database:
        async with _alone(server) as admin:
            await _make_schema(admin, server.admin_dsn(database), schema)
        yield _settings(server, database, schema)


class _Server:
    """The embedded server as this process holds it: started at first use."""

    def __init__(self) -> None:
        self._held = ExitStack()
        self._starting = threading.Lock()
        self._server: EmbeddedPostgres | None = None

    def running(self) -> EmbeddedPostgres:
        with self._starting:
            if self._server is None:
                folder = Path(os.environ[FOLDER_VARIABLE]) / "postgres"
                self._server = self._held.enter_context(held_postgres(folder, options=OPTIONS))
            return self._server

    def release(self) -> None:
        self._held.close()
        self._server = None


_SERVER = _Server()


def pytest_configure() -> None:
    """The first process of the run makes the folder that all of them use."""
    if FOLDER_VARIABLE not in os.environ:
        _clear_traces()
        name = f"{_PREFIX}{os.getpid()}-"
        folder = Path(tempfile.mkdtemp(prefix=name, dir=in_memory()))
        folder.chmod(0o711)  # As root, the server runs as another user.
        os.environ[FOLDER_VARIABLE] = str(folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """Let the server go; the process that is no worker removes the folder."""
    _SERVER.release()
    if hasattr(config, "workerinput"):
        return
    folder = Path(os.environ.pop(FOLDER_VARIABLE))
    if (folder / "postgres").exists():
        _await_end(folder / "postgres")
    shutil.rmtree(folder)


def _await_end(folder: Path) -> None:
    """A worker may have gone a moment ago, and its server may still be about to."""
    until = time.monotonic() + GONE_SECONDS
    with (folder / "server").open("ab") as server:
        while not try_lock(server):
            if time.monotonic() > until:
                message = f"{folder}: PostgreSQL outlives the tests by {GONE_SECONDS:.0f} s"
                raise TimeoutError(message)
            time.sleep(0.05)


def _clear_traces() -> None:
    """Remove the folders of runs that were killed; memory is too good for them."""
    for folder in (in_memory() or Path(tempfile.gettempdir())).glob(f"{_PREFIX}*"):
        pid = folder.name.removeprefix(_PREFIX).partition("-")[0]
        if pid.isdecimal() and not psutil.pid_exists(int(pid)):
            shutil.rmtree(folder, ignore_errors=True)


@asynccontextmanager
async def _cloned(server: EmbeddedPostgres, template: str) -> AsyncIterator[str]:
    database = f"test_{secrets.token_hex(6)}"
    async with _connected(server.admin_dsn()) as admin:
        # Copied as files, not page by page through the log: half the time.
        copied = f"CREATE DATABASE {database} TEMPLATE {template} STRATEGY FILE_COPY"
        await admin.execute(copied)
    try:
        yield database
    finally:
        async with _connected(server.admin_dsn()) as admin:
            await admin.execute(f"DROP DATABASE {database} WITH (FORCE)")


async def _template(server: EmbeddedPostgres, package: str, schema: str) -> str:
    template = f"template_{package.replace('.', '_')}_{schema}"
    async with _alone(server) as admin:
        finished = "SELECT datistemplate FROM pg_database WHERE datname = $1"
        if not await admin.fetchval(finished, template):
            await admin.execute(f"DROP DATABASE IF EXISTS {template}")
            await admin.execute(f"CREATE DATABASE {template}")
            await _make_schema(admin, server.admin_dsn(template), schema)
            await migrate(_settings(server, template, schema), package)
            await admin.execute(f"ALTER DATABASE {template} IS_TEMPLATE true")
    return template


async def _make_schema(admin: Connection, dsn: str, schema: str) -> None:
    role = f"nuncio_{schema}"
    if not await admin.fetchval("SELECT to_regrole($1) IS NOT NULL", role):
        await admin.execute(f"CREATE ROLE {role} LOGIN")
    async with _connected(dsn) as connection:
        await connection.execute(f"CREATE SCHEMA {schema} AUTHORIZATION {role}")


@asynccontextmanager
async def _alone(server: EmbeddedPostgres) -> AsyncIterator[Connection]:
    """A connection of the superuser, while no other process of the run makes roles or templates."""
    async with _connected(server.admin_dsn()) as admin:
        await admin.execute("SELECT pg_advisory_lock($1)", _MAKING_KEY)
        yield admin


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[Connection]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


def _settings(server: EmbeddedPostgres, database: str, schema: str) -> DatabaseSettings:
    dsn = SecretStr(server.dsn(f"nuncio_{schema}", database))
    return DatabaseSettings(dsn=dsn, schema=schema, pool_min=0, embedded_folder=server.folder)
