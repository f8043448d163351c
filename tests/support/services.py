"""The services as they run in production: one process each, real sockets, real databases.

    async with (
        fresh_database("nuncio_registry", "registry") as database,
        running_service(
            "registry", database=database, KEYS__FOLDER=str(tmp_path), KEYS__CREATE="true"
        ) as registry,
        fresh_database("nuncio_targeting", "targeting") as database,
        running_service("targeting", database=database, REGISTRY__TARGET=registry) as targeting,
    ):
        ...  # registry and targeting are host:port

The further keywords are settings without the service's prefix.
"""

import asyncio
import json
import os
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

from nuncio_runtime.config import DatabaseSettings

START_SECONDS = 60.0  # Most of it is the work of others, on a busy machine.
STOP_SECONDS = 20.0
LOG_LINE_BYTES = 1 << 20


@asynccontextmanager
async def running_service(
    name: str, *, database: DatabaseSettings, **settings: str
) -> AsyncIterator[str]:
    """The address of a service that runs while inside, such as "registry"."""
    async with service_process(name, database=database, **settings) as service:
        yield service.target


@asynccontextmanager
async def service_process(
    name: str, *, database: DatabaseSettings, **settings: str
) -> AsyncIterator["ServiceProcess"]:
    """Like `running_service`, for tests that read the log, or stop the process themselves.

    SERVER__LISTEN with the address of a service that was stopped starts it again at that address.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", f"nuncio_{name}", "serve"),
        env=_environment(name, database, settings),
        stderr=PIPE,
        limit=LOG_LINE_BYTES,
    )
    service = ServiceProcess(process)
    reading = asyncio.create_task(service.read_log())
    try:
        with suppress(TimeoutError):
            async with asyncio.timeout(START_SECONDS):
                await service.started.wait()
        if not service.target:
            raise ServiceNotStarted(name, service.log)
        yield service
    finally:
        await service.stop()
        await reading


class ServiceNotStarted(Exception):
    """The service ended before it listened, or took too long."""

    def __init__(self, name: str, log: list[str]) -> None:
        super().__init__(name, *log[-20:])


@dataclass
class ServiceProcess:
    """A running service.

    target: its address, as host:port. log: the lines that it has written so far.
    """

    process: Process
    target: str = ""
    log: list[str] = field(default_factory=list)
    started: asyncio.Event = field(default_factory=asyncio.Event)
    news: asyncio.Condition = field(default_factory=asyncio.Condition)

    def events(self, name: str) -> list[dict[str, Any]]:
        """The lines so far of one event."""
        lines = (_event(line.encode()) for line in self.log)
        return [line for line in lines if line.get("event") == name]

    async def logged(self, name: str, *, times: int = 1) -> list[dict[str, Any]]:
        """Wait for so many lines of one event."""
        async with self.news:
            await self.news.wait_for(lambda: len(self.events(name)) >= times)
        return self.events(name)

    async def stop(self) -> int:
        """Let it drain and end; returns its exit code. One that does not end is killed."""
        if self.process.returncode is None:
            self.process.terminate()
        try:
            async with asyncio.timeout(STOP_SECONDS):
                return await self.process.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """End it like a crash would: kill -9."""
        if self.process.returncode is None:
            self.process.kill()
        return await self.process.wait()

    async def read_log(self) -> None:
        """Collect what it writes, and learn its address, until it ends."""
        assert self.process.stderr is not None
        async for line in self.process.stderr:
            self.log.append(line.decode().rstrip())
            event = _event(line)
            if event.get("event") == "server_started":
                self.target = f"{event['host']}:{event['port']}"
                self.started.set()
            async with self.news:
                self.news.notify_all()
        self.started.set()


def _environment(name: str, database: DatabaseSettings, settings: dict[str, str]) -> dict[str, str]:
    prefix = f"NUNCIO_{name.upper()}_"
    dsn = database.dsn.get_secret_value() if database.dsn else ""
    ours = {
        "SERVER__LISTEN": "127.0.0.1:0",
        "DATABASE__DSN": dsn,
        "DATABASE__EMBEDDED_FOLDER": str(database.embedded_folder),
        **settings,
    }
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("NUNCIO_")}
    return inherited | {prefix + key: value for key, value in ours.items()}


def _event(line: bytes) -> dict[str, Any]:
    """The fields of a log line; none for what a library writes past the log."""
    try:
        fields = json.loads(line)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}
