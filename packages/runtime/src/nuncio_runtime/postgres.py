"""PostgreSQL: the pool, the queries that live in files, and what its faults mean."""

import asyncio
import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager
from datetime import timedelta
from importlib.resources import files
from typing import Any, Final

import asyncpg
import orjson

from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.errors import Kind, ServiceError

RETRY_AFTER: Final = timedelta(seconds=1)
CLOSE_SECONDS: Final = 2.0
CHECK_SECONDS: Final = 2.0

_JSONB_VERSION: Final = b"\x01"  # Before the text; the only one there is.

# The server answers before the client gives up, so that its error arrives instead of silence.
_ANSWER_SECONDS: Final = 5.0


class StorageUnavailable(ServiceError):
    """The storage cannot be reached right now."""

    kind = Kind.UNAVAILABLE
    reason = "STORAGE_UNAVAILABLE"

    def __init__(self) -> None:
        super().__init__(retry_after=RETRY_AFTER)


class SchemaTooOld(ServiceError):
    """The database schema is older than this program needs. Run migrate first."""

    kind = Kind.FAILED_PRECONDITION
    reason = "SCHEMA_TOO_OLD"

    def __init__(self, *, found: str, needed: str) -> None:
        super().__init__(detail=f"found {found}, needed {needed}", found=found, needed=needed)


@asynccontextmanager
async def open_pool(
    settings: DatabaseSettings, *, planned: Mapping[str, str] | None = None
) -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    """Connections whose search path is the service's schema; json and jsonb are Python values.

    planned: settings of the server's planner for statements that know their way. Who borrows a
    connection leaves nothing behind on it, such as settings or locks of the session: a transaction
    that is still open is rolled back, and nothing else is reset, which saves a trip to the server.

    Raises StorageUnavailable when the server cannot be reached. On leaving, connections in use
    get a few seconds to come back before they are cut.
    """
    with storage_faults():
        pool = await asyncpg.create_pool(
            dsn_of(settings),
            min_size=min(settings.pool_min, settings.pool_max),
            max_size=settings.pool_max,
            timeout=settings.connect_timeout.total_seconds(),
            command_timeout=settings.statement_timeout.total_seconds() + _ANSWER_SECONDS,
            init=_set_codecs,
            reset=_leave_as_it_is,
            server_settings={
                "application_name": f"nuncio_{settings.schema}",
                "search_path": settings.schema,
                # Compiling takes longer than any of our statements, partitioned tables above all.
                "jit": "off",
                "statement_timeout": str(round(settings.statement_timeout.total_seconds() * 1000)),
                **(planned or {}),
            },
        )
    try:
        yield pool
    finally:
        await _close(pool)


def dsn_of(settings: DatabaseSettings) -> str:
    """The server's DSN. Raises ValueError when none is set: only `serve` may fill it in."""
    if settings.dsn is None:
        raise ValueError("no DSN is set")
    return settings.dsn.get_secret_value()


async def is_reachable(pool: "asyncpg.Pool[asyncpg.Record]") -> bool:
    """Whether the storage answers within two seconds."""
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            return await pool.fetchval("SELECT true") is True
    except (OSError, asyncpg.PostgresError, asyncpg.InterfaceError):
        return False


def storage_fault(error: Exception) -> StorageUnavailable | None:
    """StorageUnavailable for faults of the storage or of the way to it, None for other errors."""
    # InternalClientError: the server has ended the connection, and asyncpg did not notice yet.
    if isinstance(error, (*_SERVER_FAULTS, asyncpg.InternalClientError)):
        return StorageUnavailable()
    if isinstance(error, asyncpg.InterfaceError):
        return StorageUnavailable() if _CLOSED.search(str(error)) else None
    # TimeoutError is an OSError, too: of a connection, or of waiting for a free one.
    if isinstance(error, OSError) and _raised_inside(error, "asyncpg"):
        return StorageUnavailable()
    return None


@contextmanager
def storage_faults() -> Iterator[None]:
    """Raise faults of the storage as StorageUnavailable, for callers that know no driver.

    Other errors of the server are raised without the rows that they quote.

    A rollback that fails hides the cancellation that asked for it, and whoever waits for the task
    would wait for ever: then CancelledError is raised again.
    """
    try:
        yield
    except Exception as error:
        _forget_rows(error)
        _raise_cancellation(error)
        fault = storage_fault(error)
        if fault is None:
            raise
        raise fault from error


class Queries:
    """Named SQL statements: `queries.retire_rows` is the text of the one called that."""

    def __init__(self, statements: dict[str, str]) -> None:
        self._statements = statements

    def __getattr__(self, name: str) -> str:
        try:
            return self._statements[name]
        except KeyError:
            message = f"there is no query named {name}"
            raise AttributeError(message) from None

    def __iter__(self) -> Iterator[str]:
        return iter(self._statements)


