"""All migrations of a service lead to the schema that its schema.sql shows."""

from pathlib import Path

import asyncpg
import pytest

from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.migrate import VERSION_TABLE
from nuncio_runtime.postgres import open_pool
from tests.support.postgres import empty_database, fresh_database

SERVICES = Path(__file__).parents[2] / "services"
SCHEMAS = {
    path.parents[1].name: path
    for path in sorted(SERVICES.glob("*/src/nuncio_*/storage/schema.sql"))
}

# Everything that makes up a schema, as text: tables and types with columns, constraints,
# indexes, functions.
CATALOG = """
SELECT 'column', c.relname, a.attname,
       concat_ws(' ', format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attidentity,
                 a.attgenerated, l.collname, pg_get_expr(d.adbin, d.adrelid))
  FROM pg_class AS c
       JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
       LEFT JOIN pg_attrdef AS d ON d.adrelid = c.oid AND d.adnum = a.attnum
       LEFT JOIN pg_collation AS l ON l.oid = a.attcollation
 WHERE c.relnamespace = current_schema()::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm', 'c')
 UNION ALL
SELECT 'table', c.relname, c.relkind::text, array_to_string(c.reloptions, ' ')
  FROM pg_class AS c
 WHERE c.relnamespace = current_schema()::regnamespace
 UNION ALL
SELECT 'constraint', t.conrelid::regclass::text, t.conname, pg_get_constraintdef(t.oid)
  FROM pg_constraint AS t
 WHERE t.connamespace = current_schema()::regnamespace
 UNION ALL
SELECT 'index', i.tablename, i.indexname, i.indexdef
  FROM pg_indexes AS i
 WHERE i.schemaname = current_schema()
 UNION ALL
SELECT 'function', '', p.proname, pg_get_functiondef(p.oid)
  FROM pg_proc AS p
 WHERE p.pronamespace = current_schema()::regnamespace
"""


async def catalog(database: DatabaseSettings, *, script: str = "") -> set[tuple[str, ...]]:
    """What the schema consists of, after the script, without Alembic's own table."""
    async with open_pool(database) as pool:
        if script:
            await pool.execute(script)
        rows: list[asyncpg.Record] = await pool.fetch(CATALOG)
    return {tuple(row) for row in rows if VERSION_TABLE not in str(tuple(row))}


@pytest.mark.parametrize("package", SCHEMAS)
@pytest.mark.timeout(60)
async def test_migrations_lead_to_the_schema_that_is_shown(package: str) -> None:
    schema = package.removeprefix("nuncio_")
    async with fresh_database(package, schema) as migrated, empty_database(schema) as shown:
        script = SCHEMAS[package].read_text(encoding="utf-8")
        assert await catalog(migrated) == await catalog(shown, script=script)


def test_every_service_shows_its_schema() -> None:
    packages = {path.parents[1].name for path in SERVICES.glob("*/src/nuncio_*/storage/migrations")}
    assert packages == set(SCHEMAS)
