"""Keeps a bounded number of shards at work, and their leases alive."""

import asyncio
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Final
from uuid import UUID, uuid4

import structlog

from nuncio_dispatcher.domain.errors import LeaseLost
from nuncio_dispatcher.domain.pages import Lease, Shard
from nuncio_dispatcher.domain.ports import Journal, Meters
from nuncio_dispatcher.domain.wait import Wake
from nuncio_dispatcher.domain.work import Worker
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

LEAVE_SECONDS: Final = 2.0


@dataclass(frozen=True, kw_only=True)
class RunnerPolicy:
    """shards: how many at once. lease, heartbeat: how long a lease lasts, how often it is renewed.

    poll: how often to look for shards that are due. drain: how long the pages at hand may take
    to close when the service stops. fault_pause: how long a shard is left alone after a fault
    that nobody expected.
    """

    shards: int = 4
    lease: timedelta = timedelta(seconds=10)
    heartbeat: timedelta = timedelta(seconds=3)
    poll: timedelta = timedelta(seconds=1)
    drain: timedelta = timedelta(seconds=8)
    fault_pause: timedelta = timedelta(seconds=5)


class Runner:
    """Leases shards that are due and has them worked on. Any number of replicas may run one."""

    def __init__(
        self,
        journal: Journal,
        worker: Worker,
        *,
        clock: Clock,
        policy: RunnerPolicy,
        meters: Meters,
        committed: Callable[[UUID], None],
    ) -> None:
        self._journal = journal
        self._worker = worker
        self._clock = clock
        self._policy = policy
        self._meters = meters
        self._committed = committed
        self._owner = uuid4()
        self._held: dict[Lease, asyncio.Task[None]] = {}
        self._wake = Wake(clock, poll=policy.poll)
        self._stopping = asyncio.Event()

    def __repr__(self) -> str:
        return f"Runner(owner={self._owner}, held={len(self._held)})"

    def wake(self) -> None:
        """Look for work now: a dispatch was stored."""
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled; then close the pages at hand, give the leases back, and return.

        What is not closed within the drain time is cut off and left in doubt.
        """
        running = asyncio.ensure_future(self._run())
        try:
            await asyncio.shield(running)
        finally:
            self._stopping.set()
            self._wake.set()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._policy.drain.total_seconds()):
                    await running

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            heartbeat = group.create_task(self._keep_leases())
            async with asyncio.TaskGroup() as shards:
                while not self._stopping.is_set():
                    for shard in await self._claim():
                        self._held[shard.lease] = shards.create_task(self._hold(shard))
                    await self._wake.wait()
            heartbeat.cancel()

    async def _claim(self) -> Sequence[Shard]:
        free = self._policy.shards - len(self._held)
        if free <= 0:
            return []
        try:
            return await self._journal.claim(
                owner=self._owner, limit=free, term=self._policy.lease, now=self._clock.now()
            )
        except Exception as error:  # noqa: BLE001 - the next poll tries again
            log.warning("shards_not_claimed", fault=type(error).__name__, reason=str(error))
            return []

    async def _hold(self, shard: Shard) -> None:
        lease, pause = shard.lease, timedelta()
        try:
            await self._worker.work(shard, self._stopping)
        except LeaseLost:
            self._lost(lease)
        except Exception:
            log.exception("shard_failed", dispatch_id=str(lease.dispatch_id), shard=lease.shard_no)
            pause = self._policy.fault_pause
        finally:
            self._held.pop(lease, None)
            await self._leave(lease, pause)
            self._wake.set()

    async def _leave(self, lease: Lease, pause: timedelta) -> None:
        now = self._clock.now()
        try:
            async with asyncio.timeout(LEAVE_SECONDS):
                finished = await self._journal.leave(lease, now=now, not_before=now + pause)
            if finished:
                log.info("dispatch_finished", dispatch_id=str(lease.dispatch_id))
        except LeaseLost:
            return  # Somebody else has it; there is nothing to give back.
        except Exception as error:  # noqa: BLE001 - the lease ends by itself
            log.warning("lease_not_returned", fault=type(error).__name__, reason=str(error))
        self._committed(lease.dispatch_id)

    async def _keep_leases(self) -> None:
        while True:
            await self._clock.sleep(self._policy.heartbeat.total_seconds())
            held = dict(self._held)
            if not held:
                continue
            try:
                kept = await self._journal.renew(self._owner, held.keys(), term=self._policy.lease)
            except Exception as error:  # noqa: BLE001 - writes are fenced; the next beat may come through
                log.warning("leases_not_renewed", fault=type(error).__name__, reason=str(error))
                continue
            for lease in held.keys() & self._held.keys() - set(kept):
                self._lost(lease)
                held[lease].cancel()

    def _lost(self, lease: Lease) -> None:
        self._meters.lease_lost()
        log.warning("lease_lost", dispatch_id=str(lease.dispatch_id), shard=lease.shard_no)
