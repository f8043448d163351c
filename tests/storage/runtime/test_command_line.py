"""serve, migrate and check-config, as the programs of services have them."""

import asyncio
import json
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from nuncio_runtime.client import connect
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.migrate import migrate
from nuncio_runtime.postgres import dsn_of, open_pool
from tests.support.postgres import empty_database, fresh_database

# Programs take a while to start on a busy machine.
pytestmark = pytest.mark.timeout(30)

SAMPLE = "tests.storage.runtime.sample_service"
ROOT = Path(__file__).parents[3]


@asynccontextmanager
async def program(*arguments: str, **settings: str) -> AsyncIterator[Process]:
    """The sample service's program; killed at the end if it still runs."""
    variables = {f"NUNCIO_SAMPLE_{name}": value for name, value in settings.items()}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", SAMPLE, *arguments,
        cwd=ROOT, env={**os.environ, **variables}, stdout=PIPE, stderr=PIPE,
    )  # fmt: skip
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.communicate()


async def result_of(*arguments: str, **settings: str) -> tuple[int | None, str, str]:
    """Exit code and what was written to stdout and stderr."""
    async with program(*arguments, **settings) as process:
        written, errors = await process.communicate()
        return process.returncode, written.decode(), errors.decode()


async def logged(process: Process, event: str) -> dict[str, Any]:
    """The first line of the log with that event."""
    assert process.stderr
    while line := await process.stderr.readline():
        entry: dict[str, Any] = json.loads(line)
        if entry["event"] == event:
            return entry
    raise EOFError(event)


async def health_of(port: int) -> int:
    async with connect(f"127.0.0.1:{port}") as channel:
        stub = health_pb2_grpc.HealthStub(channel)
        return int((await stub.Check(health_pb2.HealthCheckRequest())).status)


async def version_in(settings: DatabaseSettings) -> object:
    async with open_pool(settings) as pool:
        return await pool.fetchval("SELECT version_num FROM alembic_version")


async def test_serve_without_a_dsn_brings_its_own_database_and_schema() -> None:
    async with empty_database("sample") as settings:
        folder = str(settings.embedded_folder)
        async with program("serve", DATABASE__EMBEDDED_FOLDER=folder) as service:
            assert (await logged(service, "development_mode"))["folder"] == folder
            port = (await logged(service, "server_started"))["port"]
            assert await health_of(port) == health_pb2.HealthCheckResponse.SERVING
            service.send_signal(signal.SIGTERM)
            await logged(service, "server_stopped")
            assert await service.wait() == 0


async def test_serve_with_a_dsn_takes_a_schema_that_is_new_enough() -> None:
    async with (
        fresh_database(SAMPLE, "sample") as settings,
        program("serve", DATABASE__DSN=dsn_of(settings)) as service,
    ):
        await logged(service, "server_started")
        service.send_signal(signal.SIGINT)
        assert await service.wait() == 0


async def test_serve_with_a_dsn_never_migrates() -> None:
    async with empty_database("sample") as settings:
        code, _, errors = await result_of("serve", DATABASE__DSN=dsn_of(settings))
        assert code == 1
        assert "found none, needed 0002" in errors
        assert await migrate(settings, SAMPLE) == ["0001", "0002", "0003"]


async def test_migrate_goes_as_far_as_it_is_told() -> None:
    async with empty_database("sample") as settings:
        dsn = dsn_of(settings)
        assert (await result_of("migrate", "--until", "pre", DATABASE__DSN=dsn))[0] == 0
        assert await version_in(settings) == "0002"
        assert (await result_of("migrate", DATABASE__DSN=dsn))[0] == 0
        assert await version_in(settings) == "0003"


async def test_a_database_that_is_away_is_said_in_one_line() -> None:
    code, _, errors = await result_of("serve", DATABASE__DSN="postgresql://u:hush@127.0.0.1:1/d")
    assert code == 1
    assert errors == "nuncio-sample: The storage cannot be reached right now.\n"


async def test_check_config_names_every_problem_and_shows_no_value() -> None:
    code, _, errors = await result_of("check-config", LOG__LEVEL="hush", WINDOW="hush")
    assert code == 2
    assert errors.splitlines()[0].startswith("nuncio-sample: NUNCIO_SAMPLE_LOG__LEVEL: ")
    assert errors.splitlines()[1].startswith("nuncio-sample: NUNCIO_SAMPLE_WINDOW: ")
    assert "hush" not in errors


async def test_check_config_says_that_all_is_well_and_what_is_used() -> None:
    code, written, errors = await result_of(
        "check-config", LOG__LEVEL="debug", DATABASE__DSN="postgresql://u:hush@127.0.0.1:1/d"
    )
    assert (code, errors) == (0, "")
    assert written.splitlines()[0] == "nuncio-sample: configuration is good"
    assert "NUNCIO_SAMPLE_LOG__LEVEL = debug  (environment)\n" in written
    assert "NUNCIO_SAMPLE_LOG__FORMAT = json  (default)\n" in written
    assert "NUNCIO_SAMPLE_DATABASE__DSN = (hidden)  (environment)\n" in written
    assert "hush" not in written


async def test_check_config_lists_the_settings_in_force_beside_their_defaults() -> None:
    code, written, _ = await result_of("check-config", "--list", LOG__LEVEL="debug")
    assert code == 0
    assert "NUNCIO_SAMPLE_DATABASE__SCHEMA = sample  (text, default)\n" in written
    kind = "debug | info | warning | error"
    assert f"LOG__LEVEL = debug  ({kind}, environment; default: info)\n" in written


async def test_check_config_lists_the_defaults_when_something_is_wrong() -> None:
    code, written, errors = await result_of("check-config", "--list", WINDOW="hush")
    assert code == 2
    assert "NUNCIO_SAMPLE_DATABASE__SCHEMA = sample  (text, default)\n" in written
    assert errors == "nuncio-sample: NUNCIO_SAMPLE_WINDOW: there is no such setting\n"


async def test_check_config_speaks_json() -> None:
    good, written, errors = await result_of("check-config", "--json", LOG__LEVEL="debug")
    assert (good, errors) == (0, "")
    document = json.loads(written)
    assert (document["good"], document["problems"]) == (True, [])
    used = {each["variable"]: each for each in document["settings"]}
    level = used["NUNCIO_SAMPLE_LOG__LEVEL"]
    assert (level["value"], level["source"], level["default"]) == ("debug", "environment", "info")
    assert used["NUNCIO_SAMPLE_DATABASE__DSN"]["value"] is None
    bad, written, errors = await result_of("check-config", "--json", LOG__LEVEL="hush")
    assert (bad, errors) == (2, "")
    document = json.loads(written)
    assert (document["good"], document["settings"]) == (False, [])
    assert document["problems"][0].startswith("NUNCIO_SAMPLE_LOG__LEVEL: ")
    assert "hush" not in written


async def test_what_only_migrations_need_is_not_loaded_by_anybody_else() -> None:
    program = "import sys, nuncio_runtime.main; print({'alembic', 'sqlalchemy'} & set(sys.modules))"
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", program, stdout=PIPE)
    written, _ = await process.communicate()
    assert written.decode().strip() == "set()"
