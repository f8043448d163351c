"""Unary RegisterToken beside an empty echo, and its 99th percentile at half load."""

from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from statistics import median
from typing import Final

from benchmarks.harness import Bar, Case, Note, Report, Run, Stopwatch
from benchmarks.registering.load import closed_loop, open_loop, p99
from benchmarks.registering.people import registrations
from benchmarks.registering.servers import (
    Database,
    Server,
    durable_database,
    echo_server,
    new_app,
    registry_server,
)
from nuncio.registry.v1.registry_service_pb2 import RegisterTokenRequest, Registration
from nuncio_cli.demo.run import demo_folder
from nuncio_cli.registering import in_pages, register_pages

CALLS: Final = 10_000
PRESENT: Final = 20_000
"""Installations that are registered before anything is measured."""
ONE_NEW_IN: Final = 10
"""Of the mix that the bar is on: an app registers at each start, and few starts are the first."""
SHARE_OF_ECHO: Final = 0.6
MOST_P99: Final = 0.050
WARM_UP: Final = 1_000


@dataclass
class _Turns:
    """The runs of all cases, in turns."""

    echo: list[Run] = field(default_factory=list)
    mixed: list[Run] = field(default_factory=list)
    refreshed: list[Run] = field(default_factory=list)
    created: list[Run] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)


async def run(*, repeat: int, note: Note) -> Report:
    """In each run echo and registry take turns, each with the same client and the same messages."""
    turns = _Turns()
    async with _servers() as (database, registry, echo):
        present = registrations(PRESENT, seed=0)
        for number in range(1, repeat + 1):
            note(f"run {number} of {repeat}")
            app_id = await _populated_app(registry, number, present)
            fresh = iter(registrations(3 * CALLS, seed=number))
            again = [_request(app_id, row) for row in present[:CALLS]]
            new = [_request(app_id, next(fresh)) for _ in range(CALLS)]
            mixed = _mix(again, [_request(app_id, next(fresh)) for _ in range(CALLS)])
            turns.echo.append(await _measure(echo, mixed, database))
            turns.mixed.append(await _measure(registry, mixed, database))
            turns.refreshed.append(await _measure(registry, again, database))
            turns.created.append(await _measure(registry, new, database))
            pace = _pace(turns.mixed[-1]) / 2
            steady = _mix(again, [_request(app_id, next(fresh)) for _ in range(CALLS)])
            turns.p99.append(p99(await open_loop(registry.register, steady, per_second=pace)))
    return _report(turns)


def _report(turns: _Turns) -> Report:
    cases = [
        Case("empty echo", turns.echo),
        Case("RegisterToken, 90 % refreshed", turns.mixed),
        Case("RegisterToken, all refreshed", turns.refreshed),
        Case("RegisterToken, all created", turns.created),
    ]
    # Of neighbouring turns: the machine is another one a minute later.
    shares = [
        _pace(mixed) / _pace(echo) for mixed, echo in zip(turns.mixed, turns.echo, strict=True)
    ]
    return Report(
        cases,
        [
            Bar(
                "90 % refreshed, share of the echo's calls per second",
                round(median(shares), 3),
                SHARE_OF_ECHO,
            ),
            Bar(
                "90 % refreshed at half of that load, p99 in ms",
                round(median(turns.p99) * 1000, 1),
                MOST_P99 * 1000,
                "at most",
            ),
        ],
    )


def _pace(run: Run) -> float:
    """Calls per second."""
    return run.items / run.seconds


@asynccontextmanager
async def _servers() -> AsyncIterator[tuple[Database, Server, Server]]:
    async with AsyncExitStack() as stack:
        folder = stack.enter_context(demo_folder(None, keep=False))
        database = await stack.enter_async_context(durable_database(folder / "postgres"))
        registry = await stack.enter_async_context(registry_server(database, folder))
        yield database, registry, await stack.enter_async_context(echo_server())


async def _populated_app(registry: Server, number: int, rows: Sequence[Registration]) -> str:
    """An app that has these installations, and servers that are warm."""
    app_id = await new_app(registry, f"bench-{number}")
    async for answer in register_pages(registry.stub, in_pages(rows), app_id=app_id):
        assert not answer.errors, answer.errors[0]
    return app_id


async def _measure(
    server: Server, requests: Sequence[RegisterTokenRequest], database: Database
) -> Run:
    await closed_loop(server.register, requests[:WARM_UP])
    pids = {"server": server.pid, "postgres": database.pid}
    with Stopwatch(pids).measured() as measurement:
        await closed_loop(server.register, requests[WARM_UP:])
        measurement.items = len(requests) - WARM_UP
    return measurement.run


def _mix(
    again: Sequence[RegisterTokenRequest], new: Sequence[RegisterTokenRequest]
) -> list[RegisterTokenRequest]:
    return [new[at] if at % ONE_NEW_IN == 0 else request for at, request in enumerate(again)]


def _request(app_id: str, row: Registration) -> RegisterTokenRequest:
    return RegisterTokenRequest(app_id=app_id, registration=row)
