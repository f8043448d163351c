"""The composition root: everything is built here, once."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_registry.api.calls import UseCases
from nuncio_registry.api.servicer import RegistryServicer
from nuncio_registry.config import Settings
from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.audit import Audit
from nuncio_registry.domain.coalesce import Coalescer
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.erase import Erase
from nuncio_registry.domain.export import Export
from nuncio_registry.domain.feed import Watch
from nuncio_registry.domain.hygiene import Hygiene, Preview, Rhythm
from nuncio_registry.domain.identity import Identity
from nuncio_registry.domain.installations import InstallationCare
from nuncio_registry.domain.invalidate import Invalidate
from nuncio_registry.domain.leader import Leader
from nuncio_registry.domain.reachability import Reachability
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.register_one import RegisterOne, WriteTogether
from nuncio_registry.domain.restore import Restore
from nuncio_registry.domain.sealing import KeyRing
from nuncio_registry.domain.select import Select
from nuncio_registry.domain.statistics import RollUp, Statistics
from nuncio_registry.metrics import REGISTRATION_WAIT, PrometheusMeter
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.audit import PostgresAudit
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.feed import PostgresChangeFeed
from nuncio_registry.storage.hygiene import PostgresHygiene, PostgresScans
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.key_files import KeyFolder, make_missing_keys, read_key_ring
from nuncio_registry.storage.leader import PostgresElection
from nuncio_registry.storage.lifecycle import PostgresLifecycle
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
    keys = key_folder.ring
    guard = EndpointGuard(
        hosts=settings.web_push.allowed_hosts, origins=settings.web_push.allowed_origins
    )
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings.database))
        scans = await _pool_of_scans(settings, pool, stack)
        walks = await stack.enter_async_context(open_walks(settings.database))
        selections = PostgresSelections(pool, walks=walks, scans=scans)
        apps = Apps(PostgresApps(pool), clock)
        register = Register(PostgresRegistrations(pool), apps, keys=keys, guard=guard, clock=clock)
        together = await stack.enter_async_context(
            Coalescer(WriteTogether(register), clock, waited=REGISTRATION_WAIT.observe)
        )
        audit = await stack.enter_async_context(Audit(PostgresAudit(pool), clock))
        personal_data = PostgresPersonalData(pool)
        use = UseCases(
            apps=apps,
            register=register,
            register_one=RegisterOne(register, together),
            care=InstallationCare(PostgresInstallations(pool, scans=scans), apps, clock),
            identity=Identity(PostgresInstallations(pool), apps, clock),
            reachability=Reachability(PostgresInstallations(pool), apps, clock),
            select=Select(selections, apps, keys=keys, clock=clock),
            erase=Erase(personal_data, apps, keys=keys, clock=clock),
            export=Export(personal_data, apps, clock, max_bytes=settings.server.max_message_bytes),
            audit=audit,
            invalidate=Invalidate(PostgresLifecycle(pool), apps, clock),
            restore=Restore(PostgresLifecycle(pool), apps, clock),
            watch=Watch(
                PostgresChangeFeed(pool),
                apps,
                clock=clock,
                poll=settings.feed.poll,
                heartbeat=settings.feed.heartbeat,
            ),
            preview=Preview(PostgresScans(scans), apps, clock),
            statistics=Statistics(PostgresStatistics(pool), apps, clock),
        )
        mount = Mount(
            rpc.add_RegistryServiceServicer_to_server,
            RegistryServicer(use),
            pb.DESCRIPTOR.services_by_name["RegistryService"],
            per_row=frozenset({"RegisterTokens"}),
        )
        await serve(
            settings.server,
            [mount],
            checks={"postgres": partial(is_reachable, pool), **_replica_check(pool, scans)},
            dispensable={"replica"},
            background=[
                _leader(settings, pool, scans, clock).keep_leading,
                partial(key_folder.keep_looking, settings.keys.reload_interval),
            ],
            stop=stop,
            started=started,
            draining=use.watch.drain,
        )


async def _pool_of_scans(settings: Settings, pool: Pool, stack: AsyncExitStack) -> Pool:
    """Connections to the replica, opened when they are needed; without one, those there are."""
    if settings.replica.dsn is None:
        return pool
    replica = {"dsn": settings.replica.dsn, "pool_min": 0, "pool_max": settings.replica.pool_max}
    return await stack.enter_async_context(open_pool(settings.database.model_copy(update=replica)))


def _replica_check(pool: Pool, scans: Pool) -> dict[str, Callable[[], Awaitable[bool]]]:
    return {} if scans is pool else {"replica": partial(is_reachable, scans)}


def _leader(settings: Settings, pool: Pool, scans: Pool, clock: Clock) -> Leader:
    """Hygiene and statistics, which one process does for all."""
    meter = PrometheusMeter()
    apps, statistics = PostgresApps(pool), PostgresStatistics(pool)
    hygiene = Hygiene(
        PostgresHygiene(pool),
        PostgresScans(scans),
        PostgresStockScans(scans),
        apps=apps,
        statistics=statistics,
        clock=clock,
        rhythm=Rhythm(
            every=settings.hygiene.every,
            batch=settings.hygiene.batch,
            pause=settings.hygiene.pause,
            changes_kept=settings.feed.retention,
            audit_kept=settings.audit.retention,
        ),
        meter=meter,
    )
    roll_up = RollUp(statistics, apps, clock, every=settings.statistics.every)
    return Leader(
        PostgresElection(settings.database, clock),
        [hygiene.keep_running, roll_up.keep_counting],
        clock=clock,
        meter=meter,
    )


def key_ring(settings: Settings) -> KeyRing:
    """The keys as they are now; in development they are made. Raises ConfigError."""
    return read_key_ring(folder_of_keys(settings))


def folder_of_keys(settings: Settings) -> Path:
    """Where the keys are; in development they are made. Raises ConfigError."""
    folder = settings.keys.folder or settings.database.embedded_folder.parent / "registry-keys"
    if settings.keys.create or settings.keys.folder is None:
        make_missing_keys(folder)
    return folder
