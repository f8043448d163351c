"""All of nuncio on this machine: PostgreSQL, migrations, four services, perhaps the simulator."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Iterable, Mapping
from contextlib import AsyncExitStack, ExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Final

import httpx
from grpc_health.v1 import health_pb2, health_pb2_grpc
from pydantic import SecretStr

from nuncio_cli import simulated, state
from nuncio_cli.children import Child, Notice, Program
from nuncio_cli.connect import Addresses
from nuncio_cli.database import keep_database
from nuncio_cli.ending import Ending, ended_by_signals, first_failure
from nuncio_cli.errors import SuiteFailed
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.config import DatabaseSettings, LogSettings
from nuncio_runtime.embedded_postgres import EmbeddedPostgres, embedded_postgres
from nuncio_runtime.embedded_programs import EmbeddedPostgresError
from nuncio_runtime.logging import configure_logging
from nuncio_runtime.migrate import migrate
from nuncio_simulator.client import AdminClient
from nuncio_simulator.process import Description, read_description

SERVICES: Final = Addresses._fields
SIMULATOR: Final = "simulator"
# Who stops first: whoever calls the others. The dispatcher finishes its pages.
STOP_ORDER: Final = (("dispatcher",), ("targeting", "feedback"), ("registry",), (SIMULATOR,))
STOP_SECONDS: Final = 30.0
LOOPBACK: Final = "127.0.0.1"
BETWEEN_LOOKS: Final = 0.05


@dataclass(frozen=True, kw_only=True)
class SuitePlan:
    """What to start."""

    data: Path
    """Where everything is kept: postgres, registry-keys, credentials, simulator, logs, and
    nuncio.json."""
    ports: Mapping[str, int] = field(default_factory=dict)
    """By service; 0, or none: any free one."""
    with_simulator: bool = False
    simulator_ports: Mapping[str, int] = field(default_factory=dict)
    """As `ports`. A simulator that served from the folder before gets its old ports again."""
    seed: int | None = None
    """Decides the simulator's tokens. None: as kept in the folder, or random."""
    settings: Mapping[str, str] = field(default_factory=dict)
    """Environment of the services, beyond this process's own."""
    database_options: Mapping[str, str] = field(default_factory=dict)
    """Settings of the embedded PostgreSQL."""


class Suite:
    """A running suite."""

    def __init__(self, plan: SuitePlan, *, notice: Notice) -> None:
        self._plan = plan
        self._notice = notice
        self._children: dict[str, Child] = {}
        self.addresses = Addresses(**_addresses(plan.ports))
        self.simulator: Description | None = None
        """The simulator's origins and credentials; None without one."""

    @property
    def data(self) -> Path:
        """Where everything is kept."""
        return self._plan.data

    @property
    def pids(self) -> dict[str, int]:
        """The running processes by name."""
        return {name: child.pid for name, child in self._children.items() if child.pid}

    async def answers(self, name: str) -> None:
        """Wait until a service, or the simulator, answers."""
        await self._children[name].answer()

    @asynccontextmanager
    async def running(self, postgres: EmbeddedPostgres, ending: Ending) -> AsyncIterator[None]:
        """Start everything, keep it running, and stop it in order.

        Raises SuiteFailed when something does not start. When it cannot be kept running, the
        block is cancelled and the failure raised.
        """
        with first_failure():
            async with asyncio.TaskGroup() as keeping:
                database = keeping.create_task(keep_database(postgres, self._notice))
                try:
                    await self._start(postgres)
                    for child in self._children.values():
                        keeping.create_task(child.keep_running())
                    yield
                finally:
                    ending.begin()
                    database.cancel()
                    await self._stop()

    def kill(self) -> None:
        """End all processes at once."""
        self._notice("killed")
        for child in self._children.values():
            child.kill()

    async def _start(self, postgres: EmbeddedPostgres) -> None:
        (self.data / "logs").mkdir(exist_ok=True)
        (self.data / "credentials").mkdir(mode=0o700, exist_ok=True)
        dsns = {name: SecretStr(await postgres.dsn_for(name)) for name in SERVICES}
        self._notice("migrating")
        simulator = [self._start_simulator()] if self._plan.with_simulator else []
        await _all_of([_migrate(dsns), *simulator])
        self._notice("starting the services")
        for name, dsn in dsns.items():
            program = self._service(name, dsn.get_secret_value())
            self._add(program, partial(_serving, self.addresses._asdict()[name]))
        await _all_of(self._children[name].start() for name in SERVICES)

    async def _stop(self) -> None:
        for child in self._children.values():
            child.retire()
        for names in STOP_ORDER:
            there = [self._children[name] for name in names if name in self._children]
            await _all_of(child.stop(within=STOP_SECONDS) for child in there)

    async def _start_simulator(self) -> None:
        folder = self.data / SIMULATOR
        ports = _ports(
            simulated.LISTENERS,
            {**self._plan.simulator_ports, **simulated.previous_ports(folder)},
        )
        admin_url = f"http://{LOOPBACK}:{ports['admin']}"
        program = Program(
            name=SIMULATOR,
            arguments=simulated.arguments(folder, ports, self._plan.seed),
            environment=os.environ,
            log_file=self._log_file(SIMULATOR),
        )
        self._add(program, partial(_administered, admin_url))
        await self._children[SIMULATOR].start()
        self.simulator = read_description(folder)
        credentials = self.data / "credentials" / f"{simulated.DEMO_APP}.toml"
        simulated.write_credentials(credentials, self.simulator)

    def _add(self, program: Program, ready: Callable[[], Awaitable[None]]) -> None:
        self._children[program.name] = Child(
            program, ready=ready, spawned=self._write_state, notice=self._notice
        )

    def _service(self, name: str, dsn: str) -> Program:
        return Program(
            name=name,
            arguments=(f"nuncio_{name}", "serve"),
            environment=self._environment(name, dsn),
            log_file=self._log_file(name),
        )

    def _log_file(self, name: str) -> Path:
        return self.data / "logs" / f"{name}.log"

    def _environment(self, name: str, dsn: str) -> dict[str, str]:
        """This process's environment, the plan's settings, and what only the suite knows."""
        prefix = f"NUNCIO_{name.upper()}_"
        ours = {
            f"{prefix}SERVER__LISTEN": self.addresses._asdict()[name],
            f"{prefix}DATABASE__DSN": dsn,
            "NUNCIO_TARGETING_REGISTRY__TARGET": self.addresses.registry,
            "NUNCIO_FEEDBACK_REGISTRY__TARGET": self.addresses.registry,
            "NUNCIO_DISPATCHER_TARGETING__TARGET": self.addresses.targeting,
            "NUNCIO_DISPATCHER_FEEDBACK__TARGET": self.addresses.feedback,
            "NUNCIO_DISPATCHER_CREDENTIALS": str(self.data / "credentials"),
            # The registry makes its keys beside this folder.
            "NUNCIO_REGISTRY_DATABASE__EMBEDDED_FOLDER": str(self.data / "postgres"),
        }
        if self.simulator is not None:
            origin = self.simulator.webpush.origin
            ours["NUNCIO_REGISTRY_WEB_PUSH__ALLOWED_ORIGINS"] = origin
        return {**os.environ, **self._plan.settings, **ours}

    def _write_state(self) -> None:
        admin_url = self.simulator.admin_url if self.simulator else None
        state.write_state(
            self.data, addresses=self.addresses._asdict(), pids=self.pids, admin_url=admin_url
        )


