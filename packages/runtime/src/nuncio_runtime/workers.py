"""The supervisor of several workers: processes of one service that listen on one port.

It holds the port, so that nobody else gets it while a worker is away, and answers no calls itself.
The kernel gives each new connection to one of the workers (SO_REUSEPORT, socket(7)).
"""

import asyncio
import socket
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from typing import Final

import structlog
from prometheus_client import Counter, Gauge

from nuncio_runtime.config import ServerSettings, split_address
from nuncio_runtime.metrics import REGISTRY, metrics_server
from nuncio_runtime.ports import held_port
from nuncio_runtime.serve import signals_set
from nuncio_runtime.worker import LISTENING, STOP_MARGIN

FIRST_PAUSE: Final = 0.5
LONGEST_PAUSE: Final = 10.0
# One that listened for so long before it died is started again without a long pause.
STEADY_SECONDS: Final = 30.0

WORKERS_LISTENING: Final = Gauge("workers_listening", "Workers that take calls.", registry=REGISTRY)
WORKER_RESTARTS: Final = Counter(
    "worker_restarts", "Workers that ended and were started again.", ("worker",), registry=REGISTRY
)

Spawn = Callable[[int, str, int], Awaitable[asyncio.subprocess.Process]]
"""Starts worker `number` on `listen`, host and port, with a descriptor as its standard input."""

log = structlog.get_logger(__name__)


class Program:
    """How a worker is started: the same program again, with a Python of its own.

    command: what follows `python -m`, without the worker's number. prefix: of the service's
    variables. environment: of the workers, for what the supervisor found out.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        prefix: str,
        metrics_listen: str,
        environment: Mapping[str, str],
    ) -> None:
        self._command = command
        self._prefix = prefix
        self._metrics_listen = metrics_listen
        self._environment = environment

    async def spawn(self, number: int, listen: str, control: int) -> asyncio.subprocess.Process:
        """Start it, out of reach of the terminal's Ctrl-C: the supervisor tells it when to end."""
        ours = {
            f"{self._prefix}SERVER__LISTEN": listen,
            f"{self._prefix}SERVER__METRICS_LISTEN": metrics_of(number, self._metrics_listen),
        }
        return await asyncio.create_subprocess_exec(
            *(sys.executable, "-m", *self._command, "--worker", str(number)),
            env={**self._environment, **ours},
            stdin=control,
            start_new_session=True,
        )


def metrics_of(number: int, listen: str) -> str:
    """Where a worker shows its metrics: so many ports above the supervisor's. Port 0 stays 0."""
    if not listen:
        return ""
    address, _, port = listen.rpartition(":")
    return f"{address}:{int(port) and int(port) + number}"


class Worker:
    """A worker as its supervisor sees it: one process after the other."""

    def __init__(self, number: int, spawn: Spawn, listen: str) -> None:
        self.number = number
        self.listening = asyncio.Event()
        """Set while it takes calls."""
        self._spawn = spawn
        self._listen = listen
        self._process: asyncio.subprocess.Process | None = None
        self._retired = False

    async def live(self) -> int:
        """Start a process and wait for its end; returns its exit code, -n for signal n."""
        ours, theirs = socket.socketpair()
        with ours:
            with theirs:
                process = await self._spawn(self.number, self._listen, theirs.fileno())
            self._process = process
            if self._retired:  # While it was being started.
                self.retire()
            hearing = asyncio.ensure_future(self._hear(ours))
            try:
                return await process.wait()
            finally:
                self.kill()
                hearing.cancel()
                await asyncio.gather(hearing, return_exceptions=True)
                self._ended()

    def retire(self) -> None:
        """Ask it to drain and end."""
        self._retired = True
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.terminate()

    def kill(self) -> None:
        """End it at once."""
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _hear(self, control: socket.socket) -> None:
        """Wait until the process says that it listens."""
        control.setblocking(False)
        if await asyncio.get_running_loop().sock_recv(control, len(LISTENING)):
            self.listening.set()
            WORKERS_LISTENING.inc()

    def _ended(self) -> None:
        if self.listening.is_set():
            self.listening.clear()
            WORKERS_LISTENING.dec()


