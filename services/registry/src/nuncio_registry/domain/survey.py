"""Counts and lists of installations by predicate, on the roads that `walk` describes.

No statement looks at more than so many keys, whatever the predicate. A call that is cancelled, or
whose deadline is over, ends between two of them at the latest.
"""

from collections import Counter
from collections.abc import Sequence
from typing import Final, NamedTuple
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


class ListPage(NamedTuple):
    """Installations in key order. next: the key that the next page comes after, None: no more."""

    installations: Sequence[Installation]
    next: UUID | None


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
        self, app_id: str, *, predicate: Predicate | None, after: UUID | None, limit: int
    ) -> ListPage:
        """Installations that match, those greater than `after`.

        Where few match there may be fewer than `limit`, even none, though others follow.
        """
        selection = await selection_of(self._apps, self._clock, app_id, predicate, "")
        left = KeySpan() if after is None else KeySpan().after(after)
        walk = Walk(self._listings, selection, left, page_size=limit + 1)
        found: list[Installation] = []
        until = self._clock.monotonic() + LISTING_SECONDS
        while (rows := await walk.next()) is not None:
            found += rows.installations
            if len(found) > limit:
                return ListPage(found[:limit], found[limit - 1].installation_id)
            if not rows.ended and self._clock.monotonic() >= until:
                return ListPage(found, rows.cursor)
        return ListPage(found, None)
