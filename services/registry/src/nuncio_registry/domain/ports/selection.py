"""What the domain asks of the storage of selections. The comments are the contract."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from itertools import compress
from typing import NamedTuple, Protocol, TypeVar
from uuid import UUID

from nuncio_registry.domain.model import Installation, Platform, Provider, Suppression
from nuncio_registry.domain.predicate import Predicate

T = TypeVar("T")
Seen_co = TypeVar("Seen_co", bound="Looked", covariant=True)


class Looked(Protocol):
    """What came of looking at some keys.

    cursor: the last of them, None: there was none to look at. ended: no key of the selection comes
    after it. sparse: of the keys looked at, fewer than one in a hundred matched.
    """

    @property
    def cursor(self) -> UUID | None: ...
    @property
    def ended(self) -> bool: ...
    @property
    def sparse(self) -> bool: ...


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

    ids and token_refs: 16 bytes each. platforms, providers, environments: one byte each.
    vapid_key_ids: of the Web Push rows alone. registered_at: 8 bytes each, big-endian, in
    microseconds since 2000, as PostgreSQL keeps it. suppressed: how many others matched, by
    reason. cursor, ended, sparse: see `Looked`.
    """

    ids: bytes
    token_refs: bytes
    platforms: bytes
    providers: bytes
    environments: bytes
    sealed: Sequence[bytes]
    key_ids: Sequence[int]
    vapid_key_ids: Sequence[str]
    registered_at: bytes
    suppressed: Mapping[Suppression, int]
    cursor: UUID | None
    ended: bool = False
    sparse: bool = False

    @property
    def is_empty(self) -> bool:
        """Whether nothing matched."""
        return not self.sealed and not self.suppressed

    def those(self, chosen: Sequence[bool]) -> "SelectedRows":
        """Only the chosen rows; the others count as suppressed for their token."""

        def kept(column: Sequence[T]) -> list[T]:
            return list(compress(column, chosen))

        def kept_bytes(column: bytes, width: int) -> bytes:
            cells = (column[at : at + width] for at in range(0, len(column), width))
            return b"".join(compress(cells, chosen))

        web_push = [provider == Provider.WEB_PUSH for provider in self.providers]
        inactive = self.suppressed.get(Suppression.INACTIVE_TOKEN, 0) + chosen.count(False)
        return self._replace(
            ids=kept_bytes(self.ids, 16),
            token_refs=kept_bytes(self.token_refs, 16),
            platforms=kept_bytes(self.platforms, 1),
            providers=kept_bytes(self.providers, 1),
            environments=kept_bytes(self.environments, 1),
            sealed=kept(self.sealed),
            key_ids=kept(self.key_ids),
            vapid_key_ids=list(compress(self.vapid_key_ids, compress(chosen, web_push))),
            registered_at=kept_bytes(self.registered_at, 8),
            suppressed={**self.suppressed, Suppression.INACTIVE_TOKEN: inactive},
        )


class Counts(NamedTuple):
    """How many installations match: those that may be reached, and the others by reason."""

    reachable: Mapping[Platform, int]
    suppressed: Mapping[Suppression, int]


class CountedRows(NamedTuple):
    """What matched among some keys; see `Looked`."""

    counts: Counts
    cursor: UUID | None
    ended: bool = False
    sparse: bool = False


class ListedRows(NamedTuple):
    """The installations that match among some keys, in key order; see `Looked`."""

    installations: Sequence[Installation]
    cursor: UUID | None
    ended: bool = False
    sparse: bool = False


class Roads(Protocol[Seen_co]):
    """Ways to look at the installations of a selection. Every statement is short."""

    async def scan(self, selection: Selection, *, limit: int, keys: int) -> Seen_co:
        """Look at the first `keys` keys, one after the other, until `limit` rows match.

        A page may have fewer of them, or none, before the end: its cursor is then the last key
        that was looked at, and of a full or a last page the last one that matched.
        """

    async def among(self, selection: Selection, ids: Sequence[UUID]) -> Seen_co:
        """The rows of the selection that have one of these ids.

        ids: in key order, not empty, inside the selection; the cursor is the last of them. Costs
        what the ids cost.
        """

    async def find(self, selection: Selection, *, most: int) -> list[UUID] | None:
        """The keys of the selection, in order, found through an index.

        None when no index can answer, when there are more than `most`, or when the index takes
        too long: those of other apps are in it, too.
        """


class Selections(Roads[SelectedRows], Protocol):
    """Reads installations by the million. Tokens of suppressed rows stay in the storage.

    Rows of both sorts match. Reads what is committed when it is called.
    """


class Countings(Roads[CountedRows], Protocol):
    """Counts what `Selections` would give. May lag behind what is committed.

    All that match among the keys are counted, however many `limit` allows.
    """


class Listings(Roads[ListedRows], Protocol):
    """Reads installations without their tokens. May lag behind what is committed.

    All that match are listed, whether they may be reached or not.
    """
