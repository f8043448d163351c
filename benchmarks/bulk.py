"""Bulk registration: RegisterTokens beside a bare multi-row upsert of asyncpg."""

from collections.abc import Sequence
from contextlib import AsyncExitStack
from typing import Final

import asyncpg

from benchmarks.harness import Bar, Case, Note, Report, Run, Stopwatch
from benchmarks.registering.bare import BareTable
from benchmarks.registering.people import registrations
from benchmarks.registering.servers import (
    Database,
    Server,
    durable_database,
    new_app,
    registry_server,
)
from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio_cli.demo.run import demo_folder
from nuncio_cli.registering import in_pages, register_pages

ROWS: Final = 10_000
SHARE_OF_BARE: Final = 0.6


async def run(*, repeat: int, note: Note) -> Report:
    """In each run both write the same new rows, in turns, and then the same rows again."""
    runs: dict[str, list[Run]] = {}
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(demo_folder(None, keep=False))
        database = await stack.enter_async_context(durable_database(folder / "postgres"))
        registry = await stack.enter_async_context(registry_server(database, folder))
        connection = await asyncpg.connect(
            database.dsn, server_settings={"search_path": "registry"}
        )
        stack.push_async_callback(connection.close)
        bare = await BareTable.made(connection)
        for number in range(repeat + 1):
            rows = registrations(ROWS, seed=number)
            app_id = await new_app(registry, f"bench-{number}")
            # The first one warms both up, and is not counted.
            note(f"run {number} of {repeat}" if number else "warming up")
            for word in ("created", "refreshed"):
                turns = {
                    f"bare upsert, {word}": await _bare(bare, app_id, rows, database),
                    f"RegisterTokens, {word}": await _bulk(registry, app_id, rows, database),
                }
                for name, each in turns.items():
                    runs.setdefault(name, []).extend([each] if number else [])
    cases = {name: Case(name, each) for name, each in runs.items()}
    return Report(list(cases.values()), [_bar(cases, word) for word in ("created", "refreshed")])


def _bar(cases: dict[str, Case], word: str) -> Bar:
    share = cases[f"RegisterTokens, {word}"].per_second / cases[f"bare upsert, {word}"].per_second
    name = f"rows {word}, share of the bare upsert's rows per second"
    return Bar(name, round(share, 3), SHARE_OF_BARE)


async def _bulk(
    registry: Server, app_id: str, rows: Sequence[Registration], database: Database
) -> Run:
    with Stopwatch({"registry": registry.pid, "postgres": database.pid}).measured() as measurement:
        async for answer in register_pages(registry.stub, in_pages(rows), app_id=app_id):
            assert not answer.errors, answer.errors[0]
            measurement.items += len(answer.outcomes)
    return measurement.run


async def _bare(
    bare: BareTable, app_id: str, rows: Sequence[Registration], database: Database
) -> Run:
    pages = [bare.columns(page) for page in in_pages(rows)]
    with Stopwatch({"postgres": database.pid}).measured() as measurement:
        for page in pages:
            await bare.upsert(app_id, page)
        measurement.items = len(rows)
    return measurement.run
