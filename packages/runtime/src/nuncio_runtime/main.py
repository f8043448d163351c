"""The command line that all services share: serve, migrate, check-config, and their own."""

import argparse
import gc
import os
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

import structlog
import uvloop
from pydantic import SecretStr

from nuncio_runtime.check_config import add_arguments as add_check_arguments
from nuncio_runtime.check_config import check_config, upstream_problems
from nuncio_runtime.config import ConfigError, ServiceSettings, load, prefix_of
from nuncio_runtime.embedded_postgres import embedded_postgres
from nuncio_runtime.embedded_programs import EmbeddedPostgresError
from nuncio_runtime.logging import configure_logging
from nuncio_runtime.postgres import SchemaTooOld, StorageUnavailable, open_pool
from nuncio_runtime.worker import become_worker, current_worker

S = TypeVar("S", bound=ServiceSettings)

log = structlog.get_logger(__name__)

_GARBAGE_AT_LEAST: Final = 50_000  # Objects, before the collector looks at the young ones.


@dataclass(frozen=True, slots=True)
class Command(Generic[S]):
    """A further command of one service, such as one that looks after its tables.

    add_arguments: puts its arguments into its parser. run: gets settings whose database has a DSN
    and a schema that is new enough, and gives the exit code. It may raise ConfigError.
    """

    name: str
    help: str
    run: Callable[[S, argparse.Namespace], Awaitable[int]]
    add_arguments: Callable[[argparse.ArgumentParser], None] = lambda _: None


def run_service(
    argv: Sequence[str],
    *,
    name: str,
    settings_type: type[S],
    package: str,
    run: Callable[[S], Awaitable[None]],
    more_problems: Callable[[S], Sequence[str]] = lambda _: (),
    commands: Sequence[Command[S]] = (),
) -> int:
    """Do what the arguments (without the program's name) ask for; returns the exit code.

    0: done. 1: it failed while running. 2: the arguments or settings cannot be used.
    `run` gets settings whose database has a DSN, and a schema that is new enough.
    `more_problems`: what check-config is to say beyond the settings themselves, such as of the
    files that they name. `commands`: what the service can do besides.
    """
    arguments = _parser(name, commands).parse_args(argv)
    if arguments.command == "check-config":
        with suppress(BrokenPipeError):  # As with `| head`: who reads it has seen enough.
            code = check_config(
                arguments,
                name=name,
                settings_type=settings_type,
                environ=os.environ,
                more_problems=more_problems,
            )
            sys.stdout.flush()
            return code
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
    try:
        settings = load(settings_type, os.environ)
        configure_logging(settings.log, name, worker=arguments.worker)
        if arguments.worker:
            become_worker(arguments.worker, settings.server)
        if arguments.command == "migrate":
            uvloop.run(_migrate(settings, package, arguments.until))
            return 0
        if arguments.command == "serve":
            if problems := upstream_problems(settings):
                raise ConfigError(*problems)
            return uvloop.run(_serve(settings, package, run))
        own = next(command for command in commands if command.name == arguments.command)
        return uvloop.run(_run_own(settings, package, own, arguments))
    except ConfigError as error:
        sys.stderr.writelines(f"{name}: {problem}\n" for problem in error.problems)
        return 2
    except (EmbeddedPostgresError, SchemaTooOld, StorageUnavailable) as error:
        sys.stderr.write(f"{name}: {error}\n")
        return 1


def _parser(name: str, own: Sequence[Command[S]]) -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog=name)
    commands = parser.add_subparsers(dest="command", required=True)
    parser.set_defaults(worker=0)
    serving = commands.add_parser("serve", help="answer calls until SIGTERM or SIGINT")
    # For the supervisor of several workers, which alone knows what else one needs.
    serving.add_argument("--worker", type=int, default=0, help=argparse.SUPPRESS)
    migration = commands.add_parser("migrate", help="bring the schema up to date")
    migration.add_argument(
        "--until",
        choices=("pre", "post"),
        default="post",
        help="pre: only what the running old code can live with; post (default): everything",
    )
    add_check_arguments(
        commands.add_parser(
            "check-config", help="say what is wrong with the settings, or what is used"
        )
    )
    for command in own:
        command.add_arguments(commands.add_parser(command.name, help=command.help))
    return parser


# Alembic and SQLAlchemy take long to import: only the commands that need them do, and whoever
# imports this module for its other parts does not.


async def _migrate(settings: ServiceSettings, package: str, until: str) -> None:
    from nuncio_runtime.migrate import migrate

    async with _database(settings) as reachable:
        await migrate(reachable.database, package, until="pre" if until == "pre" else "post")


async def _run_own(
    settings: S, package: str, command: Command[S], arguments: argparse.Namespace
) -> int:
    async with _ready(settings, package) as ready:
        return await command.run(ready, arguments)


async def _serve(settings: S, package: str, run: Callable[[S], Awaitable[None]]) -> int:
    _settle_garbage_collection()
    if current_worker.get() is not None:
        await run(settings)  # Its supervisor has looked after the database.
        return 0
    async with _ready(settings, package) as ready:
        if settings.server.workers > 1:
            return await _supervise(ready, package)
        await run(ready)
    return 0


def _settle_garbage_collection() -> None:
    """What is imported stays for good, and a page makes thousands of objects that all go with it.

    Left to itself, the collector looks for cycles among all of them, many times for each page.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(_GARBAGE_AT_LEAST)


async def _supervise(settings: ServiceSettings, package: str) -> int:
    from nuncio_runtime.workers import Program, supervise

    prefix, dsn = prefix_of(type(settings)), settings.database.dsn
    environment = dict(os.environ)
    if dsn is not None:
        environment[f"{prefix}DATABASE__DSN"] = dsn.get_secret_value()
    program = Program(
        (package, "serve"),
        prefix=prefix,
        metrics_listen=settings.server.metrics_listen,
        environment=environment,
    )
    return await supervise(settings.server, program)


@asynccontextmanager
async def _ready(settings: S, package: str) -> AsyncIterator[S]:
    """Settings whose database has a DSN and a schema that is new enough. Raises SchemaTooOld."""
    from nuncio_runtime.migrate import check_schema, migrate

    async with _database(settings) as reachable:
        if settings.database.dsn is None:
            await migrate(reachable.database, package)
        else:
            async with open_pool(reachable.database) as pool:
                await check_schema(pool, package)
        yield reachable


@asynccontextmanager
async def _database(settings: S) -> AsyncIterator[S]:
    """Settings whose DSN is set: as configured, or that of the embedded PostgreSQL."""
    if settings.database.dsn is not None:
        yield settings
        return
    async with embedded_postgres(settings.database.embedded_folder) as embedded:
        log.warning(
            "development_mode", reason="no database DSN is set", folder=str(embedded.folder)
        )
        dsn = SecretStr(await embedded.dsn_for(settings.database.schema))
        database = settings.database.model_copy(update={"dsn": dsn})
        yield settings.model_copy(update={"database": database})
