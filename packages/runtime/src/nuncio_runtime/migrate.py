"""Migrations: Alembic revisions around plain SQL, forward only, each *pre* or *post*.

A revision `storage/migrations/0007_pre_add_locale.py` of a service says `revision`,
`down_revision` and `phase`; its statements stand beside it in `0007_pre_add_locale.sql`. *pre*
suits the old code that is still running; *post* waits until none of it runs.
"""

import asyncio
from collections.abc import Iterator, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Final, Literal

import asyncpg
import structlog
from alembic import command
from alembic.config import Config
from alembic.script import Script, ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncConnection, create_async_engine
from sqlalchemy.pool import NullPool

from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.postgres import SchemaTooOld, dsn_of, split_statements, storage_faults

Phase = Literal["pre", "post"]

VERSION_TABLE: Final = "alembic_version"

log = structlog.get_logger(__name__)


async def migrate(settings: DatabaseSettings, package: str, *, until: Phase = "post") -> list[str]:
    """Apply what is missing, in order; returns the revisions applied, often none.

    package: the service's, as in `nuncio_registry`. until: `pre` stops after the last revision
    that suits old code. Whoever comes second waits for the first. A schema that is newer than
    this program is left alone. Raises StorageUnavailable.
    """
    engine = create_async_engine(
        "postgresql+asyncpg://", async_creator=lambda: _connect(settings), poolclass=NullPool
    )
    try:
        with storage_faults():
            async with engine.connect() as connection:
                await _be_alone(connection, settings.schema)
                applied = await connection.run_sync(_upgrade, settings.schema, package, until)
    finally:
        await engine.dispose()
    log.info("schema_migrated", schema=settings.schema, applied=applied)
    return applied


async def check_schema(pool: "asyncpg.Pool[asyncpg.Record]", package: str) -> None:
    """Raise SchemaTooOld when a *pre* revision that this program has is not applied."""
    chain = _chain(package)
    needed = _target(chain, "pre")
    found = await pool.fetchval(_VERSION) if await pool.fetchval(_VERSION_TABLE_EXISTS) else None
    found = found or _NO_REVISION
    if needed is not None and _is_missing(needed, found=found, chain=chain):
        raise SchemaTooOld(found=found, needed=needed)


def sql_beside(file: str) -> Iterator[str]:
    """The statements of the .sql file beside a revision, one at a time, for `op.execute`.

    Colons are escaped: Alembic takes `:name` for a parameter.
    """
    script = Path(file).with_suffix(".sql").read_text(encoding="utf-8")
    for statement in split_statements(script):
        yield statement.replace(":", r"\:")


_ENVIRONMENT: Final = Path(__file__).parent / "migration_environment"
_NO_REVISION: Final = "none"
_ASK_AGAIN_SECONDS: Final = 0.1


def _config(package: str) -> Config:
    folder = Path(str(files(package).joinpath("storage", "migrations")))
    config = Config()
    config.set_main_option("path_separator", "newline")
    config.set_main_option("script_location", str(_ENVIRONMENT).replace("%", "%%"))
    config.set_main_option("version_locations", str(folder).replace("%", "%%"))
    return config


def _chain(package: str) -> list[Script]:
    """The service's revisions, first to last. Raises ValueError for one without a phase."""
    chain = list(ScriptDirectory.from_config(_config(package)).walk_revisions())[::-1]
    for revision in chain:
        if getattr(revision.module, "phase", None) not in ("pre", "post"):
            message = f"{package}: revision {revision.revision} has no phase"
            raise ValueError(message)
    return chain


def _target(chain: Sequence[Script], until: Phase) -> str | None:
    """The revision to reach: the last one, or the last that suits old code."""
    wanted = [r.revision for r in chain if until == "post" or r.module.phase == "pre"]
    return wanted[-1] if wanted else None


def _is_missing(target: str, *, found: str, chain: Sequence[Script]) -> bool:
    """Whether a schema at `found` has yet to reach the target. Unknown ones are newer than us."""
    order = [_NO_REVISION, *(revision.revision for revision in chain)]
    return found in order and order.index(found) < order.index(target)


async def _connect(settings: DatabaseSettings) -> "asyncpg.Connection[asyncpg.Record]":
    connection: asyncpg.Connection[asyncpg.Record] = await asyncpg.connect(
        dsn_of(settings),
        timeout=settings.connect_timeout.total_seconds(),
        server_settings={
            "application_name": f"nuncio_{settings.schema}_migrate",
            "search_path": settings.schema,
        },
    )
    return connection


def _upgrade(connection: Connection, schema: str, package: str, until: Phase) -> list[str]:
    applied: list[str] = []
    chain = _chain(package)
    target = _target(chain, until)
    _make_schema(connection, schema)
    found = _found(connection)
    if target is not None and _is_missing(target, found=found, chain=chain):
        config = _config(package)
        config.attributes.update(connection=connection, applied=applied, schema=schema)
        command.upgrade(config, target)
    return applied


async def _be_alone(connection: AsyncConnection, schema: str) -> None:
    """Wait until no other migration of the schema runs; none starts while the connection lives.

    Asks again and again. A statement that waits for the lock would hold a snapshot, for which
    CREATE INDEX CONCURRENTLY, run by the holder of the lock, would wait in turn.
    """
    lock = text("SELECT pg_try_advisory_lock(hashtextextended(:name, 0))")
    while not await connection.scalar(lock, {"name": f"migrate {schema}"}):
        await connection.commit()
        await asyncio.sleep(_ASK_AGAIN_SECONDS)
    await connection.commit()


def _make_schema(connection: Connection, schema: str) -> None:
    exists = text("SELECT to_regnamespace(:schema) IS NOT NULL")
    if not connection.execute(exists, {"schema": schema}).scalar():
        # The pattern of the setting lets nothing through that needs quoting.
        connection.execute(text(f"CREATE SCHEMA {schema}"))
    connection.commit()


def _found(connection: Connection) -> str:
    exists = connection.execute(text(_VERSION_TABLE_EXISTS)).scalar()
    found = connection.execute(text(_VERSION)).scalar() if exists else None
    connection.commit()
    return str(found or _NO_REVISION)


_VERSION_TABLE_EXISTS: Final = f"SELECT to_regclass('{VERSION_TABLE}') IS NOT NULL"
_VERSION: Final = f"SELECT version_num FROM {VERSION_TABLE}"  # noqa: S608 - a constant
