"""The composition root: builds everything once, and has no logic."""

import asyncio
import random
from collections.abc import Callable
from contextlib import AsyncExitStack
from functools import partial

from nuncio.feedback.v1 import feedback_service_pb2 as pb
from nuncio.feedback.v1 import feedback_service_pb2_grpc as rpc
from nuncio_feedback.api.servicer import FeedbackServicer
from nuncio_feedback.clients.registry import GrpcRegistry
from nuncio_feedback.config import InvalidationSettings, Settings
from nuncio_feedback.domain.forget import ForgetPages
from nuncio_feedback.domain.lessons import ReadLessons
from nuncio_feedback.domain.record import RecordOutcomes
from nuncio_feedback.domain.retire import RetireTokens, Rhythm
from nuncio_feedback.metrics import PrometheusMeter
from nuncio_feedback.storage.postgres import PostgresInvalidations, PostgresOutcomes
from nuncio_runtime.client import connect_to
from nuncio_runtime.clock import SYSTEM_CLOCK, Clock
from nuncio_runtime.postgres import is_reachable, open_pool
from nuncio_runtime.serve import Mount, serve


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
        meter = PrometheusMeter()
        outcomes, invalidations = PostgresOutcomes(pool), PostgresInvalidations(pool)
        registry = GrpcRegistry(channel, timeout=settings.registry.timeout)
        retire = RetireTokens(
            invalidations,
            registry,
            clock=clock,
            meter=meter,
            rhythm=_rhythm(settings.invalidation),
            draw=random.SystemRandom().random,
        )
        forget = ForgetPages(outcomes, clock=clock, keep=settings.hygiene.keep_pages)
        servicer = FeedbackServicer(
            RecordOutcomes(outcomes, clock=clock, meter=meter, found_dead=retire.wake),
            ReadLessons(outcomes, invalidations, registry),
            depth=settings.pages_in_flight,
        )
        await serve(
            settings.server,
            [
                Mount(
                    rpc.add_FeedbackServiceServicer_to_server,
                    servicer,
                    pb.DESCRIPTOR.services_by_name["FeedbackService"],
                )
            ],
            checks={"postgres": partial(is_reachable, pool)},
            background=[
                retire.keep_waking,
                retire.keep_settling,
                partial(forget.keep_forgetting, every=settings.hygiene.interval),
            ],
            stop=stop,
            started=started,
        )


def _rhythm(settings: InvalidationSettings) -> Rhythm:
    return Rhythm(
        batch=settings.batch,
        every=settings.poll_interval,
        first_wait=settings.first_wait,
        longest_wait=settings.longest_wait,
    )