@asynccontextmanager
async def running_suite(plan: SuitePlan, *, notice: Notice) -> AsyncIterator[Suite]:
    """A suite from its start to its orderly end. notice: told each step, and when a process dies.

    SIGINT, SIGTERM and SIGHUP cancel the block, end the suite in good order and are raised as
    Interrupted; a second SIGINT kills its processes. Raises AlreadyRunning when another one runs
    on the folder, and SuiteFailed.
    """
    # What the runtime says here is not for the operator, who sees notices.
    configure_logging(LogSettings(level="warning", format="console"), "nuncio")
    with state.only_suite(plan.data):
        for name in state.stop_leftovers(plan.data):
            notice(f"stopped {name}, left over from a suite that was killed")
        suite = Suite(plan, notice=notice)
        with ended_by_signals(kill=suite.kill) as ending:
            async with AsyncExitStack() as stack:
                notice("starting PostgreSQL")
                postgres = await _database(stack, plan)
                stack.callback(state.remove_state, plan.data)
                await stack.enter_async_context(suite.running(postgres, ending))
                yield suite


async def _database(stack: AsyncExitStack, plan: SuitePlan) -> EmbeddedPostgres:
    opened = embedded_postgres(plan.data / "postgres", options=plan.database_options)
    try:
        return await stack.enter_async_context(opened)
    except EmbeddedPostgresError as error:
        raise SuiteFailed(detail="; ".join(str(error).splitlines())) from error


async def _migrate(dsns: Mapping[str, SecretStr]) -> None:
    for name, dsn in dsns.items():
        await migrate(DatabaseSettings(schema=name, dsn=dsn), f"nuncio_{name}")


async def _all_of(works: Iterable[Coroutine[Any, Any, None]]) -> None:
    """Do all at once; the first failure ends the others and is raised."""
    with first_failure():
        async with asyncio.TaskGroup() as group:
            for work in works:
                group.create_task(work)


async def _serving(address: str) -> None:
    """Wait until the server says that it is SERVING."""
    async with connect(address) as channel:
        health: health_pb2_grpc.HealthStub = health_pb2_grpc.HealthStub(channel)
        while True:
            with suppress(RemoteError):  # It ended meanwhile; whoever waits knows what to do.
                answers = health.Watch(health_pb2.HealthCheckRequest(), wait_for_ready=True)
                async for answer in answers:
                    if answer.status == health_pb2.HealthCheckResponse.SERVING:
                        return
            await asyncio.sleep(BETWEEN_LOOKS)


async def _administered(admin_url: str) -> None:
    """Wait until the simulator's admin interface answers."""
    async with AdminClient(admin_url) as admin:
        while True:
            try:
                await admin.state()
            except httpx.TransportError:
                await asyncio.sleep(BETWEEN_LOOKS)
            else:
                return


def _addresses(ports: Mapping[str, int]) -> dict[str, str]:
    return {name: f"{LOOPBACK}:{port}" for name, port in _ports(SERVICES, ports).items()}


def _ports(names: Iterable[str], wanted: Mapping[str, int]) -> dict[str, int]:
    """The ports that are wanted, free ones for the others. All are held until all are found.

    Raises SuiteFailed when one is taken: whoever has it would answer for the service.
    """
    with ExitStack() as held:
        return {name: _port(held, name, wanted.get(name, 0)) for name in names}


def _port(held: ExitStack, name: str, wanted: int) -> int:
    probe = held.enter_context(socket.socket())
    probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # As servers bind.
    try:
        probe.bind((LOOPBACK, wanted))
    except OSError as error:
        raise SuiteFailed(detail=f"{name}: {LOOPBACK}:{wanted}: {error.strerror}") from error
    port: int = probe.getsockname()[1]
    return port
