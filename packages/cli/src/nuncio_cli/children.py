"""Child processes: started until they answer, started again when they die, stopped in time."""

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nuncio_cli.errors import SuiteFailed

READY_SECONDS: Final = 60.0
FIRST_WAIT: Final = 0.5
LONGEST_WAIT: Final = 10.0
# One that ran this long before it died starts again without a long wait.
STEADY_SECONDS: Final = 30.0

Notice = Callable[[str], None]


@dataclass(frozen=True, kw_only=True)
class Program:
    """A Python module that runs as a process of its own."""

    name: str
    arguments: tuple[str, ...]
    """Of the Python interpreter: ("-m", "nuncio_registry", "serve")."""
    environment: Mapping[str, str]
    log_file: Path
    """Where its standard output and error go."""

    async def spawn(self) -> asyncio.subprocess.Process:
        """Start it, out of reach of the terminal's Ctrl-C: the suite stops it in its order."""
        with self.log_file.open("ab") as log:
            return await asyncio.create_subprocess_exec(
                sys.executable,
                *self.arguments,
                env=dict(self.environment),
                stdin=asyncio.subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def last_words(self) -> str:
        """The end of its log, for error messages."""
        with suppress(OSError):
            lines = self.log_file.read_text(encoding="utf-8", errors="replace").splitlines()
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
        self._stopping = False

    @property
    def pid(self) -> int | None:
        """The running process, None when there is none."""
        process = self._process
        return process.pid if process is not None and process.returncode is None else None

    async def start(self) -> None:
        """Start it and wait until it answers. Raises SuiteFailed, with the end of its log."""
        process = await self._spawn()
        answers = asyncio.ensure_future(self._ready())
        ended = asyncio.ensure_future(process.wait())
        try:
            await asyncio.wait(
                (answers, ended), timeout=READY_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if not answers.done():
                words = f"{self.program.last_words()} (log: {self.program.log_file})"
                raise SuiteFailed(detail=f"{self.program.name}: {words}")
            await answers
        finally:
            answers.cancel()
            ended.cancel()

    async def answer(self) -> None:
        """Wait until it answers again."""
        async with asyncio.timeout(READY_SECONDS):
            await self._ready()

    async def keep_running(self) -> None:
        """Start it again whenever it dies, until it is stopped."""
        clock = asyncio.get_running_loop().time
        wait = FIRST_WAIT
        while not self._stopping and self._process is not None:
            begun = clock()
            code = await self._process.wait()
            if self._stopping:
                return
            wait = FIRST_WAIT if clock() - begun > STEADY_SECONDS else wait
            self._notice(f"{self.program.name} ended ({code}); starting again in {wait:g} s")
            await asyncio.sleep(wait)
            wait = min(wait * 2, LONGEST_WAIT)
            if not self._stopping:
                await self._spawn()

    async def stop(self, *, within: float) -> None:
        """Ask it to end, and after that many seconds make it."""
        self._stopping = True
        if self._process is None or self._process.returncode is not None:
            return
        self._process.terminate()
        try:
            async with asyncio.timeout(within):
                await self._process.wait()
        except TimeoutError:
            self._notice(f"{self.program.name} does not end within {within:g} s; killed")
            self._process.kill()
            await self._process.wait()

    async def _spawn(self) -> asyncio.subprocess.Process:
        self._process = await self.program.spawn()
        self._spawned()
        return self._process
