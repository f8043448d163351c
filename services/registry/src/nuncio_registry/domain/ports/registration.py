"""What the domain asks of the storage of registrations. The comments are the contract."""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from types import MappingProxyType
from typing import NamedTuple, Protocol, TypeAlias
from uuid import UUID

from nuncio_registry.domain.model import (
    Change,
    Environment,
    Permission,
    Platform,
    Registration,
    RegistrationOutcome,
    TokenState,
)
from nuncio_runtime.errors import FieldViolation


class Known(NamedTuple):
    """What is stored of an installation that a page touches, locked.

    user_id: empty when anonymous. attributes: the bytes of each, name and value (see
    domain.limits); not read when no row of the page sets any. purposes: those it was ever asked
    for; not read when no row of the page has consents. identified_at, facts_updated_at and
    consents_set_at: when another call last said whose it is, what it tells, what was agreed to.
    """

    installation_id: UUID
    platform: Platform
    environment: Environment
    token_hash: bytes
    key_id: int | None
    state: TokenState
    registered_at: datetime
    observed_at: datetime
    permission: Permission = Permission.UNDETERMINED
    user_id: str = ""
    attributes: Mapping[str, int] = MappingProxyType({})
    purposes: frozenset[str] = frozenset()
    identified_at: datetime | None = None
    facts_updated_at: datetime | None = None
    consents_set_at: datetime | None = None

    @property
    def live(self) -> bool:
        """Whether messages may be sent to its token."""
        return self.state == TokenState.ACTIVE


class NewRow(NamedTuple):
    """A row of the page to be written.

    row: its index in the page. is_new: there is no such installation yet. takes_token: it did not
    own its token before. key_id and sealed: the sealed token to write; without `sealed` the stored
    one stays.
    """

    row: int
    is_new: bool
    takes_token: bool
    key_id: int | None = None
    sealed: bytes | None = None


class Round(NamedTuple):
    """Rows that do not depend on each other, and what has to be done before they are written.

    released: (installation, hash, environment) of tokens that lose their owners. replaced: the
    installations whose tokens move to others.
    """

    released: list[tuple[UUID, bytes, Environment]]
    replaced: list[UUID]
    rows: list[NewRow]


class Registered(NamedTuple):
    """What a row did, and the time of the registration that is stored now."""

    outcome: RegistrationOutcome
    registered_at: datetime


# What a row did, or the rule that it breaks with what is stored: then it does nothing.
Result: TypeAlias = Registered | FieldViolation


class Plan(NamedTuple):
    """What a page does: a result per row, rounds of writing one after the other, the events for
    the change feed, those of consents apart, and the rows with what counts of them.
    """

    results: list[Result]
    rounds: list[Round]
    changes: list[Change]
    rows: Sequence[Registration]


class Repeat(NamedTuple):
    """A registration, held against what is stored: whether it only repeats that.

    content_hash: see `domain.repeats`. observed_at and last_seen: None means now.
    """

    installation_id: UUID
    content_hash: bytes
    observed_at: datetime | None
    last_seen: datetime | None


class Registrations(Protocol):
    """Installations as they register.

    Every call is one transaction, safe under races: whatever the callers do at the same time, a
    token has at most one live owner per app and environment.
    """

    async def move_times_on(
        self, app_id: str, repeats: Sequence[Repeat], *, key_id: int, now: datetime
    ) -> dict[int, datetime]:
        """Register again what is stored, by position: the time of the registration stored now.

        Left out, with nothing done to them: rows with another content, without a live token or
        with one that the key `key_id` did not seal, and rows that were observed later. Times never
        go back.
        """

    async def create(
        self,
        app_id: str,
        rows: Sequence[Registration],
        new: Sequence[NewRow],
        *,
        hashes: Sequence[bytes],
        beside: Sequence[Repeat],
        key_id: int,
        now: datetime,
    ) -> tuple[Collection[UUID], Mapping[int, datetime]]:
        """Store those of the rows `new` whose installation and token nobody has; which they were.

        It may store none, when that would get into the way of `register`, or when another
        transaction comes between. Each is in ledger and feed as `register` puts it there. new: no
        two of one installation or one token. beside: done as `move_times_on` does it, and told in
        its way, in any case.
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
        the ledger and, after the changes of the plan, to the change feed.
        """
