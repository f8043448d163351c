"""What the domain asks of the storage of statistics. The comments are the contract."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from typing import NamedTuple, Protocol
from uuid import UUID

from nuncio_registry.domain.model import ConsentState, Platform


class OptIns(NamedTuple):
    """Live installations of a platform and a version of the app; empty: not told, or others."""

    platform: Platform
    app_version: str
    active: int
    permitted: int


class Prompts(NamedTuple):
    """The latest answers to one way of asking for one purpose."""

    purpose: str
    prompt_strategy: str
    granted: int
    denied: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Stock:
    """What an app has. users: how many have so many live installations, 5 for five or more."""

    counted_at: datetime
    installations: int
    active: int
    invalid: int
    expired: int
    replaced: int
    stale: int
    opt_ins: Sequence[OptIns]
    prompts: Sequence[Prompts]
    users: Mapping[int, int]


class Recount(NamedTuple):
    """When an app is counted again before its turn.

    At `not_before` or later, as soon as so many `changes` of the days from `since` on were rolled
    up, those before the count included.
    """

    not_before: datetime
    since: date
    changes: int


class Answers(NamedTuple):
    """Latest ledger events that are equal for what is counted."""

    purpose: str
    prompt_strategy: str
    state: ConsentState
    installations: int


class UserPart(NamedTuple):
    """The next users. by_number: users by their number of live installations, from 0 to 5."""

    by_number: Mapping[int, int]
    cursor: str
    is_last: bool


class Flow(NamedTuple):
    """What happened on a day. kind: of `ChangeKind`, or of a newer release. value: of `Change`."""

    day: date
    kind: int
    value: int
    times: int


class Waiting(NamedTuple):
    """Since when the oldest changes of a feed wait: to be counted, and to be given to readers.

    None: there is none. Readers wait for transactions that still run.
    """

    uncounted_since: datetime | None
    held_back_since: datetime | None


class StockScans(Protocol):
    """Counts what the installations' own rows do not tell. May read from a replica."""

    async def answers(self, app_id: str, *, first: UUID, last: UUID) -> list[Answers]:
        """The latest event of each installation and purpose in the ledger, keys inclusive."""

    async def users(self, app_id: str, *, after: str, limit: int) -> UserPart | None:
        """The users of the next `limit` installations in order of users, None for none.

        A user is in one part only. Of one with more than `limit` installations only so many are
        looked at.
        """

    async def changes(self, app_id: str, *, since: date) -> int:
        """How many changes of the days from then on are rolled up.

        No more than those that the other methods here can see, even where a replica is behind.
        """


class StatisticsStore(Protocol):
    """What was counted."""

    async def put_stock(
        self, app_id: str, day: date, stock: Stock, recount: Recount | None = None
    ) -> None:
        """Store it as the day's, unless a later one is there or the app was deleted.

        recount: None for not before its turn.
        """

    async def latest_stock(self, app_id: str) -> Stock | None:
        """The last one that was counted, None when none was."""

    async def active_by_day(self, app_id: str, *, since: date) -> Mapping[date, int]:
        """Installations with a live token at the last count of each day on which there was one."""

    async def flows(self, app_id: str, *, since: date) -> list[Flow]:
        """What happened from that day on."""

    async def waiting(self, app_id: str) -> Waiting:
        """How far the feed of the app, and what is counted of it, are behind."""

    async def roll_up(self, app_id: str, *, limit: int) -> int:
        """Count the next `limit` changes of the feed into their days; how many there were.

        Each change is counted once, whoever calls and however often: the position moves in the
        transaction that stores the counts. Changes of transactions that are not older than all
        those that still run wait, as for every reader of the feed.
        """


class Gauge(Protocol):
    """Shows how far the worst of all apps is behind."""

    def behind(self, *, uncounted: timedelta, held_back: timedelta) -> None:
        """See `Waiting`."""
