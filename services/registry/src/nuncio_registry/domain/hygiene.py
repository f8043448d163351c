"""Hygiene: what the registry does by itself after each app's policies.

One walk over the installations of an app lets tokens expire, deletes what is long dead, and counts
the app's stock. Every batch is a short transaction that looks at its conditions again; nothing
goes wrong when two processes do it at once, it is only done twice.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable
from contextlib import aclosing
from datetime import datetime, timedelta
from functools import partial
from typing import Final, NamedTuple
from uuid import UUID

import structlog

from nuncio_registry.domain.apps import CLEARED_AT_ONCE
from nuncio_registry.domain.keys import KeySpan
from nuncio_registry.domain.model import App
from nuncio_registry.domain.ports.apps import AppStore
from nuncio_registry.domain.ports.hygiene import (
    Cutoffs,
    Fate,
    Group,
    HygieneStore,
    Meter,
    Part,
    Removed,
    Scans,
)
from nuncio_registry.domain.ports.statistics import StatisticsStore, StockScans
from nuncio_registry.domain.recount import Beginning, first_day, recount_of
from nuncio_registry.domain.tally import Tally
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

# Rows that one statement looks at.
LOOKED_AT: Final = 5_000
APPS_AT_ONCE: Final = 100

# How long days are kept: as long as GetRegistryStats can be asked for.
DAYS_KEPT: Final = timedelta(days=400)

# How often to look for an app that is due, and how long to leave it alone after a failure.
LOOK_SECONDS: Final = 5.0
REST_SECONDS: Final = 60.0


class Rhythm(NamedTuple):
    """How often, and how gently.

    grace: how long a new leader only counts. pause: between two batches.
    """

    every: timedelta
    grace: timedelta
    batch: int
    pause: timedelta
    changes_kept: timedelta
    audit_kept: timedelta


def cutoffs_of(app: App, now: datetime) -> Cutoffs:
    """The app's policies as times."""
    # An app that is older than expire_after may have a stale_after that is longer than it.
    expire_after = max(app.expire_after, app.stale_after)
    return Cutoffs(
        stale=now - app.stale_after, expire=now - expire_after, delete=now - app.retention
    )


async def walk(
    scans: Scans, app_id: str, cutoffs: Cutoffs
) -> AsyncGenerator[tuple[UUID, Part], None]:
    """All installations in key order, part by part, each with the key that it begins at."""
    span = KeySpan()
    while not span.is_empty:
        first = UUID(int=span.first)
        part = await scans.part(app_id, first=first, cutoffs=cutoffs, limit=LOOKED_AT)
        if part is None:
            return
        yield first, part
        if part.is_last:
            return
        span = span.after(part.cursor)


