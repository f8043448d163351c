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
from nuncio_dispatcher.domain.ports import Journal, Meters, Queue
from nuncio_dispatcher.domain.wait import Wake
from nuncio_dispatcher.domain.work import Stay, Worker
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

LEAVE_SECONDS: Final = 2.0
SHORT_TURN: Final = 0.1
"""The part of a turn after which a shard makes room for one that was never worked on."""
ANSWERS_SHARE: Final = 0.6
"""The part of the drain time for which answers are waited for; the rest is for writing them."""


@dataclass(frozen=True, kw_only=True)
class RunnerPolicy:
    """shards: how many at once. lease, heartbeat: how long a lease lasts, how often it is renewed.

    turn: how long a shard is worked on while others wait. send_within: how long a lane may take
    over a page. poll: how often to look for shards that are due. drain: how long the pages at hand
    may take to close when the service stops. fault_pause: how long a shard is left alone after a
    fault that nobody expected.
    """

    shards: int = 4
    turn: timedelta = timedelta(seconds=2)
    send_within: timedelta = timedelta(minutes=2)
    lease: timedelta = timedelta(seconds=10)
    heartbeat: timedelta = timedelta(seconds=3)
    poll: timedelta = timedelta(seconds=1)
    drain: timedelta = timedelta(seconds=8)
    fault_pause: timedelta = timedelta(seconds=5)


@dataclass(frozen=True)
class _Held:
    """A shard that is being worked on."""

    stay: Stay
    task: asyncio.Task[None]


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
        self._held: dict[Lease, _Held] = {}
        self._wake = Wake(clock, poll=policy.poll)
        self._stopping = asyncio.Event()
        self._cut = asyncio.Event()

    def __repr__(self) -> str:
        return f"Runner(owner={self._owner}, held={len(self._held)})"

    def wake(self) -> None:
        """Look for work now: a dispatch was stored."""
        self._wake.set()

    def drain(self) -> None:
        """Open no more pages, close those at hand, and give the leases back."""
        self._stopping.set()
        for held in self._held.values():
            held.stay.leave.set()
        self._wake.set()

    async def run(self) -> None:
        """Work until cancelled; then drain, and return.

        What is not closed within the drain time is cut off and left in doubt.
        """
        running = asyncio.ensure_future(self._run())
        try:
            await asyncio.shield(running)
        finally:
            self.drain()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._policy.drain.total_seconds()):
                    await running

    async def _run(self) -> None:
        async with asyncio.TaskGroup() as group:
            beside = [group.create_task(self._keep_leases()), group.create_task(self._cut_short())]
            async with asyncio.TaskGroup() as shards:
                while not self._stopping.is_set():
                    for shard in await self._look():
                        stay = self._begin()
                        task = shards.create_task(self._hold(shard, stay))
                        self._held[shard.lease] = _Held(stay, task)
                    await self._wake.wait()
            for task in beside:
                task.cancel()

    async def _cut_short(self) -> None:
        """While draining, wait for answers only as long as there is time left to journal them."""
        await self._stopping.wait()
        await self._clock.sleep(ANSWERS_SHARE * self._policy.drain.total_seconds())
        self._cut.set()

    def _begin(self) -> Stay:
        stay = Stay(leave=asyncio.Event(), cut=self._cut, began=self._clock.monotonic())
        if self._stopping.is_set():
            stay.leave.set()
        return stay

    async def _look(self) -> Sequence[Shard]:
        """Claim what there is room for; without any, see to it that everyone has a turn."""
        free, now = self._policy.shards - len(self._held), self._clock.now()
        try:
            if free > 0:
                return await self._journal.claim(
                    owner=self._owner,
                    limit=free,
                    term=self._policy.lease,
                    now=now,
                    held=self._held.keys(),
                )
            self._end_turns(await self._journal.queue(limit=self._policy.shards, now=now))
        except Exception as error:  # noqa: BLE001 - the next poll tries again
            log.warning("shards_not_claimed", fault=type(error).__name__, reason=str(error))
        return []

    def _end_turns(self, queue: Queue) -> None:
        """Let those that were worked on the longest go, one for each shard that waits.

        One that was never worked on, which may be a single message to a person, does not wait for
        a whole turn.
        """
        stays = sorted((held.stay for held in self._held.values()), key=lambda stay: stay.began)
        staying = [stay for stay in stays if not stay.leave.is_set()]
        turn, now = self._policy.turn.total_seconds(), self._clock.monotonic()
        granted = [SHORT_TURN * turn] * queue.new + [turn] * queue.known
        going = len(stays) - len(staying)
        for stay, seconds in zip(staying, granted[going:], strict=False):
            if now - stay.began >= seconds:
                stay.leave.set()

    async def _hold(self, shard: Shard, stay: Stay) -> None:
        lease, pause = shard.lease, timedelta()
        try:
            await self._worker.work(shard, stay)
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
                held[lease].task.cancel()

    def _lost(self, lease: Lease) -> None:
        self._meters.lease_lost()
        log.warning("lease_lost", dispatch_id=str(lease.dispatch_id), shard=lease.shard_no)