def load_queries(package: str, resource: str = "queries.sql") -> Queries:
    """Read the SQL file of a package. Raises ValueError as `parse_queries` does."""
    return parse_queries(files(package).joinpath(resource).read_text(encoding="utf-8"))


def parse_queries(text: str) -> Queries:
    """Take a file of SQL apart, whose blocks are

        -- name: find_room
        -- A description, in one line or more.
        SELECT one statement

    Raises ValueError for a name that is given twice or is no plain lower-case identifier, and for
    a block that lacks its description or has not exactly one statement.
    """
    statements: dict[str, str] = {}
    for block in text.split("-- name:")[1:]:
        name, _, rest = (part.strip() for part in block.partition("\n"))
        described = rest.startswith("--")
        found = split_statements(_LEADING_COMMENT.sub("", rest))
        if name in statements or not _NAME.fullmatch(name) or not described or len(found) != 1:
            message = f"query {name}: needs a name of its own, a description and one statement"
            raise ValueError(message)
        statements[name] = found[0]
    return Queries(statements)


def split_statements(script: str) -> list[str]:
    """Cut at the semicolons that end statements: not in quotes, dollar quotes or comments."""
    statements, start = [], 0
    for token in _TOKEN.finditer(script):
        if token[0] == ";":
            statements.append(script[start : token.start()].strip())
            start = token.end()
    statements.append(script[start:].strip())
    return [statement for statement in statements if _COMMENT.sub("", statement).strip()]


_TOKEN: Final = re.compile(
    r"""
      --[^\n]*                                    # a comment to the end of the line
    | /\*.*?\*/                                   # a comment in the middle
    | '(?:[^']|'')*'                              # a string
    | "(?:[^"]|"")*"                              # a name
    | (?P<tag>\$(?:[A-Za-z_]\w*)?\$).*?(?P=tag)   # a dollar-quoted string: a function's body
    | ;
    """,
    re.DOTALL | re.VERBOSE,
)
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
_LEADING_COMMENT: Final = re.compile(r"\A(?:--[^\n]*\n?)+")
_NAME: Final = re.compile(r"[a-z][a-z0-9_]*")
_CLOSED: Final = re.compile("clos(ed|ing)|not initialized|terminated")
_SERVER_FAULTS: Final = (
    asyncpg.PostgresConnectionError,
    asyncpg.OperatorInterventionError,  # Shutting down, starting up, statement timeout.
    asyncpg.InsufficientResourcesError,  # Too many connections, out of memory or disk.
    asyncpg.SerializationError,  # A replica has cancelled what kept it from following.
)


def _forget_rows(error: BaseException | None) -> None:
    """Take out what the server tells in detail, such as "Failing row contains (...)".

    Errors end in logs with all that led to them; user ids and tokens must not.
    """
    while error is not None:
        if isinstance(error, asyncpg.PostgresError):
            error.detail = None
        error = error.__cause__ or error.__context__


async def _set_codecs(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    # In binary form, as all types are that are part of others.
    await connection.set_type_codec(
        "json", schema="pg_catalog", encoder=orjson.dumps, decoder=orjson.loads, format="binary"
    )
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_to_jsonb, decoder=_from_jsonb, format="binary"
    )


async def _leave_as_it_is(connection: "asyncpg.Connection[asyncpg.Record]") -> None:
    """Instead of asyncpg's reset of the session. It has ended the transaction before."""


def _to_jsonb(value: Any) -> bytes:
    return _JSONB_VERSION + orjson.dumps(value)


def _from_jsonb(data: bytes) -> Any:
    return orjson.loads(data.removeprefix(_JSONB_VERSION))


async def _close(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    try:
        async with asyncio.timeout(CLOSE_SECONDS):
            await pool.close()
    except (TimeoutError, asyncpg.InterfaceError) as error:
        pool.terminate()
        _raise_cancellation(error)


def _raise_cancellation(instead: Exception) -> None:
    """Raise the cancellation that this error hides, if it does."""
    task = asyncio.current_task()
    if task is not None and task.cancelling():
        raise asyncio.CancelledError from instead


def _raised_inside(error: BaseException, package: str) -> bool:
    """Whether a frame of the package is on the way from here to where the error was raised."""
    frame = error.__traceback__
    while frame is not None:
        module: str = frame.tb_frame.f_globals.get("__name__", "")
        if module.partition(".")[0] == package:
            return True
        frame = frame.tb_next
    return False
