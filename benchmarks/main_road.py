"""The demo's road: registrations, resolved targets and notifications per second."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from typing import Final

from benchmarks.harness import Bar, Case, Note, Report, Run, Stopwatch
from nuncio.dispatcher.v1.dispatch_pb2 import Dispatch
from nuncio.dispatcher.v1.dispatcher_service_pb2 import CreateDispatchRequest
from nuncio.dispatcher.v1.message_pb2 import Message
from nuncio.registry.v1.app_pb2 import App
from nuncio.registry.v1.registry_service_pb2 import CreateAppRequest, Registration
from nuncio.targeting.v1.audience_pb2 import Audience
from nuncio.targeting.v1.targeting_service_pb2 import ResolveAudienceRequest
from nuncio_cli import following, output, simulated
from nuncio_cli.connect import Clients, clients
from nuncio_cli.demo.minting import mint_tokens
from nuncio_cli.demo.population import platforms, population
from nuncio_cli.demo.run import demo_folder
from nuncio_cli.registering import in_pages, register_pages
from nuncio_cli.suite import Suite, SuitePlan, running_suite
from nuncio_simulator.client import AdminClient
from nuncio_simulator.contract import Shares

INSTALLATIONS: Final = 5_000
EVERYONE: Final = Audience(expression="all()")
# Every token lives and answers at once: the road is measured, not its obstacles.
ALL_ALIVE: Final = Shares(dead=0, dead_before=0, throttled=0, slow=0)


async def run(*, repeat: int, note: Note) -> Report:
    """Each repetition registers, resolves and sends to an app of its own, one after the other."""
    registrations, targets, notifications = [], [], []
    failed = 0
    async with _road() as (suite, services, simulator):
        for number in range(1, repeat + 1):
            note(f"run {number} of {repeat}")
            app_id = await _new_app(suite, services, number)
            rows = await _people(simulator, seed=number)
            registrations.append(await _register(suite, services, app_id, rows))
            targets.append(await _resolve(suite, services, app_id))
            sent, dispatch = await _notify(suite, services, app_id)
            notifications.append(sent)
            failed += not following.succeeded(dispatch)
    cases = [
        Case("registrations, RegisterTokens", registrations),
        Case("targets, ResolveAudience", targets),
        Case("notifications accepted, Dispatch", notifications),
    ]
    return Report(cases, [Bar("dispatches whose books are not closed", failed, 0, "at most")])


@asynccontextmanager
async def _road() -> AsyncIterator[tuple[Suite, Clients, AdminClient]]:
    with demo_folder(None, keep=False) as folder:
        plan = SuitePlan(data=folder, with_simulator=True, seed=1)
        async with running_suite(plan, notice=output.notice) as suite:
            assert suite.simulator is not None
            async with (
                clients(suite.addresses) as services,
                AdminClient(suite.simulator.admin_url) as simulator,
            ):
                yield suite, services, simulator


async def _new_app(suite: Suite, services: Clients, number: int) -> str:
    app_id = f"bench-{number}"
    assert suite.simulator is not None
    credentials = suite.data / "credentials" / f"{app_id}.toml"
    simulated.write_credentials(credentials, suite.simulator)
    await services.registry.CreateApp(CreateAppRequest(app=App(app_id=app_id)))
    return app_id


async def _people(simulator: AdminClient, *, seed: int) -> list[Registration]:
    tokens = await mint_tokens(simulator, platforms(INSTALLATIONS), shares=ALL_ALIVE)
    return list(population(tokens, seed=seed, now=datetime.now(UTC)))


async def _register(
    suite: Suite, services: Clients, app_id: str, rows: Sequence[Registration]
) -> Run:
    with Stopwatch(suite.pids).measured() as measurement:
        async for answer in register_pages(services.registry, in_pages(rows), app_id=app_id):
            measurement.items += len(answer.outcomes) - len(answer.errors)
    return measurement.run


async def _resolve(suite: Suite, services: Clients, app_id: str) -> Run:
    request = ResolveAudienceRequest(app_id=app_id, audience=EVERYONE)
    with Stopwatch(suite.pids).measured() as measurement:
        async for answer in services.targeting.ResolveAudience(request):
            measurement.items += answer.page.count
    return measurement.run


async def _notify(suite: Suite, services: Clients, app_id: str) -> tuple[Run, Dispatch]:
    message = Message(title="Good morning", body="A line of text, as in most messages.")
    request = CreateDispatchRequest(
        app_id=app_id, client_ref="main-road", message=message, audience=EVERYONE
    )
    with Stopwatch(suite.pids).measured() as measurement:
        last = (await services.dispatcher.CreateDispatch(request)).dispatch
        async for event in following.events(services.dispatcher, last.dispatch_id):
            last, measurement.items = event, event.books.accepted
    return measurement.run, last
