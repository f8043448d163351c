"""What the domain asks of the storage of selections. The comments are the contract."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import compress
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from nuncio_registry.domain.model import Platform, Suppression
from nuncio_registry.domain.predicate import Predicate

T = TypeVar("T")


class Selection(NamedTuple):
    """Which installations to look at, and what they need to be reached.

    first and last: keys, both inclusive. purpose: empty, when consent is not asked for.
    stale_before: installations last seen earlier are stale.
    """

    app_id: str
    predicate: Predicate | None
    purpose: str
    stale_before: datetime
    first: UUID
    last: UUID


class SelectedRows(NamedTuple):
    """The rows of one page by columns, those that may be reached, in key order.

    ids: 16 bytes each. token_refs: 16 bytes each. registered_at: 8 bytes each, big-endian, in
    microseconds since 2000, as PostgreSQL keeps it. suppressed: how many others matched, by
    reason. matched: all of them together. cursor: the last key of the page, of either sort.
    """

    ids: Sequence[bytes]
    token_refs: Sequence[bytes]
    platforms: Sequence[int]
    providers: Sequence[int]
    environments: Sequence[int]
    sealed: Sequence[bytes]
    key_ids: Sequence[int]
    vapid_key_ids: Sequence[str]
    registered_at: Sequence[bytes]
    suppressed: Mapping[Suppression, int]
    matched: int
    cursor: UUID

    def those(self, chosen: Sequence[bool]) -> "SelectedRows":
        """Only the chosen rows; the others count as suppressed for their token."""

        def kept(column: Sequence[T]) -> list[T]:
            return list(compress(column, chosen))

        inactive = self.suppressed.get(Suppression.INACTIVE_TOKEN, 0) + chosen.count(False)
        return self._replace(
            ids=kept(self.ids),
            token_refs=kept(self.token_refs),
            platforms=kept(self.platforms),
            providers=kept(self.providers),
            environments=kept(self.environments),
            sealed=kept(self.sealed),
            key_ids=kept(self.key_ids),
            vapid_key_ids=kept(self.vapid_key_ids),
            registered_at=kept(self.registered_at),
            suppressed={**self.suppressed, Suppression.INACTIVE_TOKEN: inactive},
        )


class Counts(NamedTuple):
    """How many installations match: those that may be reached, and the others by reason."""

    reachable: Mapping[Platform, int]
    suppressed: Mapping[Suppression, int]


class Selections(Protocol):
    """Reads installations by the million."""

    async def select(self, selection: Selection, *, limit: int) -> SelectedRows | None:
        """The first rows of the selection, at most `limit` of both sorts, None when there is none.

        Reads what is committed when it is called. Tokens of suppressed rows stay in the storage.
        """

    async def count(self, selection: Selection) -> Counts:
        """Count the selection."""
