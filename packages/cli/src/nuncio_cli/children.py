"""Child processes: started until they answer, started again when they die, stopped in time."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nuncio_cli.ending import first_failure
from nuncio_cli.errors import SuiteFailed
from nuncio_cli.quiet import is_silence

READY_SECONDS: Final = 60.0
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 10.0
# One that ran this long before it died starts again without a long wait.
STEADY_SECONDS: Final = 30.0
# As much of a log as is read for its last line.
LAST_BYTES: Final = 4_096

Notice = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Python module that runs as a process of its own, and never outlives this one."""

    name: str
    arguments: tuple[str, ...]
    """Of `python -m`: ("nuncio_registry", "serve")."""
    environment: Mapping[str, str]
    log_file: Path
    """Where its standard output and error go."""

    async def spawn(self) -> asyncio.subprocess.Process:
        """Start it, out of reach of the terminal's Ctrl-C: the suite stops it in its order."""
        with self.log_file.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "nuncio_cli.tethered", *self.arguments),
                env={k: v for k, v in self.environment.items() if not is_silence(k, v)},
                stdin=asyncio.subprocess.PIPE,  # Held open until it ends, or this process does.
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def last_words(self) -> str:
        """The end of its log, for error messages."""
        with suppress(OSError), self.log_file.open("rb") as log:
            log.seek(max(0, log.seek(0, os.SEEK_END) - LAST_BYTES))
            lines = log.read().decode(errors="replace").splitlines()
            return lines[-1] if lines else "it left no log"
        return "it left no log"


class Child:
    """A program that is kept running."""

    def __init__(
        self,
        program: Program,
        *,
        ready: Callable[[], Awaitable[None]],
        spawned: Callable[[], None],
        notice: Notice,
    ) -> None:
        """ready: returns when the program answers. spawned: told of each new process."""
        self.program = program
        self._ready = ready
        self._spawned = spawned
        self._notice = notice
        self._process: asyncio.subprocess.Process | None = None
        self._spawning = asyncio.Lock()
        self._stopping = asyncio.Event()

    @property
    def pid(self) -> int | None:
        """The running process, None when there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start it and wait until it answers. Raises SuiteFailed, with the end of its log."""
        process = await self._spawn()
        try:
            with first_failure():
                async with asyncio.timeout(READY_SECONDS), asyncio.TaskGroup() as group:
                    living = group.create_task(self._live(process))
                    await self._ready()
                    living.cancel()
        except TimeoutError as error:
            raise self._failure() from error

    async def answer(self) -> None:
        """Wait until it answers again."""
        async with asyncio.timeout(READY_SECONDS):
            await self._ready()

    async def keep_running(self) -> None:
        """Start it again whenever it dies, until it is stopped. It has been started."""
        clock = asyncio.get_running_loop().time
        process, wait = self._process, FIRST_WAIT
        while process is not None:
            begun = clock()
            code = await process.wait()
            if self._stopping.is_set():
                return
            wait = FIRST_WAIT if clock() - begun > STEADY_SECONDS else wait
            self._notice(f"{self.program.name} ended ({code}); starting again in {wait:g} s")
            if await _is_set(self._stopping, within=wait):
                return
            wait = min(wait * 2, LONGEST_WAIT)
            process = await self._spawn()

    async def stop(self, *, within: float) -> None:
        """Ask it to end, and after that many seconds make it."""
        self.retire()
        async with self._spawning:  # One that is just being started is stopped too.
            process = self._process
        if process is None or process.returncode is not None:
            return
        with suppress(ProcessLookupError):
            process.terminate()
        try:
            async with asyncio.timeout(within):
                await process.wait()
        except TimeoutError:
            self._notice(f"{self.program.name} does not end within {within:g} s; killed")
            self.kill()
            await process.wait()

    def retire(self) -> None:
        """Do not start it again."""
        self._stopping.set()

    def kill(self) -> None:
        """End it at once."""
        self.retire()
        if self._process is not None and self._process.returncode is None:
            with suppress(ProcessLookupError):
                self._process.kill()

    async def _spawn(self) -> asyncio.subprocess.Process:
        async with self._spawning:
            process = self._process = await self.program.spawn()
            self._spawned()
        return process

    async def _live(self, process: asyncio.subprocess.Process) -> None:
        """Raise SuiteFailed when it ends."""
        await process.wait()
        raise self._failure()

    def _failure(self) -> SuiteFailed:
        words = f"{self.program.last_words()} (log: {self.program.log_file})"
        return SuiteFailed(detail=f"{self.program.name}: {words}")


async def _is_set(event: asyncio.Event, *, within: float) -> bool:
    with suppress(TimeoutError):
        async with asyncio.timeout(within):
            await event.wait()
    return event.is_set()
