"""Counts and lists of installations by predicate, on the roads that `walk` describes.

No statement looks at more than so many keys, whatever the predicate. A call that is cancelled, or
whose deadline is over, ends between two of them at the latest.
"""

from collections import Counter
from collections.abc import Callable
from typing import Final
from uuid import UUID

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.keys import KeySpan
from nuncio_registry.domain.model import Installation, Platform, Suppression
from nuncio_registry.domain.ports.selection import Countings, Counts, Listings
from nuncio_registry.domain.predicate import Predicate
from nuncio_registry.domain.walk import Walk, selection_of
from nuncio_runtime.clock import Clock

COUNTED_AT_ONCE: Final = 5_000
"""Keys that were found and that one statement counts."""

LISTING_SECONDS: Final = 2.0
"""After how long a list gives what it has found, though its page is not full."""


LISTED_AT_ONCE: Final = 501
"""Installations that a list reads in one statement, for each may have most of 100 KB: half of the
largest page, and one that tells whether others follow. Reading fewer at a time took longer."""


class Survey:
    """Counts and lists installations. Raises AppNotFound, InvalidField."""

    def __init__(self, countings: Countings, listings: Listings, apps: Apps, clock: Clock) -> None:
        self._countings = countings
        self._listings = listings
        self._apps = apps
        self._clock = clock

    async def count(self, app_id: str, predicate: Predicate | None, purpose: str) -> Counts:
        """Count what a selection would give: each installation once, as it is at its turn."""
        selection = await selection_of(self._apps, self._clock, app_id, predicate, purpose)
        walk = Walk(self._countings, selection, KeySpan(), page_size=COUNTED_AT_ONCE)
        reachable: Counter[Platform] = Counter()
        suppressed: Counter[Suppression] = Counter()
        while (rows := await walk.next()) is not None:
            reachable.update(rows.counts.reachable)
            suppressed.update(rows.counts.suppressed)
        return Counts(reachable, suppressed)

    async def page(
        self,
        app_id: str,
        take: Callable[[Installation], bool],
        *,
        predicate: Predicate | None,
        after: UUID | None,
        limit: int,
    ) -> UUID | None:
        """Give `take` the installations that match, in key order, those greater than `after`.

        take: says whether there is room for another one. Where few match it may be given fewer
        than `limit`, even none, though others follow. Gives the key that the next page comes
        after, None: no more.
        """
        selection = await selection_of(self._apps, self._clock, app_id, predicate, "")
        left = KeySpan() if after is None else KeySpan().after(after)
        walk = Walk(self._listings, selection, left, page_size=min(limit + 1, LISTED_AT_ONCE))
        taken, last, has_room = 0, after, True
        until = self._clock.monotonic() + LISTING_SECONDS
        while (rows := await walk.next()) is not None:
            for installation in rows.installations:
                if not has_room or taken == limit:
                    return last
                has_room = take(installation)
                taken, last = taken + 1, installation.installation_id
            if not rows.ended and self._clock.monotonic() >= until:
                return rows.cursor
        return None
