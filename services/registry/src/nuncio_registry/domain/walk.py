"""Three roads through the keys of a selection, chosen by its predicate.

named   The predicate names installations or users: only their rows are read, by key.
scan    All other predicates: the keys are looked at in order, so many per statement. Linear in the
        table, whatever the predicate, and every statement is short. The first one looks at fewer
        keys: where matches are rare, the first page comes soon.
few     A scan that finds hardly anything asks an index once for the keys of all that is left, and
        then reads only those, by key. When no index knows, or there are many, it goes on scanning.

Keys that were found are only candidates: each page checks the predicate again, so changes and
consents that were committed before the page is read hold on every road.
"""

from collections.abc import Sequence
from typing import Final, Generic, TypeVar
from uuid import UUID

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.conjuncts import (
    besides_installations,
    named_installations,
    named_users,
)
from nuncio_registry.domain.keys import FIRST_KEY, LAST_KEY, NO_KEYS, KeySpan
from nuncio_registry.domain.ports.selection import Looked, Roads, Selection
from nuncio_registry.domain.predicate import Predicate, check_predicate
from nuncio_runtime.clock import Clock

Seen = TypeVar("Seen", bound=Looked)

FIRST_KEYS: Final = 2_000
MOST_KEYS: Final = 20_000
"""Keys that a scan looks at in one statement, at first and at most."""

MOST_FOUND: Final = 50_000
"""Keys that a walk keeps in memory."""


class Walk(Generic[Seen]):
    """One walk over the keys of a selection, from a span's first to its last."""

    def __init__(
        self, roads: Roads[Seen], selection: Selection, span: KeySpan, *, page_size: int
    ) -> None:
        self._roads = roads
        self._selection = selection
        self._left = span
        self._page_size = page_size
        self._keys = FIRST_KEYS
        self._asks_index = named_users(selection.predicate) is not None
        self._asked = False
        ids = named_installations(selection.predicate)
        self._candidates: Sequence[UUID] | None = None
        if ids is not None:
            self._candidates = [each for each in ids if span.first <= each.int <= span.last]
            # They are looked up by their ids: to compare these once more would cost a page's ids
            # times all of them.
            rest = besides_installations(selection.predicate)
            self._selection = selection._replace(predicate=rest)

    async def next(self) -> Seen | None:
        """The next page, which may be empty; None when all keys were looked at."""
        if self._left.is_empty:
            return None
        if self._candidates is None and self._asks_index and not self._asked:
            self._asked = True
            self._candidates = await self._roads.find(self._part(), most=MOST_FOUND)
        if self._candidates is not None:
            return await self._next_named(self._candidates)
        return await self._next_scanned()

    async def _next_named(self, candidates: Sequence[UUID]) -> Seen | None:
        page, rest = candidates[: self._page_size], candidates[self._page_size :]
        if not page:
            return None
        self._candidates = rest
        return await self._roads.among(self._part(), page)

    async def _next_scanned(self) -> Seen:
        part, keys = self._part(), self._keys
        rows = await self._roads.scan(part, limit=self._page_size, keys=keys)
        self._keys = min(keys * 2, MOST_KEYS)
        if rows.ended or rows.cursor is None:
            self._left = NO_KEYS
        else:
            self._left = self._left.after(rows.cursor)
        self._asks_index = self._asks_index or rows.sparse
        return rows

    def _part(self) -> Selection:
        """The selection, as far as it is not read yet."""
        return self._selection._replace(
            first=UUID(int=self._left.first), last=UUID(int=self._left.last)
        )


async def selection_of(
    apps: Apps, clock: Clock, app_id: str, predicate: Predicate | None, purpose: str
) -> Selection:
    """All keys of an app. Raises AppNotFound, InvalidField."""
    if predicate is not None:
        check_predicate(predicate)
    app = await apps.get(app_id)
    stale_before = clock.now() - app.stale_after
    return Selection(app_id, predicate, purpose, stale_before, FIRST_KEY, LAST_KEY)
