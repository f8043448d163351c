"""What the domain asks of the outside: providers, storage and the neighbouring services."""

import asyncio
from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from nuncio_dispatcher.domain.books import Entries
from nuncio_dispatcher.domain.dispatch import (
    ALL_KEYS,
    Audience,
    Dispatch,
    KeyRange,
    NewDispatch,
    Work,
)
from nuncio_dispatcher.domain.lane_status import (
    AlarmCause,
    CredentialCheck,
    LaneStatus,
    Reloaded,
)
from nuncio_dispatcher.domain.model import (
    Answers,
    Destination,
    Environment,
    Message,
    Provider,
    TargetColumns,
)
from nuncio_dispatcher.domain.pages import Lease, Outcomes, Page, Resolved, Settled, Shard


class Lane(Protocol):
    """One provider origin with one credential."""

    @property
    def name(self) -> str:
        """For people, logs and metrics: "apns/com.example.app/production". No secrets."""

    async def send(
        self,
        message: Message,
        targets: TargetColumns,
        *,
        expires_at: datetime,
        stop: asyncio.Event | None = None,
        urgent: bool = False,
    ) -> Answers:
        """Send one message to rows; one answer per row, in the order of the rows.

        Never raises for what a provider or the network does: that is a verdict. Rows may be sent
        again within the call only when provably nothing of them was processed. The provider is
        told to keep trying for the message's time to live, but not beyond `expires_at`; no request
        is started after it. Once `stop` is set, it returns within about a second with the answers
        that are there: the other rows are UNKNOWN when they were written, else RETRY. Cancelling
        the call abandons its requests. Urgent rows go before all that wait in the lane and are not.
        """

    async def aclose(self) -> None:
        """Close the connections. Nothing is sent afterwards."""


class Lanes(Protocol):
    """The lanes of every app, made from the configured credentials."""

    def lane(self, app_id: str, provider: Provider, environment: Environment) -> Lane:
        """The lane for tokens of this kind. Cheap: asked once per page.

        Never fails: a lane without a usable credential answers every row with MISCONFIGURED and
        one of our reasons, NO_CREDENTIAL or BAD_CREDENTIAL, until there is one.
        """

    def check(self, message: Message, *, to: Destination | None = None) -> None:
        """Raise MessageInvalid, naming field and limit, when a provider would refuse the message.

        Every provider is checked, whether or not there is a credential for it; with `to`, only that
        destination's provider, by the rules for that kind of destination. Nothing is sent.
        """

    async def aclose(self) -> None:
        """Close every lane."""


class LaneBook(Protocol):
    """The lanes as operators see them, in this replica."""

    def lanes(self, app_id: str = "") -> Sequence[LaneStatus]:
        """How the lanes of an app, or (empty) of all, stand now, by LaneStatus.key.

        One for every section of the credential files, and for a file that cannot be read at all
        one per provider and environment; nothing for an app without a file.
        """

    async def check(
        self, app_id: str, provider: Provider | None, environment: Environment | None
    ) -> Sequence[CredentialCheck]:
        """Try out the credentials of an app, as the files are now: all, or those that fit.

        Nothing is sent to anybody. Asks each provider at most once; ends within half a minute.
        """

    def reload(self) -> Reloaded:
        """Look at all files now. What is sent through a lane that is let go, it ends first."""


class Targeting(Protocol):
    """Knows who may be reached. Every method raises ServiceError; UNAVAILABLE is worth a retry."""

    async def check(self, app_id: str, audience: Audience) -> None:
        """Raise when the app does not exist or the audience cannot be resolved.

        AudienceInvalid carries the position; APP_NOT_FOUND, SEGMENT_NOT_FOUND and their like come
        through as they are.
        """

    def resolve(
        self, work: Work, *, keys: KeyRange = ALL_KEYS, cursor: bytes = b"", only: bytes = b""
    ) -> AsyncGenerator[Resolved, None]:
        """The pages of the audience after the cursor, in key order, of 1 000 targets at most each.

        keys: a part of the audience. only: installations, 16 bytes each; those of them that the
        audience has no more count as suppressed with NOT_FOUND, and nobody else is given. Closing
        the generator ends the call.
        """


class Feedback(Protocol):
    """Learns from outcomes."""

    def report(self, pages: Sequence[Outcomes]) -> AsyncGenerator[str, None]:
        """Report pages, all of them at once; gives the id of each one as it is stored, in order.

        Raises ServiceError: INVALID_ARGUMENT when it refuses the page after those it gave.
        """


class Known(NamedTuple):
    """What tells whether a client_ref was used for the same content."""

    dispatch_id: UUID
    content_digest: bytes


class ListCursor(NamedTuple):
    """The last dispatch of a list's page."""

    created_at: datetime
    dispatch_id: UUID


