"""A PostgreSQL of one's own, for development, demo and tests; its programs come from a wheel.

One folder holds everything. All processes that name the folder share one server: the first one
starts it, the last one stops it. The kernel keeps the score, by locks that end with their
holders, so that no crash leaves a wrong count. These files in the folder are locked:

    lock    by whoever decides: is a server running, am I the last
    users   shared, by each user of the server
    alive   shared, by the same; the guard waits for it, and gets it when all users are gone
    server  by the guard, and by each process of the server
"""

import asyncio
import os
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path
from typing import IO, Final
from urllib.parse import quote

import asyncpg

from nuncio_runtime.embedded_programs import (
    ENVIRONMENT,
    EmbeddedPostgresError,
    Programs,
    ServerUser,
    check_way_to,
)
from nuncio_runtime.locks import locked, share, try_lock

START_SECONDS: Final = 300.0  # Recovery after a crash may replay much.
STOP_SECONDS: Final = 60.0
POLL_SECONDS: Final = 0.02
DATABASE: Final = "nuncio"
PORT: Final = 5432  # Of the socket's name; nothing listens on the network.

# A socket's path has room for 108 bytes on Linux, 104 on macOS.
_LONGEST_SOCKET_PATH: Final = 100
_NAME: Final = re.compile(r"[a-z][a-z0-9_]{0,40}")
_ROLES_KEY: Final = 7_305_004  # Of the advisory lock under which roles and databases are made.

