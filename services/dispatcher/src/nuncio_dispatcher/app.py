"""The composition root: builds everything once, and has no logic."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import AsyncExitStack
from functools import partial
from uuid import UUID

from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import dispatcher_service_pb2_grpc as rpc
from nuncio_dispatcher.api.servicer import DispatcherServicer
from nuncio_dispatcher.clients.feedback import GrpcFeedback
from nuncio_dispatcher.clients.targeting import GrpcTargeting
from nuncio_dispatcher.config import RetrySettings, RunnerSettings, Settings
from nuncio_dispatcher.domain.browse import Browse
from nuncio_dispatcher.domain.create import Create
from nuncio_dispatcher.domain.direct import Direct
from nuncio_dispatcher.domain.lanes import LaneDesk, keep_alarming
from nuncio_dispatcher.domain.measure import keep_measuring
from nuncio_dispatcher.domain.report import Reporter
from nuncio_dispatcher.domain.retain import keep_forgetting
from nuncio_dispatcher.domain.retry import RetryPolicy
from nuncio_dispatcher.domain.run import Runner, RunnerPolicy
from nuncio_dispatcher.domain.watch import Changes, Watch
from nuncio_dispatcher.domain.work import Worker
from nuncio_dispatcher.metrics import PrometheusMeters
from nuncio_dispatcher.providers.book import FolderBook
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_dispatcher.storage.postgres import PostgresDispatches, PostgresJournal, PostgresOutbox
from nuncio_runtime.client import connect_to
from nuncio_runtime.clock import SYSTEM_CLOCK, Clock
from nuncio_runtime.postgres import is_reachable, open_pool
from nuncio_runtime.serve import Mount, serve


async def run(
    settings: Settings,
    clock: Clock = SYSTEM_CLOCK,
    *,
    stop: asyncio.Event | None = None,
    started: Callable[[int], None] | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`. `started` is told the port."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings.database))
        targeting = GrpcTargeting(
            await stack.enter_async_context(connect_to(settings.targeting)),
            timeout=settings.targeting.timeout,
        )
        feedback = GrpcFeedback(
            await stack.enter_async_context(connect_to(settings.feedback)),
            timeout=settings.feedback.timeout,
        )
        lanes = FolderLanes(settings.credentials, clock=clock)
        stack.push_async_callback(lanes.aclose)
        lanes.problems()  # What is wrong with a credential is in the log from the start.
        dispatches, journal = PostgresDispatches(pool), PostgresJournal(pool)
        changes, meters = Changes(), PrometheusMeters()
        reporter = Reporter(PostgresOutbox(pool), feedback, clock=clock, poll=settings.runner.poll)

        def committed(dispatch_id: UUID) -> None:
            changes.notify(dispatch_id)
            reporter.wake()

        runner = Runner(
            journal,
            Worker(
                journal,
                targeting,
                lanes,
                clock=clock,
                retry=retry_policy(settings.retry),
                send_within=settings.runner.send_within,
                meters=meters,
                committed=committed,
            ),
            clock=clock,
            policy=runner_policy(settings.runner),
            meters=meters,
            committed=committed,
        )
        create = Create(
            dispatches,
            targeting,
            lanes,
            clock=clock,
            shards=settings.shards,
            created=lambda _: runner.wake(),
        )
        browse = Browse(dispatches, targeting)
        watch = Watch(dispatches, changes, clock)
        direct = Direct(lanes, clock=clock)
        book = FolderBook(lanes, clock=clock, probe_wait=settings.retry.probe_wait)
        desk = LaneDesk(book)
        await serve(
            settings.server,
            [_mount(DispatcherServicer(dispatches, create, browse, watch, direct, desk))],
            checks={"postgres": partial(is_reachable, pool)},
            background=[
                runner.run,
                reporter.run,
                watch.keep_looking,
                partial(keep_measuring, journal, meters, clock),
                partial(keep_alarming, book, meters, clock),
                partial(keep_forgetting, journal, clock, after=settings.keep_pages),
            ],
            stop=stop,
            started=started,
            draining=runner.drain,
        )


def _mount(servicer: DispatcherServicer) -> Mount:
    """Dispatch checks its commands itself: a bad one is refused by an event."""
    return Mount(
        rpc.add_DispatcherServiceServicer_to_server,
        servicer,
        pb.DESCRIPTOR.services_by_name["DispatcherService"],
        self_checked=frozenset({"Dispatch"}),
    )


def retry_policy(settings: RetrySettings) -> RetryPolicy:
    """The settings as the domain takes them."""
    return RetryPolicy(**settings.model_dump())


def runner_policy(settings: RunnerSettings) -> RunnerPolicy:
    """The settings as the domain takes them."""
    return RunnerPolicy(**settings.model_dump())


def credential_problems(settings: Settings) -> Sequence[str]:
    """What is wrong with the credentials in the folder: file, section and key, no values."""
    return FolderLanes(settings.credentials, clock=SYSTEM_CLOCK).problems()
