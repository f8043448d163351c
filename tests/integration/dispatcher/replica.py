"""A replica's background work on a real database, between scripted neighbours."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from uuid import UUID

import asyncpg

from nuncio_dispatcher.domain.books import Outcome
from nuncio_dispatcher.domain.dispatch import Audience, DeliveryPolicy, Dispatch
from nuncio_dispatcher.domain.retry import RetryPolicy
from nuncio_dispatcher.domain.run import Runner, RunnerPolicy
from nuncio_dispatcher.domain.watch import Changes, Watch
from nuncio_dispatcher.domain.work import Worker
from nuncio_dispatcher.storage.postgres import PostgresDispatches, PostgresJournal
from nuncio_runtime.clock import SYSTEM_CLOCK
from tests.integration.dispatcher.scripted import CountingMeters, ScriptedLanes, ScriptedTargeting
from tests.unit.dispatcher.builders import new_dispatch, work

MILLISECOND = timedelta(milliseconds=1)
QUICK = RetryPolicy(
    first_wait=10 * MILLISECOND, unsent_wait=10 * MILLISECOND, probe_wait=10 * MILLISECOND
)
BRISK = RunnerPolicy(
    turn=100 * MILLISECOND,
    lease=1000 * MILLISECOND,
    heartbeat=100 * MILLISECOND,
    poll=20 * MILLISECOND,
    drain=1000 * MILLISECOND,
)


@dataclass
class Replica:
    """What one process of the dispatcher has; several may share a database."""

    pool: "asyncpg.Pool[asyncpg.Record]"
    targeting: ScriptedTargeting
    lanes: ScriptedLanes
    journal: PostgresJournal | None = None
    policy: RunnerPolicy = BRISK
    retry: RetryPolicy = QUICK
    meters: CountingMeters = field(default_factory=CountingMeters)

    def __post_init__(self) -> None:
        changes, journal = Changes(), self.journal or PostgresJournal(self.pool)
        self.dispatches = PostgresDispatches(self.pool)
        self.watch = Watch(self.dispatches, changes, SYSTEM_CLOCK)
        worker = Worker(
            journal,
            self.targeting,
            self.lanes,
            clock=SYSTEM_CLOCK,
            retry=self.retry,
            send_within=self.policy.send_within,
            meters=self.meters,
            committed=changes.notify,
        )
        self.runner = Runner(
            journal,
            worker,
            clock=SYSTEM_CLOCK,
            policy=self.policy,
            meters=self.meters,
            committed=changes.notify,
        )

    async def add(
        self,
        *,
        delivery: DeliveryPolicy = DeliveryPolicy.AT_LEAST_ONCE,
        lasting: timedelta = timedelta(minutes=5),
        audience: Audience | None = None,
        shards: int = 1,
    ) -> UUID:
        """Store a dispatch."""
        now = datetime.now(UTC)
        wanted = work(delivery=delivery, expires_at=now + lasting, audience=audience)
        ref = str(wanted.dispatch_id)
        new = new_dispatch(wanted, client_ref=ref, created_at=now, shards=shards)
        assert await self.dispatches.add(new)
        return wanted.dispatch_id

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """The runner works while inside, and stops in good order."""
        tasks = [asyncio.create_task(run()) for run in (self.runner.run, self.watch.keep_looking)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def finished(self, dispatch_id: UUID) -> Dispatch:
        """The dispatch once it has finished; its books add up in every state before."""
        async for dispatch in self.watch.follow(dispatch_id):
            assert dispatch.books.add_up()
        assert dispatch.books.unfinished() == 0
        return dispatch


def totals(dispatch: Dispatch) -> dict[str, int]:
    """What the books say, by outcome, without zeros."""
    found = {outcome.name: dispatch.books.total(outcome) for outcome in Outcome}
    return {name: count for name, count in found.items() if count}