_OPTIONS: Final = {
    "listen_addresses": "",
    "unix_socket_permissions": "0700",
    "max_connections": "200",
    # Rows and statements stay out of the server's log.
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


class EmbeddedPostgres:
    """A running server that this process holds on to."""

    def __init__(
        self, folder: Path, socket_folder: Path, options: Mapping[str, str] | None = None
    ) -> None:
        """options: those that it is started again with."""
        self.folder = folder
        self._socket_folder = socket_folder
        self._options = options or {}

    @property
    def is_gone(self) -> bool:
        """Whether the server has ended, though it is held: it crashed, or was killed."""
        return _Use(self.folder, self._options).is_gone()

    async def start_again(self) -> None:
        """Start a server that is gone, at the same address. Raises EmbeddedPostgresError."""
        await _finished(_Use(self.folder, self._options).begin_again)

    def admin_dsn(self, database: str = "postgres") -> str:
        """The DSN of the superuser."""
        return self.dsn("postgres", database)

    async def dsn_for(self, name: str) -> str:
        """The DSN of role `nuncio_<name>`, which owns schema `<name>` in database `nuncio`.

        Makes what is missing of the three. Raises ValueError when the name is no plain
        lower-case identifier.
        """
        if not _NAME.fullmatch(name):
            raise ValueError("a name is a lower-case letter, then letters, digits and underscores")
        role = f"nuncio_{name}"
        async with self._alone_in("postgres") as connection:
            if not await connection.fetchval("SELECT to_regrole($1) IS NOT NULL", role):
                await connection.execute(f"CREATE ROLE {role} LOGIN")
            exists = "SELECT EXISTS (SELECT FROM pg_database WHERE datname = $1)"
            if not await connection.fetchval(exists, DATABASE):
                await connection.execute(f"CREATE DATABASE {DATABASE}")
        async with self._alone_in(DATABASE) as connection:
            await connection.execute(f"CREATE SCHEMA IF NOT EXISTS {name} AUTHORIZATION {role}")
        return self.dsn(role, DATABASE)

    @asynccontextmanager
    async def _alone_in(self, database: str) -> AsyncIterator["asyncpg.Connection[asyncpg.Record]"]:
        """A superuser's connection; one at a time, since IF NOT EXISTS is no help in a race."""
        connection = await asyncpg.connect(self.admin_dsn(database))
        try:
            await connection.execute("SELECT pg_advisory_lock($1)", _ROLES_KEY)
            yield connection
        finally:
            await connection.close()

    def dsn(self, role: str, database: str) -> str:
        """The DSN of any role and database; nobody needs a password on the socket."""
        host = quote(str(self._socket_folder), safe="")
        return f"postgresql://{role}@/{database}?host={host}&port={PORT}"


@asynccontextmanager
async def embedded_postgres(
    folder: Path, *, options: Mapping[str, str] | None = None
) -> AsyncIterator[EmbeddedPostgres]:
    """Use the server that keeps its data in `folder`, starting it unless it runs already.

    The folder is made when missing; a second start finds the data of the first. As root the
    server runs as the system's user `postgres`, or `nobody`. options: server settings such as
    fsync=off, for the start only: a server that runs keeps the settings it was started with.

    Raises EmbeddedPostgresError, which says what to do, when there can be no server.
    """
    use = _Use(folder, options or {})
    try:
        await _finished(use.begin)
        yield use.server
    finally:
        await _finished(use.end)


@contextmanager
def held_postgres(
    folder: Path, *, options: Mapping[str, str] | None = None
) -> Iterator[EmbeddedPostgres]:
    """The same for those who have no event loop while they hold the server. Blocks."""
    use = _Use(folder, options or {})
    try:
        use.begin()
        yield use.server
    finally:
        use.end()


async def _finished(step: Callable[[], None]) -> None:
    """Run the step in a thread and wait for its end, even when cancelled in the meantime."""
    thread = asyncio.ensure_future(asyncio.to_thread(step))
    try:
        await asyncio.shield(thread)
    except asyncio.CancelledError:
        await thread
        raise


class _Use:
    """One use of a cluster, from `begin` to `end`. Both block."""

    def __init__(self, folder: Path, options: Mapping[str, str]) -> None:
        self.folder = folder.absolute()
        self._data = self.folder / "data"
        self._options = options
        self._users: IO[bytes] | None = None
        self._alive: IO[bytes] | None = None

    @property
    def server(self) -> EmbeddedPostgres:
        return EmbeddedPostgres(self.folder, self.socket_folder, self._options)

    @property
    def socket_folder(self) -> Path:
        """The data folder, or, when that makes too long a path, a short one noted beside it."""
        note = self.folder / "socket"
        return Path(note.read_text(encoding="utf-8")) if note.exists() else self._data

    def begin(self) -> None:
        with self._file_faults():
            self.folder.mkdir(parents=True, exist_ok=True)
            with locked(self.folder / "lock"):
                self._users = share(self.folder / "users")
                self._alive = share(self.folder / "alive")
                self._ensure_running()

    def begin_again(self) -> None:
        with self._file_faults(), locked(self.folder / "lock"):
            self._ensure_running()

    @contextmanager
    def _file_faults(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            message = f"{error.filename or self.folder}: {error.strerror}"
            raise EmbeddedPostgresError(message) from error

    def is_gone(self) -> bool:
        with (self.folder / "server").open("ab") as server:
            return try_lock(server)

    def end(self) -> None:
        if self._users is None or self._alive is None:
            return
        with locked(self.folder / "lock"), self._users, self._alive:
            if try_lock(self._users):
                self._stop()

    def _ensure_running(self) -> None:
        programs = Programs.found(self.folder)
        until = time.monotonic() + START_SECONDS
        started = False
        while time.monotonic() < until:
            with (self.folder / "server").open("ab") as server:
                if not try_lock(server):
                    if programs.answers(self.socket_folder):
                        return
                elif started:
                    message = f"PostgreSQL did not start: {self._last_words()}"
                    raise EmbeddedPostgresError(message)
                else:
                    self._start(programs, server)
                    started = True
            time.sleep(POLL_SECONDS)
        message = f"{self.folder}: PostgreSQL is not ready after {START_SECONDS:.0f} seconds"
        raise EmbeddedPostgresError(message)

    def _start(self, programs: Programs, lock: IO[bytes]) -> None:
        """Start the guard, which starts the server. They inherit the lock, and keep it."""
        check_way_to(self.folder, programs.user)
        if not self._data.exists():
            programs.make_cluster(self._data, synced=self._options.get("fsync") != "off")
        self._clear_traces(programs)
        options = {**_OPTIONS, **self._options}
        options["unix_socket_directories"] = str(self._make_socket_folder(programs.user))
        command = [str(programs.path("postgres")), "-D", str(self._data), "-p", str(PORT)]
        for name, value in options.items():
            command += ["-c", f"{name}={value}"]
        user = programs.user
        guard = [sys.executable, "-m", "nuncio_runtime.embedded_guard", str(self.folder)]
        guard += [str(lock.fileno()), str(user.uid), str(user.gid)]
        with (self.folder / "log").open("ab") as log:
            subprocess.run(  # noqa: S603 - our own command line
                [*guard, *command],
                check=True,
                cwd="/",
                env=ENVIRONMENT,
                pass_fds=(lock.fileno(),),
                start_new_session=True,
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
            )

    def _clear_traces(self, programs: Programs) -> None:
        """Remove what a killed server left. It names a process that may be another one by now.

        No process of the server is left, or the lock would be held; one that was started by
        other means would answer.
        """
        if programs.answers(self.socket_folder):
            message = f"{self.folder}: a PostgreSQL that was started by other means runs there"
            raise EmbeddedPostgresError(message)
        (self._data / "postmaster.pid").unlink(missing_ok=True)
        for name in (f".s.PGSQL.{PORT}", f".s.PGSQL.{PORT}.lock"):
            (self.socket_folder / name).unlink(missing_ok=True)

    def _make_socket_folder(self, user: ServerUser) -> Path:
        if len(os.fsencode(self._data / f".s.PGSQL.{PORT}")) <= _LONGEST_SOCKET_PATH:
            return self._data
        if not self.socket_folder.is_dir() or self.socket_folder == self._data:
            short = Path(tempfile.mkdtemp(prefix="nuncio-"))
            user.own(short)
            (self.folder / "socket").write_text(str(short), encoding="utf-8")
        return self.socket_folder

    def _stop(self) -> None:
        """Stop the server, fast; immediately when that takes too long."""
        for number in (signal.SIGINT, signal.SIGQUIT):
            with suppress(ProcessLookupError, FileNotFoundError, ValueError):
                pid = (self._data / "postmaster.pid").read_text(encoding="utf-8").split("\n")[0]
                os.kill(int(pid), number)
            if self._ends(within=STOP_SECONDS):
                return

    def _ends(self, *, within: float) -> bool:
        until = time.monotonic() + within
        while time.monotonic() < until:
            if self.is_gone():
                return True
            time.sleep(POLL_SECONDS)
        return False

    def _last_words(self) -> str:
        with suppress(OSError):
            lines = (self.folder / "log").read_text(encoding="utf-8", errors="replace").splitlines()
            return " | ".join(lines[-5:])
        return "it left no log"