class Supervisor:
    """Starts workers, keeps them running, and lets them end together."""

    def __init__(self, settings: ServerSettings, listen: str, spawn: Spawn) -> None:
        """listen: host and port, which somebody holds."""
        self._settings = settings
        self._listen = listen
        self._workers = [Worker(n + 1, spawn, listen) for n in range(settings.workers)]
        self._tasks: list[asyncio.Task[None]] = []
        self._stop = asyncio.Event()
        self._started = False
        self._exit_code = 0

    async def run(self) -> int:
        """Until SIGTERM or SIGINT. Returns 0, or the exit code of a worker that did not start."""
        async with AsyncExitStack() as stack:
            stack.enter_context(signals_set(self._stop))
            if self._settings.metrics_listen:
                metrics = metrics_server(self._settings.metrics_listen, healthy=self._any_listens)
                await stack.enter_async_context(metrics)
            async with asyncio.TaskGroup() as group:
                await self._start(group)
                await self._stop.wait()
                await self._end()
        return self._exit_code

    def _any_listens(self) -> bool:
        return any(worker.listening.is_set() for worker in self._workers)

    async def _start(self, group: asyncio.TaskGroup) -> None:
        # The first one alone: what is wrong with the settings is told once.
        for together in (self._workers[:1], self._workers[1:]):
            for worker in together:
                self._tasks.append(group.create_task(self._keep_running(worker)))
            for worker in together:
                await _first_of(worker.listening, self._stop)
        if self._stop.is_set():
            return
        self._started = True
        host, port = split_address(self._listen)
        tls = self._settings.tls_certificate_file is not None
        log.info("server_started", host=host, port=port, tls=tls, workers=len(self._workers))

    async def _keep_running(self, worker: Worker) -> None:
        clock = asyncio.get_running_loop().time
        pause = FIRST_PAUSE
        while not self._stop.is_set():
            begun = clock()
            code = await _life(worker)
            if self._stop.is_set():
                return
            if not self._started:
                log.error("worker_did_not_start", worker=worker.number, exit_code=code)
                self._exit_code = code if code > 0 else 1
                self._stop.set()
                return
            if clock() - begun > STEADY_SECONDS:
                pause = FIRST_PAUSE
            log.error("worker_ended", worker=worker.number, exit_code=code, pause_seconds=pause)
            WORKER_RESTARTS.labels(str(worker.number)).inc()
            await _is_set(self._stop, within=pause)
            pause = min(pause * 2, LONGEST_PAUSE)

    async def _end(self) -> None:
        grace = self._settings.drain_grace.total_seconds()
        log.info("workers_draining", grace_seconds=grace)
        for worker in self._workers:
            worker.retire()
        _, late = await asyncio.wait(self._tasks, timeout=grace + STOP_MARGIN)
        if late:
            log.warning("workers_killed", count=len(late))
        for worker in self._workers:
            worker.kill()
        await asyncio.gather(*self._tasks)
        log.info("workers_stopped")


async def supervise(settings: ServerSettings, program: Program) -> int:
    """Serve with several workers until SIGTERM or SIGINT; returns the exit code.

    A worker that dies is started again, after growing pauses when it does so again and again. One
    that ends before all have listened for the first time ends the whole. Raises ConfigError when
    the port is taken.
    """
    with held_port(settings.listen) as listen:
        return await Supervisor(settings, listen, program.spawn).run()


async def _life(worker: Worker) -> int:
    """Its exit code; 1 when the machine has no room for another process just now."""
    try:
        return await worker.live()
    except OSError as error:
        log.error("worker_not_spawned", worker=worker.number, error=type(error).__name__)
        return 1


async def _first_of(*events: asyncio.Event) -> None:
    waiting = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for each in waiting:
            each.cancel()


async def _is_set(event: asyncio.Event, *, within: float) -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
