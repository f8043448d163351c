"""Statistics: the stock as hygiene counted it, and what happened day by day."""

from collections import Counter
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

import structlog

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.model import ChangeKind, ConsentState, Permission
from nuncio_registry.domain.ports.apps import AppStore
from nuncio_registry.domain.ports.statistics import Gauge, StatisticsStore, Stock
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

DEFAULT_DAYS: Final = 30

APPS_AT_ONCE: Final = 100
CHANGES_AT_ONCE: Final = 5_000
REST_SECONDS: Final = 60.0

_NO_TIME: Final = timedelta(0)


class Day(NamedTuple):
    """What happened on a day (UTC), and with how many live installations it ended."""

    day: date
    active: int
    happened: Counter[tuple[int, int]]

    def count(self, kind: ChangeKind, value: ConsentState | Permission | None = None) -> int:
        """How often it happened, with this value where one is given."""
        if value is not None:
            return self.happened[kind, value]
        return sum(count for (each, _), count in self.happened.items() if each == kind)


class Statistics:
    """Tells what was counted."""

    def __init__(self, store: StatisticsStore, apps: Apps, clock: Clock) -> None:
        self._store = store
        self._apps = apps
        self._clock = clock

    async def tell(self, app_id: str, *, days: int) -> tuple[Stock | None, Sequence[Day]]:
        """The latest stock, None when none was counted, and so many days, today the last.

        Raises AppNotFound.
        """
        await self._apps.require(app_id)
        today = self._clock.now().date()
        period = [today - timedelta(days=ago) for ago in reversed(range(days or DEFAULT_DAYS))]
        happened: dict[date, Counter[tuple[int, int]]] = {day: Counter() for day in period}
        for flow in await self._store.flows(app_id, since=period[0]):
            if flow.day in happened:  # Another replica's clock may be ahead, in tomorrow.
                happened[flow.day][flow.kind, flow.value] += flow.times
        active = await self._store.active_by_day(app_id, since=period[0])
        stock = await self._store.latest_stock(app_id)
        return stock, [Day(day, active.get(day, 0), happened[day]) for day in period]


class RollUp:
    """Counts the change feed into days. The leader does it."""

    def __init__(
        self,
        store: StatisticsStore,
        apps: AppStore,
        clock: Clock,
        *,
        every: timedelta,
        gauge: Gauge,
    ) -> None:
        self._store = store
        self._apps = apps
        self._clock = clock
        self._every = every
        self._gauge = gauge

    async def keep_counting(self) -> None:
        """Until cancelled, count what is new."""
        try:
            await self._keep_counting()
        finally:  # Another one leads, and shows it.
            self._gauge.behind(uncounted=_NO_TIME, held_back=_NO_TIME)

    async def _keep_counting(self) -> None:
        while True:
            try:
                if not await self.count():
                    await self._clock.sleep(REST_SECONDS)
            # Whatever it is, registration goes on without statistics.
            except Exception as error:
                log.error("statistics_failed", exc_info=error)
                await self._clock.sleep(REST_SECONDS)
            await self._clock.sleep(self._every.total_seconds())

    async def count(self) -> bool:
        """Count what is new in the feed of every app; whether it went well for all of them."""
        after, well = "", True
        uncounted = held_back = _NO_TIME
        while apps := await self._apps.page(after=after, limit=APPS_AT_ONCE):
            for app in apps:
                try:
                    waiting = await self._store.waiting(app.app_id)
                    uncounted = max(uncounted, self._age(waiting.uncounted_since))
                    held_back = max(held_back, self._age(waiting.held_back_since))
                    while await self._store.roll_up(app.app_id, limit=CHANGES_AT_ONCE):
                        pass
                except Exception as error:
                    log.error("statistics_failed", app_id=app.app_id, exc_info=error)
                    well = False
            after = apps[-1].app_id
        self._gauge.behind(uncounted=uncounted, held_back=held_back)
        return well

    def _age(self, since: datetime | None) -> timedelta:
        return _NO_TIME if since is None else self._clock.now() - since
