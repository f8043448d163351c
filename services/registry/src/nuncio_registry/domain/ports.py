"""What the domain asks of its storage. The comments are the contract; a suite proves it."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from itertools import compress
from typing import NamedTuple, Protocol, TypeAlias, TypeVar
from uuid import UUID

from nuncio_registry.domain.model import (
    App,
    ConsentChange,
    ConsentState,
    DeadToken,
    Environment,
    FactsChange,
    Installation,
    InvalidationOutcome,
    Platform,
    Registration,
    RegistrationOutcome,
    Suppression,
)
from nuncio_registry.domain.predicate import Predicate
from nuncio_runtime.errors import FieldViolation

T = TypeVar("T")


class Known(NamedTuple):
    """What is stored of an installation that a page touches, locked.

    attributes: their names; not read when no row of the page sets any.
    """

    installation_id: UUID
    environment: Environment
    token_hash: bytes
    key_id: int | None
    live: bool
    registered_at: datetime
    observed_at: datetime
    attributes: frozenset[str] = frozenset()


class NewRow(NamedTuple):
    """A row of the page to be written.

    row: its index in the page. is_new: there is no such installation yet. key_id and sealed: the
    sealed token to write; without `sealed` the stored one stays.
    """

    row: int
    is_new: bool
    key_id: int | None = None
    sealed: bytes | None = None


class Round(NamedTuple):
    """Rows that do not depend on each other: first retire the replaced owners, then write."""

    replaced: list[UUID]
    rows: list[NewRow]


class Registered(NamedTuple):
    """What a row did, and the time of the registration that is stored now."""

    outcome: RegistrationOutcome
    registered_at: datetime


# What a row did, or the rule that it breaks with what is stored: then it does nothing.
Result: TypeAlias = Registered | FieldViolation


class Plan(NamedTuple):
    """What a page does: a result per row, and rounds of writing, one after the other."""

    results: list[Result]
    rounds: list[Round]


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


class AppStore(Protocol):
    """Apps."""

    async def create(self, app: App) -> App:
        """Store the app unless its id is taken; give what is stored under the id then."""

    async def get(self, app_id: str) -> App | None:
        """The app, None when there is none."""

    async def page(self, *, after: str, limit: int) -> list[App]:
        """Apps in order of their ids (by code point), those greater than `after`."""


class Installations(Protocol):
    """Installations with their tokens and their consent.

    Every call is one transaction, safe under races: whatever the callers do at the same time, a
    token has at most one live owner per app and environment.
    """

    async def register(
        self,
        app_id: str,
        rows: Sequence[Registration],
        *,
        hashes: Sequence[bytes],
        now: datetime,
        plan: Callable[[Sequence[Known]], Plan],
    ) -> list[Result]:
        """Lock what the page touches, ask for the plan, carry it out; the whole page or nothing.

        Known rows are the installations named by the page and the live owners of its hashes.
        `plan` may be asked more than once, when another transaction came between. Rows whose
        token stays keep token_changed_at; a registered token is ACTIVE; last_seen_at never goes
        back. Consent changes that differ from the latest event of their purpose are appended to
        the ledger.
        """

    async def get(self, app_id: str, installation_id: UUID) -> Installation | None:
        """The installation, None when there is none."""

    async def page(
        self, app_id: str, *, predicate: Predicate | None, first: UUID, limit: int
    ) -> list[Installation]:
        """Installations that match, in key order, from the key `first` on."""

    async def update(
        self, app_id: str, installation_id: UUID, change: FactsChange
    ) -> Installation | None:
        """Change facts and give the installation as it is now, None when there is none.

        Raises InvalidField, changing nothing, when its sets would grow too large.
        """

    async def set_user(self, app_id: str, installation_id: UUID, user_id: str) -> str | None:
        """Set the user, none when empty; give the one before, None when there is no such row."""

    async def set_consent(
        self,
        app_id: str,
        installation_id: UUID,
        *,
        changes: Sequence[ConsentChange],
        now: datetime,
    ) -> Mapping[str, ConsentState] | None:
        """Record the changes, ledger included; give all consents, None when there is no such row.

        A change that equals the latest event of its purpose is not recorded twice.
        """

    async def select(self, selection: Selection, *, limit: int) -> SelectedRows | None:
        """The first rows of the selection, at most `limit` of both sorts, None when there is none.

        Reads what is committed when it is called. Tokens of suppressed rows stay in the storage.
        """

    async def count(self, selection: Selection) -> Counts:
        """Count the selection."""

    async def invalidate(
        self, app_id: str, tokens: Sequence[DeadToken]
    ) -> list[InvalidationOutcome]:
        """Retire each token that is still the same, live, and not registered after it died."""
