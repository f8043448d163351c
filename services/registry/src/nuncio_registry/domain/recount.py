"""When an app's stock is counted again before its turn: soon, once much has happened."""

from datetime import date, datetime, timedelta
from typing import Final, NamedTuple

from nuncio_registry.domain.ports.statistics import Recount, Stock

# A stock is worth counting again when a tenth of it may have changed: so a walk looks at ten rows
# at most for each change, however large the app is.
SHARE: Final = 10

# Never sooner than that, nor than so many times as long as the walk took: the walks over an app
# take a twentieth of the time at most, even while all of it changes.
SOONEST: Final = timedelta(seconds=30)
TIMES_AS_LONG: Final = 20

# Changes belong to the day on which they happened, and may be counted on the next.
ONE_DAY: Final = timedelta(days=1)


class Beginning(NamedTuple):
    """What is known when a walk begins.

    changes: those counted into the days from `since` on. at: seconds of the monotonic clock.
    """

    since: date
    changes: int
    at: float


def first_day(now: datetime) -> date:
    """The day from which on changes are looked at by a walk that begins now."""
    return now.date() - ONE_DAY


def recount_of(stock: Stock, beginning: Beginning, *, seconds: float) -> Recount:
    """When to count again what a walk of so many seconds has counted."""
    # Counted from its beginning: the walk may have passed by what changed meanwhile.
    enough = max(1, stock.installations // SHARE)
    wait = max(SOONEST, timedelta(seconds=TIMES_AS_LONG * seconds))
    return Recount(stock.counted_at + wait, beginning.since, beginning.changes + enough)
