"""What providers answered, and what becomes of the tokens that they called dead."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import NamedTuple
from uuid import UUID


class Verdict(IntEnum):
    """What one answer of a provider means. The numbers are the wire enum's: one byte per row."""

    ACCEPTED = 1
    TOKEN_DEAD = 2
    TOKEN_DOUBTFUL = 3
    RETRY = 4
    REFUSED = 5
    MISCONFIGURED = 6
    UNKNOWN = 7
    EXPIRED = 8


class Provider(IntEnum):
    """Who answered. The numbers are the wire enum's; a newer peer may send others."""

    APNS = 1
    FCM = 2
    WEB_PUSH = 3


class InvalidationOutcome(IntEnum):
    """What the registry did with a token that was called dead. Above 0: the wire enum's numbers."""

    PENDING = 0
    INVALIDATED = 1
    KEPT_NEWER = 2
    KEPT_OTHER_TOKEN = 3
    ALREADY_DEAD = 4
    UNKNOWN = 5


@dataclass(frozen=True, kw_only=True, repr=False)
class OutcomePage:
    """The final outcomes of one page of a dispatch, by columns of `count` rows each.

    installation_ids, token_refs: 16 bytes per row. platforms, providers, verdicts: one byte per
    row. reasons: an index into reason_names per row. sent_at, dead_since: microseconds since 1970
    UTC, 0 where there is no such time. lanes: an index into lane_names per row; empty when the
    dispatcher did not tell them.
    """

    page_id: str
    app_id: str
    campaign: str
    dispatch_id: UUID
    test: bool
    count: int
    installation_ids: bytes
    token_refs: bytes
    platforms: bytes
    providers: bytes
    verdicts: bytes
    reasons: Sequence[int]
    reason_names: Sequence[str]
    sent_at: Sequence[int]
    dead_since: Sequence[int]
    lanes: Sequence[int] = ()
    lane_names: Sequence[str] = ()

    def __repr__(self) -> str:
        return f"OutcomePage({self.page_id!r}, {self.count} rows)"


class Tally(NamedTuple):
    """How many rows of one kind a page brought. hour: the beginning of the hour, in UTC."""

    platform: int
    provider: int
    verdict: int
    reason: str
    hour: datetime
    rows: int


class DeadToken(NamedTuple):
    """A token that a provider called dead. token_ref: 16 bytes that name it, and show nothing.

    lane: which of the dispatcher's lanes heard it; empty when it did not tell.
    """

    installation_id: UUID
    token_ref: bytes
    provider: int
    reason: str
    dead_since: datetime
    lane: str
    campaign: str


class Lessons(NamedTuple):
    """What one page teaches: its counts, and the tokens that the registry has to be told of."""

    tallies: Sequence[Tally]
    dead: Sequence[DeadToken]


class Scope(NamedTuple):
    """What a report is about: a campaign ("": any), and one dispatch of it (None: all)."""

    app_id: str
    campaign: str
    dispatch_id: UUID | None


@dataclass(frozen=True, kw_only=True, slots=True)
class OutcomeCount:
    """How many outcomes of one kind there are. test: whether they are outcomes of tests."""

    platform: int
    provider: int
    verdict: int
    reason: str
    test: bool
    count: int


class Report(NamedTuple):
    """Outcomes by kind, and how many dead tokens came to which end."""

    outcomes: Sequence[OutcomeCount]
    invalidations: Sequence[tuple[InvalidationOutcome, int]]


class Position(NamedTuple):
    """Where a list of invalidations stands: the last one that was read."""

    reported_at: datetime
    number: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Invalidation:
    """A token that was called dead, and what came of it. number: unique in the app."""

    number: int
    installation_id: UUID
    dispatch_id: UUID
    provider: int
    reason: str
    dead_since: datetime
    outcome: InvalidationOutcome
    reported_at: datetime

    @property
    def position(self) -> Position:
        """Where a list goes on after this one."""
        return Position(self.reported_at, self.number)


@dataclass(frozen=True, kw_only=True, slots=True)
class Backlog:
    """What waits for the registry's answer in one app. oldest: when it was reported."""

    app_id: str
    count: int
    oldest: datetime
