"""The embedded PostgreSQL: shared by its users, gone with the last one, whatever kills whom."""

import asyncio
import os
import shutil
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import asyncpg
import pytest

from nuncio_runtime.embedded_postgres import EmbeddedPostgres, embedded_postgres
from nuncio_runtime.embedded_programs import EmbeddedPostgresError
from nuncio_runtime.locks import locked, try_lock
from tests.support.folders import reachable_folder

# Making a cluster takes a second, and more on a busy machine.
pytestmark = pytest.mark.timeout(60)

FAST = {"fsync": "off"}


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """The folder of one cluster; each test starts and stops its server, or worse."""
    with reachable_folder() as parent:
        yield parent / "postgres"


@pytest.fixture
def unused_folder() -> Iterator[Path]:
    """A folder without a cluster."""
    with reachable_folder() as parent:
        yield parent / "postgres"


@pytest.fixture
def closed_folder(unused_folder: Path) -> Path:
    """A folder where the server's user, which is another one when we are root, can do nothing."""
    unused_folder.mkdir(mode=0o700 if os.geteuid() == 0 else 0o500)
    return unused_folder


async def ask(dsn: str, statement: str) -> object:
    connection = await asyncpg.connect(dsn)
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def run(dsn: str, script: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        await connection.execute(script)
    finally:
        await connection.close()


def is_running(folder: Path) -> bool:
    """Whether a process of the server lives: it would hold this lock."""
    with (folder / "server").open("ab") as lock:
        return not try_lock(lock)


def server_pid(folder: Path) -> int:
    return int((folder / "data" / "postmaster.pid").read_text().splitlines()[0])


async def until_stopped(folder: Path) -> None:
    """Wait for the lock that the last process of the server lets go of."""

    def wait() -> None:
        with locked(folder / "server"):
            pass

    await asyncio.to_thread(wait)


@asynccontextmanager
async def another_user(folder: Path) -> AsyncIterator[Process]:
    """A process that holds the server; killed at the end if it still runs."""
    program = Path(__file__).with_name("hold.py")
    process = await asyncio.create_subprocess_exec(
        sys.executable, program, folder, stdin=PIPE, stdout=PIPE, start_new_session=True
    )
    assert process.stdin
    assert process.stdout
    assert await process.stdout.readline() == b"held\n"
    try:
        yield process
    finally:
        process.stdin.close()
        await process.wait()


async def test_a_second_start_finds_the_data_of_the_first(folder: Path) -> None:
    async with embedded_postgres(folder, options=FAST) as server:
        await run(await server.dsn_for("rooms"), "CREATE TABLE rooms.kept (n int)")
        await run(await server.dsn_for("rooms"), "INSERT INTO rooms.kept VALUES (7)")
    assert not is_running(folder)
    async with embedded_postgres(folder) as server:
        assert await ask(await server.dsn_for("rooms"), "SELECT n FROM rooms.kept") == 7


async def test_users_of_one_folder_share_a_server_and_the_last_one_stops_it(folder: Path) -> None:
    async with embedded_postgres(folder, options=FAST) as first:
        pid = server_pid(folder)
        async with another_user(folder), embedded_postgres(folder):
            assert server_pid(folder) == pid
        assert await ask(first.admin_dsn(), "SELECT 1") == 1
    assert not is_running(folder)


async def test_many_users_at_once_start_one_server(folder: Path) -> None:
    async def use() -> int:
        async with embedded_postgres(folder, options=FAST) as server:
            await asyncio.gather(server.dsn_for("rooms"), server.dsn_for("halls"))
            return server_pid(folder)

    async with embedded_postgres(folder, options=FAST):
        assert len(set(await asyncio.gather(use(), use(), use()))) == 1
    assert not is_running(folder)


async def test_a_killed_user_takes_the_server_with_it_when_it_was_the_last(folder: Path) -> None:
    async with another_user(folder) as user:
        user.kill()
        await user.wait()
        await until_stopped(folder)


async def test_a_killed_user_leaves_the_server_to_the_others(folder: Path) -> None:
    async with embedded_postgres(folder, options=FAST) as server:
        async with another_user(folder) as user:
            user.kill()
            await user.wait()
        assert await ask(server.admin_dsn(), "SELECT 1") == 1


async def test_a_signal_for_the_users_does_not_reach_the_server(folder: Path) -> None:
    async with another_user(folder) as user:
        assert user.stdin
        assert user.stdout
        os.killpg(user.pid, signal.SIGINT)  # As a terminal does on Ctrl-C.
        assert await user.stdout.readline() == b"answers 1\n"
        user.stdin.close()
        assert await user.stdout.readline() == b"left\n"
    assert not is_running(folder)


async def test_a_killed_server_recovers_at_the_next_start(folder: Path) -> None:
    async with embedded_postgres(folder) as server:
        await run(server.admin_dsn(), "CREATE TABLE spared (n int); INSERT INTO spared VALUES (7)")
        os.kill(server_pid(folder), signal.SIGKILL)
        await until_stopped(folder)
    async with embedded_postgres(folder) as server:
        assert await ask(server.admin_dsn(), "SELECT n FROM spared") == 7


async def test_a_pid_file_that_names_another_process_is_no_obstacle(folder: Path) -> None:
    async with embedded_postgres(folder, options=FAST):
        pid_file = (folder / "data" / "postmaster.pid").read_text()
    pid = str(os.getpid()) if os.geteuid() else "1"
    (folder / "data" / "postmaster.pid").write_text(pid + pid_file[pid_file.index("\n") :])
    async with embedded_postgres(folder, options=FAST) as server:
        assert await ask(server.admin_dsn(), "SELECT 1") == 1


async def test_a_cluster_that_was_not_finished_is_made_anew(unused_folder: Path) -> None:
    unfinished = unused_folder / "data.unfinished"
    unfinished.mkdir(parents=True)
    (unfinished / "PG_VERSION").write_text("18\n")
    async with embedded_postgres(unused_folder, options=FAST) as server:
        assert await ask(server.admin_dsn(), "SELECT 1") == 1


async def test_a_long_path_gets_a_short_socket(unused_folder: Path) -> None:
    deep = unused_folder / ("long" * 20) / "postgres"
    async with embedded_postgres(deep, options=FAST), embedded_postgres(deep) as again:
        assert await ask(again.admin_dsn(), "SELECT 1") == 1
    async with embedded_postgres(deep, options=FAST) as server:
        assert await ask(server.admin_dsn(), "SELECT 1") == 1
    shutil.rmtree((deep / "socket").read_text())


async def test_a_server_that_cannot_start_leaves_its_last_words(folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match="max_connections"):
        async with embedded_postgres(folder, options={"max_connections": "many"}):
            pass
    assert not is_running(folder)


async def test_a_folder_that_is_closed_to_the_servers_user_is_named(closed_folder: Path) -> None:
    with pytest.raises(EmbeddedPostgresError, match=str(closed_folder)):
        async with embedded_postgres(closed_folder):
            pass


async def test_each_role_owns_its_schema_and_sees_no_other(folder: Path) -> None:
    async with embedded_postgres(folder, options=FAST) as server:
        rooms, halls = await server.dsn_for("rooms"), await server.dsn_for("halls")
        await run(rooms, "CREATE TABLE rooms.room (n int)")
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await ask(halls, "SELECT n FROM rooms.room")


async def test_a_name_that_is_no_identifier_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="lower-case"):
        await EmbeddedPostgres(tmp_path, tmp_path).dsn_for("rooms; DROP TABLE room")


async def test_rows_and_statements_stay_out_of_the_servers_log(folder: Path) -> None:
    async with embedded_postgres(folder, options=FAST) as server:
        await run(server.admin_dsn(), "CREATE TABLE secret_room (name text PRIMARY KEY)")
        with pytest.raises(asyncpg.UniqueViolationError):
            await run(server.admin_dsn(), "INSERT INTO secret_room VALUES ('hushed'), ('hushed')")
    assert "duplicate key" in (folder / "log").read_text()
    assert "hushed" not in (folder / "log").read_text()
