"""The composition root: builds everything once, and has no logic."""

import asyncio
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio.targeting.v1 import targeting_service_pb2_grpc as rpc
from nuncio_runtime.client import connect_to
from nuncio_runtime.clock import SYSTEM_CLOCK, Clock
from nuncio_runtime.postgres import is_reachable, open_pool
from nuncio_runtime.serve import Mount, serve
from nuncio_targeting.api.servicer import TargetingServicer
from nuncio_targeting.clients.predicate import predicate_of
from nuncio_targeting.clients.registry import GrpcRegistry
from nuncio_targeting.config import Settings
from nuncio_targeting.domain.apps import Apps
from nuncio_targeting.domain.audiences import Audiences
from nuncio_targeting.domain.explain import Explain
from nuncio_targeting.domain.resolve import Resolve
from nuncio_targeting.domain.segments import SavedSegments
from nuncio_targeting.domain.validate import Validate
from nuncio_targeting.storage.postgres import PostgresSegments


async def run(
    settings: Settings,
    *,
    clock: Clock = SYSTEM_CLOCK,
    stop: asyncio.Event | None = None,
    started: Callable[[int], None] | None = None,
) -> None:
    """Serve until told to stop. stop and started: as in nuncio_runtime.serve."""
    async with AsyncExitStack() as stack:
        pool = await stack.enter_async_context(open_pool(settings.database))
        channel = await stack.enter_async_context(connect_to(settings.registry))
        segments = PostgresSegments(pool)
        registry = GrpcRegistry(channel, timeout=settings.registry.timeout)
        apps, audiences = Apps(registry.check_app, clock), Audiences(segments, clock)
        servicer = TargetingServicer(
            resolve=Resolve(apps, audiences, registry),
            explain=Explain(apps, audiences, registry),
            validate=Validate(apps, audiences),
            segments=SavedSegments(apps, audiences, segments, clock),
            predicate_of=predicate_of,
        )
        await serve(
            settings.server,
            [
                Mount(
                    rpc.add_TargetingServiceServicer_to_server,
                    servicer,
                    pb.DESCRIPTOR.services_by_name["TargetingService"],
                )
            ],
            checks={"postgres": partial(is_reachable, pool)},
            stop=stop,
            started=started,
        )
