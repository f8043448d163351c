"""The composition root: everything is built here, once."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_registry.api.calls import UseCases
from nuncio_registry.api.servicer import RegistryServicer
from nuncio_registry.config import Settings
from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.installations import InstallationCare
from nuncio_registry.domain.invalidate import Invalidate
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.sealing import KeyRing
from nuncio_registry.domain.select import Select
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.key_files import make_missing_keys, read_key_ring
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_registry.storage.selection import PostgresSelections
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
    keys = key_ring(settings)
    guard = EndpointGuard(
        hosts=settings.web_push.allowed_hosts, origins=settings.web_push.allowed_origins
    )
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings.database))
        apps = Apps(PostgresApps(pool), clock)
        use = UseCases(
            apps=apps,
            register=Register(
                PostgresRegistrations(pool), apps, keys=keys, guard=guard, clock=clock
            ),
            care=InstallationCare(PostgresInstallations(pool), apps, clock),
            select=Select(PostgresSelections(pool), apps, keys=keys, clock=clock),
            invalidate=Invalidate(PostgresLifecycle(pool), apps),
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
            checks={"postgres": partial(is_reachable, pool)},
            stop=stop,
            started=started,
        )


def key_ring(settings: Settings) -> KeyRing:
    """The keys of the folder; in development they are made. Raises ConfigError."""
    folder = settings.keys.folder or settings.database.embedded_folder.parent / "registry-keys"
    if settings.keys.create or settings.keys.folder is None:
        make_missing_keys(folder)
    return read_key_ring(folder)
