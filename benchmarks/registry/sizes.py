"""What the registry's tables weigh: bytes per row of each table and index, all partitions."""

from collections.abc import Iterator
from typing import Any, Final, TypeAlias

import asyncpg

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

TABLES: Final = ("installation", "live_token")
_PARTS: Final = """
SELECT coalesce(pg_partition_root(i.indexrelid)::text, i.indexrelid::regclass::text) AS name,
       sum(pg_relation_size(i.indexrelid)) AS bytes
  FROM pg_partition_tree($1::text::regclass) AS t
  JOIN pg_index AS i ON i.indrelid = t.relid
 WHERE t.isleaf
 GROUP BY 1
"""
_HEAP: Final = """
SELECT sum(pg_table_size(t.relid))::bigint AS bytes, count(*) AS partitions,
       max(pg_table_size(t.relid))::bigint AS largest
  FROM pg_partition_tree($1::text::regclass) AS t WHERE t.isleaf
"""


async def sizes(connection: Connection) -> dict[str, Any]:
    """By table: rows, bytes a row, and bytes a row of each index."""
    found: dict[str, Any] = {}
    for table in TABLES:
        rows = await connection.fetchval(f"SELECT count(*) FROM {table}")  # noqa: S608
        heap = await connection.fetchrow(_HEAP, table)
        assert heap is not None
        indexes = await connection.fetch(_PARTS, table)
        found[table] = {
            "rows": rows,
            "partitions": heap["partitions"],
            "heap_bytes_per_row": round(heap["bytes"] / rows, 1),
            "index_bytes_per_row": {
                row["name"]: round(int(row["bytes"]) / rows, 1) for row in indexes
            },
        }
    found["gib_per_million"] = round(_bytes_each(found) * 1e6 / 2**30, 3)
    return found


def show(found: dict[str, Any]) -> Iterator[str]:
    """For people."""
    for table in TABLES:
        weight = found[table]
        yield f"{table}: {weight['heap_bytes_per_row']} bytes a row in the table"
        for name, size in weight["index_bytes_per_row"].items():
            yield f"{table}: {size} bytes a row in {name}"
    yield f"all of them: {found['gib_per_million']} GiB per million installations"


def _bytes_each(found: dict[str, Any]) -> float:
    """Bytes of an installation in all tables and indexes; one that is dead has no live token."""
    total = 0.0
    for table in TABLES:
        weight = found[table]
        each = weight["heap_bytes_per_row"] + sum(weight["index_bytes_per_row"].values())
        total += each * weight["rows"]
    return float(total / found["installation"]["rows"])