class Hygiene:
    """Carries the policies out."""

    def __init__(
        self,
        store: HygieneStore,
        scans: Scans,
        stock_scans: StockScans,
        *,
        apps: AppStore,
        statistics: StatisticsStore,
        clock: Clock,
        rhythm: Rhythm,
        meter: Meter,
    ) -> None:
        self._store = store
        self._scans = scans
        self._stock_scans = stock_scans
        self._apps = apps
        self._statistics = statistics
        self._clock = clock
        self._rhythm = rhythm
        self._meter = meter

    async def keep_running(self) -> None:
        """Until cancelled, run for each app that is due, and now and then for what has no app.

        Nothing is changed before the grace is over, only counted: whoever starts the registry with
        policies that he did not mean, after an update above all, has so long to set others.
        """
        acting_from = self._clock.now() + self._rhythm.grace
        log.info("hygiene_only_counts", until=acting_from.isoformat())
        swept_at: datetime | None = None
        while True:
            try:
                if not await self._run_for_those_due(acting_from):
                    await self._clock.sleep(REST_SECONDS)
                now = self._clock.now()
                swept = swept_at is not None and now - swept_at < self._rhythm.every
                if now >= acting_from and not swept:
                    await self.sweep()
                    swept_at = now
            # Whatever it is, registration goes on without hygiene.
            except Exception as error:
                log.error("hygiene_failed", exc_info=error)
                await self._clock.sleep(REST_SECONDS)
            await self._clock.sleep(LOOK_SECONDS)

    async def _run_for_those_due(self, acting_from: datetime) -> bool:
        """Whether all of them went well. What is wrong with one is not the others' trouble."""
        now = self._clock.now()
        acting = now >= acting_from
        before, after, well = now - self._rhythm.every, "", True
        if acting:  # What was only counted until then is due once more.
            before = max(before, acting_from - datetime.resolution)
        look = partial(self._store.due, counted_before=before, now=now, limit=APPS_AT_ONCE)
        while due := await look(after=after):
            for app in due:
                try:
                    await (self.run(app) if acting else self.count(app))
                except Exception as error:
                    log.error("hygiene_failed", app_id=app.app_id, exc_info=error)
                    well = False
            after = due[-1].app_id
        return well

    async def run(self, app: App) -> Counter[Removed]:
        """Do what the app's policies say now, and count its stock; how many rows changed."""
        cutoffs, beginning = cutoffs_of(app, self._clock.now()), await self._begin(app)
        removed: Counter[Removed] = Counter()

        async def carry_out(part: Part) -> Iterable[Group]:
            await self._carry_out(app.app_id, part, cutoffs, removed)
            return part.groups

        tally = await self._take_stock(app, cutoffs, carry_out)
        await self._delete_history(app, cutoffs, removed)
        seconds = await self._put_stock(app, tally, beginning)
        self._meter.ran(seconds=seconds, at=self._clock.now())
        log.info("hygiene_ran", app_id=app.app_id, seconds=round(seconds, 3), **_named(removed))
        return removed

    async def count(self, app: App) -> None:
        """Count the app's stock, and tell in the log what a run would do to installations."""
        due: Counter[Fate] = Counter()
        beginning = await self._begin(app)

        async def foresee(part: Part) -> Iterable[Group]:
            for group in part.groups:
                due[group.fate] += group.installations
            return [group._replace(fate=Fate.KEPT) for group in part.groups]

        tally = await self._take_stock(app, cutoffs_of(app, self._clock.now()), foresee)
        await self._put_stock(app, tally, beginning)
        expiring, deleting = due[Fate.EXPIRING], due[Fate.DELETING]
        log.info("hygiene_counted", app_id=app.app_id, expiring=expiring, deleting=deleting)

    async def _take_stock(
        self, app: App, cutoffs: Cutoffs, treat: Callable[[Part], Awaitable[Iterable[Group]]]
    ) -> Tally:
        """Walk over the app's installations, treat each part, and count what that gives."""
        tally = Tally()
        async with aclosing(walk(self._scans, app.app_id, cutoffs)) as parts:
            async for first, part in parts:
                tally.add(await treat(part))
                tally.answer(
                    await self._stock_scans.answers(app.app_id, first=first, last=part.cursor)
                )
                await self._pause()
        await self._count_users(app.app_id, tally)
        return tally

    async def _begin(self, app: App) -> Beginning:
        at, since = self._clock.monotonic(), first_day(self._clock.now())
        return Beginning(since, await self._stock_scans.changes(app.app_id, since=since), at)

    async def _put_stock(self, app: App, tally: Tally, beginning: Beginning) -> float:
        """From now on the app is not due, until much has happened; how many seconds it took."""
        now, seconds = self._clock.now(), self._clock.monotonic() - beginning.at
        stock = tally.stock(now)
        recount = recount_of(stock, beginning, seconds=seconds)
        await self._statistics.put_stock(app.app_id, now.date(), stock, recount)
        return seconds

    async def _carry_out(
        self, app_id: str, part: Part, cutoffs: Cutoffs, removed: Counter[Removed]
    ) -> None:
        for fate, act, before, what in (
            (Fate.EXPIRING, self._store.expire, cutoffs.expire, Removed.EXPIRED),
            (Fate.DELETING, self._store.delete, cutoffs.delete, Removed.DELETED),
        ):
            ids = sorted(id_ for group in part.groups if group.fate == fate for id_ in group.ids)
            for at in range(0, len(ids), self._rhythm.batch):
                batch = ids[at : at + self._rhythm.batch]
                rows = await act(app_id, batch, before=before, now=self._clock.now())
                self._took(removed, what, rows)
                await self._pause()

    async def _count_users(self, app_id: str, tally: Tally) -> None:
        after = ""
        while users := await self._stock_scans.users(app_id, after=after, limit=LOOKED_AT):
            tally.add_users(users.by_number)
            if users.is_last:
                return
            after = users.cursor
            await self._pause()

    async def _delete_history(self, app: App, cutoffs: Cutoffs, removed: Counter[Removed]) -> None:
        store, changes_before = self._store, self._clock.now() - self._rhythm.changes_kept

        async def invalidations(limit: int) -> int:
            before = cutoffs.delete
            return await store.delete_invalidations(app.app_id, before=before, limit=limit)

        async def changes(limit: int) -> int:
            return await store.delete_changes(app.app_id, before=changes_before, limit=limit)

        await self._in_batches(invalidations, Removed.INVALIDATIONS, removed)
        await self._in_batches(changes, Removed.CHANGES, removed)

    async def sweep(self) -> Counter[Removed]:
        """Delete what is too old and belongs to all, and what is left of deleted apps."""
        now = self._clock.now()
        removed: Counter[Removed] = Counter()

        async def audit_events(limit: int) -> int:
            before = now - self._rhythm.audit_kept
            return await self._store.delete_audit_events(before=before, limit=limit)

        async def days(limit: int) -> int:
            return await self._store.delete_days(before=(now - DAYS_KEPT).date(), limit=limit)

        await self._in_batches(audit_events, Removed.AUDIT_EVENTS, removed)
        await self._in_batches(days, Removed.DAYS, removed)
        for app_id in await self._apps.deleted():
            while rows := await self._apps.clear(app_id, limit=CLEARED_AT_ONCE):
                self._took(removed, Removed.LEFTOVERS, rows)
                await self._pause()
        if removed:
            log.info("hygiene_swept", **_named(removed))
        return removed

    async def _in_batches(
        self,
        delete: Callable[[int], Awaitable[int]],
        what: Removed,
        removed: Counter[Removed],
    ) -> None:
        while rows := await delete(self._rhythm.batch):
            self._took(removed, what, rows)
            await self._pause()

    def _took(self, removed: Counter[Removed], what: Removed, rows: int) -> None:
        if rows:
            removed[what] += rows
            self._meter.removed(what, rows)

    async def _pause(self) -> None:
        # Real time, not the clock's: it is there to let other work on this database have its turn.
        await asyncio.sleep(self._rhythm.pause.total_seconds())


def _named(removed: Counter[Removed]) -> dict[str, int]:
    return {what.value: removed[what] for what in Removed if what in removed}
