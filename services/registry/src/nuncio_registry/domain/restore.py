"""Restoring: invalidations that turned out to be wrong are taken back, batch by batch."""

from collections import Counter
from datetime import datetime, timedelta
from typing import Final, NamedTuple

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.ports.lifecycle import Lifecycle, Mark, RestoreOutcome, Window
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import FieldViolation, InvalidField

LONGEST_WINDOW: Final = timedelta(days=400)
BATCH: Final = 1000


class Wish(NamedTuple):
    """Which invalidations somebody wants back: see Window. end: None means now."""

    start: datetime
    end: datetime | None = None
    reasons: tuple[str, ...] = ()
    lane: str = ""
    campaign: str = ""


class Restore:
    """Makes tokens live again that a provider called dead."""

    def __init__(self, lifecycle: Lifecycle, apps: Apps, clock: Clock) -> None:
        self._lifecycle = lifecycle
        self._apps = apps
        self._clock = clock

    async def all(
        self, app_id: str, wish: Wish, *, dry_run: bool = False
    ) -> Counter[RestoreOutcome]:
        """What came of the invalidations, by kind. Each batch is stored when it is done.

        Cut short, what is done stays done, and calling again does the rest. Raises InvalidField
        for a window that is none, AppNotFound.
        """
        now = self._clock.now()
        window = _window(wish, now=now)
        await self._apps.require(app_id)
        counts: Counter[RestoreOutcome] = Counter()
        mark: Mark | None = None
        while True:
            outcomes, mark = await self._lifecycle.restore(
                app_id, window, after=mark, limit=BATCH, now=now, dry_run=dry_run
            )
            counts.update(outcomes)
            if mark is None:
                return counts


def _window(wish: Wish, *, now: datetime) -> Window:
    """The window with its end. Raises InvalidField."""
    end = now if wish.end is None else wish.end
    if wish.start > now:
        raise InvalidField(FieldViolation("start_time", "must not be in the future"))
    if wish.end is not None and end <= wish.start:
        raise InvalidField(FieldViolation("end_time", "must be later than start_time"))
    if end - wish.start > LONGEST_WINDOW:
        rule = f"must be at most {LONGEST_WINDOW.days} days before end_time"
        raise InvalidField(FieldViolation("start_time", rule))
    return Window(wish.start, end, wish.reasons, wish.lane, wish.campaign)
