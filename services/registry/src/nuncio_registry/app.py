"""The composition root: everything is built here, once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import NamedTuple

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_registry.api.calls import UseCases
from nuncio_registry.api.servicer import RegistryServicer
from nuncio_registry.config import Settings
from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.audit import Audit
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.erase import Erase
from nuncio_registry.domain.export import Export
from nuncio_registry.domain.feed import Watch
from nuncio_registry.domain.hygiene import Hygiene, Rhythm
from nuncio_registry.domain.identity import Identity
from nuncio_registry.domain.installations import InstallationCare
from nuncio_registry.domain.invalidate import Invalidate
from nuncio_registry.domain.leader import Leader
from nuncio_registry.domain.preview import Preview
from nuncio_registry.domain.reachability import Reachability
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.register_one import open_register_one
from nuncio_registry.domain.repeats import Repeats
from nuncio_registry.domain.restore import Restore
from nuncio_registry.domain.sealing import KeyRing
from nuncio_registry.domain.select import Select
from nuncio_registry.domain.statistics import RollUp, Statistics
from nuncio_registry.domain.survey import Survey
from nuncio_registry.metrics import REGISTRATION_WAIT, PrometheusMeter
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.audit import PostgresAudit
from nuncio_registry.storage.connection import Held, Pool, open_by_key
from nuncio_registry.storage.counting import PostgresCountings
from nuncio_registry.storage.feed import PostgresChangeFeed
from nuncio_registry.storage.hygiene import PostgresHygiene, PostgresScans
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.key_files import KeyFolder, make_missing_keys
from nuncio_registry.storage.leader import PostgresElection
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_registry.storage.listings import PostgresListings
from nuncio_registry.storage.privacy import PostgresPersonalData
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_registry.storage.selection import PostgresSelections, open_walks
from nuncio_registry.storage.statistics import PostgresStatistics, PostgresStockScans
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
    key_folder = KeyFolder(folder_of_keys(settings), clock)
    async with AsyncExitStack() as stack:
        pools = await _open_pools(settings, stack)
        use = await _use_cases(settings, pools, key_folder.ring, clock, stack)
        mount = Mount(
            rpc.add_RegistryServiceServicer_to_server,
            RegistryServicer(use),
            pb.DESCRIPTOR.services_by_name["RegistryService"],
            self_checked=frozenset({"RegisterToken", "RegisterTokens"}),
        )
        await serve(
            settings.server,
            [mount],
            checks=_checks(pools),
            dispensable={"replica"},
            background=[
                _leader(settings, pools, clock).keep_leading,
                partial(key_folder.keep_looking, settings.keys.reload_interval),
            ],
            stop=stop,
            started=started,
            draining=use.watch.drain,
        )


class _Pools(NamedTuple):
    """Connections. by_key: for registrations. walks: for pages of targets. scans: to the replica;
    without one, main.
    """

    main: Pool
    by_key: Pool
    walks: Pool
    scans: Pool


async def _open_pools(settings: Settings, stack: AsyncExitStack) -> _Pools:
    main = await stack.enter_async_context(open_pool(settings.database))
    scans = main
    if settings.replica.dsn is not None:
        # Opened when they are needed: the registry starts without the replica, too.
        told = {"dsn": settings.replica.dsn, "pool_min": 0, "pool_max": settings.replica.pool_max}
        replica = settings.database.model_copy(update=told)
        scans = await stack.enter_async_context(open_pool(replica))
    walks = await stack.enter_async_context(open_walks(settings.database))
    by_key = await stack.enter_async_context(open_by_key(settings.database))
    return _Pools(main, by_key=by_key, walks=walks, scans=scans)


def _checks(pools: _Pools) -> dict[str, Callable[[], Awaitable[bool]]]:
    replica = {} if pools.scans is pools.main else {"replica": partial(is_reachable, pools.scans)}
    return {"postgres": partial(is_reachable, pools.main), **replica}


async def _use_cases(
    settings: Settings, pools: _Pools, keys: KeyRing, clock: Clock, stack: AsyncExitStack
) -> UseCases:
    """What the calls ask for. On leaving the stack, what they left to be written is written."""
    apps = Apps(PostgresApps(pools.main), clock)
    guard = EndpointGuard(
        hosts=settings.web_push.allowed_hosts, origins=settings.web_push.allowed_origins
    )
    by_key = await stack.enter_async_context(Held(pools.by_key))
    registrations = PostgresRegistrations(pools.main, by_key=by_key)
    register = Register(registrations, apps, keys=keys, guard=guard, clock=clock)
    repeats = Repeats(registrations, apps, keys=keys, guard=guard, clock=clock)
    register_one = await stack.enter_async_context(
        open_register_one(register, repeats, clock, waited=REGISTRATION_WAIT.observe)
    )
    audit = await stack.enter_async_context(Audit(PostgresAudit(pools.main), clock))
    installations = PostgresInstallations(pools.main)
    selections = PostgresSelections(pools.main, walks=pools.walks)
    countings, listings = PostgresCountings(pools.scans), PostgresListings(pools.scans)
    lifecycle = PostgresLifecycle(pools.main)
    personal_data = PostgresPersonalData(pools.main)
    return UseCases(
        apps=apps,
        register=register,
        register_one=register_one,
        repeats=repeats,
        care=InstallationCare(installations, apps, clock),
        identity=Identity(installations, apps, clock),
        reachability=Reachability(installations, apps, clock),
        select=Select(selections, apps, keys=keys, clock=clock),
        survey=Survey(countings, listings, apps, clock),
        erase=Erase(personal_data, apps, keys=keys, clock=clock),
        export=Export(personal_data, apps, clock, max_bytes=settings.server.max_message_bytes),
        audit=audit,
        invalidate=Invalidate(lifecycle, apps, clock),
        restore=Restore(lifecycle, apps, clock),
        watch=_watch(settings, pools, apps, clock),
        preview=Preview(PostgresScans(pools.scans), apps, clock),
        statistics=Statistics(PostgresStatistics(pools.main), apps, clock),
    )


def _watch(settings: Settings, pools: _Pools, apps: Apps, clock: Clock) -> Watch:
    feed = PostgresChangeFeed(pools.main)
    poll, heartbeat = settings.feed.poll, settings.feed.heartbeat
    return Watch(feed, apps, clock=clock, poll=poll, heartbeat=heartbeat)


def _leader(settings: Settings, pools: _Pools, clock: Clock) -> Leader:
    """Hygiene and statistics, which one process does for all."""
    meter = PrometheusMeter()
    apps, statistics = PostgresApps(pools.main), PostgresStatistics(pools.main)
    hygiene = Hygiene(
        PostgresHygiene(pools.main),
        PostgresScans(pools.scans),
        PostgresStockScans(pools.scans),
        apps=apps,
        statistics=statistics,
        clock=clock,
        rhythm=Rhythm(
            every=settings.hygiene.every,
            grace=settings.hygiene.grace,
            batch=settings.hygiene.batch,
            pause=settings.hygiene.pause,
            changes_kept=settings.feed.retention,
            audit_kept=settings.audit.retention,
        ),
        meter=meter,
    )
    roll_up = RollUp(statistics, apps, clock, every=settings.statistics.every, gauge=meter)
    return Leader(
        PostgresElection(settings.database, clock),
        [hygiene.keep_running, roll_up.keep_counting],
        clock=clock,
        meter=meter,
    )


def folder_of_keys(settings: Settings) -> Path:
    """Where the keys are; in development they are made. Raises ConfigError."""
    folder = settings.keys.folder or settings.database.embedded_folder.parent / "registry-keys"
    if settings.keys.create or settings.keys.folder is None:
        make_missing_keys(folder)
    return folder