class Dispatches(Protocol):
    """The dispatches, with their books. Each read is one consistent snapshot."""

    async def add(self, new: NewDispatch) -> bool:
        """Store a dispatch with its shards. False, and nothing stored: client_ref is in use."""

    async def find(self, app_id: str, client_ref: str) -> Known | None:
        """Whom a client_ref belongs to."""

    async def get(self, dispatch_id: UUID) -> Dispatch:
        """Raises DispatchNotFound."""

    async def marks(self, dispatch_ids: Collection[UUID]) -> Mapping[UUID, int]:
        """For each of them a number that is another one when its state or books have changed."""

    async def list(
        self, app_id: str, campaign: str, *, after: ListCursor | None, limit: int
    ) -> Sequence[Dispatch]:
        """An app's dispatches, newest first. campaign: only of this one; empty: all."""


class Backlog(NamedTuple):
    """waiting_targets: for one more attempt. unreported_pages: for feedback. due_shards: for us."""

    waiting_targets: int
    unreported_pages: int
    due_shards: int


class Queue(NamedTuple):
    """Shards that are due and free. new: never worked on. known: all others."""

    new: int
    known: int


class Journal(Protocol):
    """Shards and their pages.

    What takes a lease writes everything or nothing, and raises LeaseLost when someone else has
    got a higher epoch: then nothing was written. Entries go into the books with the page that
    they are of, in the same commit.
    """

    async def claim(
        self,
        *,
        owner: UUID,
        limit: int,
        term: timedelta,
        now: datetime,
        held: Collection[Lease] = (),
    ) -> Sequence[Shard]:
        """Lease shards that are due and free. No two owners get the same.

        held: what the owner is working on. It does not take that from itself, even when an outage
        of the storage has outlasted the leases.
        The longest due come first; those that were never worked on are a minute ahead of the
        others. What cannot be read is left for later, and holds up nothing else.
        """

    async def queue(self, *, limit: int, now: datetime) -> Queue:
        """How many shards wait to be claimed: the first of them, `limit` at most."""

    async def renew(
        self, owner: UUID, leases: Collection[Lease], *, term: timedelta
    ) -> Collection[Lease]:
        """Make leases last for `term` from now. Gives those that are still the owner's."""

    async def leave(self, lease: Lease, *, now: datetime, not_before: datetime) -> bool:
        """Give a lease back; true when the dispatch has finished with it.

        The shard is due again when its next page is, but not before `not_before`; without open
        pages and with its audience walked it is done. The last shard finishes the dispatch.
        """

    async def open_page(
        self, lease: Lease, resolved: Resolved, entries: Entries, *, now: datetime
    ) -> Page:
        """Journal a page of the audience as intent: from here on, a crash leaves it in doubt."""

    async def reopen_page(
        self, lease: Lease, page: Page, entries: Entries, *, now: datetime
    ) -> Page:
        """Journal a waiting page as intent, with the rows that are left of it. Gives it as open."""

    async def close_page(
        self, lease: Lease, page: Page, settled: Settled, *, now: datetime
    ) -> None:
        """Journal the result of a page, the walk's cursor, and follow-ups as waiting pages.

        A page without any final outcome becomes its own first follow-up, so that waiting takes no
        more room than the targets that wait. Safe to repeat: the second time changes nothing.
        """

    async def end_walk(self, lease: Lease, *, failure: str) -> None:
        """The audience has no more pages, or cannot be resolved: then `failure` says why."""

    async def in_doubt(self, lease: Lease) -> Sequence[Page]:
        """Pages that a former holder opened and never closed."""

    async def due_page(self, lease: Lease, *, now: datetime) -> Page | None:
        """The waiting page that has been due the longest."""

    async def backlog(self) -> Backlog:
        """What waits now, in all replicas together."""

    async def forget(self, *, finished_before: datetime, limit: int) -> int:
        """Delete pages and shards of dispatches that finished before; the books stay.

        Takes only pages that feedback has, and so many of each at most. Returns how many rows went.
        """


class Outbox(Protocol):
    """Pages with final outcomes that feedback has not got yet."""

    async def take(self, limit: int, *, hold: timedelta) -> Sequence[Outcomes]:
        """The oldest ones; for `hold`, nobody else gets them."""

    async def mark_reported(self, pages: Sequence[Outcomes]) -> None:
        """Feedback has these."""


class Meters(Protocol):
    """Counts what happens, for people who watch the service."""

    def page_closed(self, verdicts: Mapping[tuple[int, int], int], *, seconds: float) -> None:
        """A page was sent: targets by (provider, verdict), and how long sending it took."""

    def lease_lost(self) -> None:
        """Another replica took over a shard that was being worked on."""

    def backlog(self, backlog: Backlog) -> None:
        """What waits."""


class LaneMeters(Protocol):
    """Shows people who watch the service how the lanes stand."""

    def lane_alarms(self, alarms: Mapping[tuple[Provider, AlarmCause], int]) -> None:
        """How many lanes of a provider need somebody to look at them; what is not there is 0."""
