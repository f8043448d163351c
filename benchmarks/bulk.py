"""Bulk registration: RegisterTokens beside a bare multi-row upsert of asyncpg."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from typing import Final

import asyncpg

from benchmarks.harness import Bar, Case, Note, Report, Run, Stopwatch
from benchmarks.registering.bare import BareTables, Columns
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

ROWS: Final = 20_000
SHARE_OF_BARE: Final = 0.6

CREATED: Final = "RegisterTokens, created"
REFRESHED: Final = "RegisterTokens, refreshed"
CHANGED: Final = "RegisterTokens, changed"
"""The dearest road: each app was updated, and is so once in some weeks."""
# A first registration is a row in each of four tables, one that is repeated is in one.
ALL_CREATED: Final = "bare upsert of the same rows, created"
ONE_CREATED: Final = "bare upsert of installations alone, created"
ONE_REFRESHED: Final = "bare upsert of the same rows, refreshed"


async def run(*, repeat: int, note: Note) -> Report:
    """In each run all write the same new rows, in turns, then the same rows again, then others."""
    runs: dict[str, list[Run]] = {}
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(demo_folder(None, keep=False))
        database = await stack.enter_async_context(durable_database(folder / "postgres"))
        registry = await stack.enter_async_context(registry_server(database, folder))
        connection = await asyncpg.connect(
            database.dsn, server_settings={"search_path": "registry"}
        )
        stack.push_async_callback(connection.close)
        bare = await BareTables.made(connection)
        for number in range(repeat + 1):
            rows = registrations(ROWS, seed=number)
            app_id = await new_app(registry, f"bench-{number}")
            # The first one warms all of them up, and is not counted.
            note(f"run {number} of {repeat}" if number else "warming up")
            pages = [bare.columns(page) for page in in_pages(rows)]
            one = partial(bare.upsert, f"{app_id}-one")
            turns = {
                ALL_CREATED: await _bare(partial(bare.upsert_all, app_id), pages, database),
                ONE_CREATED: await _bare(one, pages, database),
                CREATED: await _bulk(registry, app_id, rows, database),
                ONE_REFRESHED: await _bare(one, pages, database),
                REFRESHED: await _bulk(registry, app_id, rows, database),
                CHANGED: await _bulk(registry, app_id, [*map(_updated, rows)], database),
            }
            for name, each in turns.items():
                runs.setdefault(name, []).extend([each] if number else [])
    cases = {name: Case(name, each) for name, each in runs.items()}
    bars = [_bar(cases, CREATED, ALL_CREATED), _bar(cases, REFRESHED, ONE_REFRESHED)]
    return Report(list(cases.values()), bars)


def _bar(cases: dict[str, Case], name: str, beside: str) -> Bar:
    share = cases[name].per_second / cases[beside].per_second
    return Bar(f"{name}, share of: {beside}", round(share, 3), SHARE_OF_BARE)


def _updated(row: Registration) -> Registration:
    later = Registration()
    later.CopyFrom(row)
    later.facts.app_version = "99.0"
    return later


async def _bulk(
    registry: Server, app_id: str, rows: Sequence[Registration], database: Database
) -> Run:
    with Stopwatch({"registry": registry.pid, "postgres": database.pid}).measured() as measurement:
        async for answer in register_pages(registry.stub, in_pages(rows), app_id=app_id):
            assert not answer.errors, answer.errors[0]
            measurement.items += len(answer.outcomes)
    return measurement.run


async def _bare(
    upsert: Callable[[Columns], Awaitable[None]], pages: Sequence[Columns], database: Database
) -> Run:
    with Stopwatch({"postgres": database.pid}).measured() as measurement:
        for page in pages:
            await upsert(page)
            measurement.items += len(page.installations[0])
    return measurement.run
