"""Pages: the bounded runs of targets that are journaled, sent and settled as a whole."""

import hashlib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final, NamedTuple
from uuid import UUID

from nuncio_dispatcher.domain.books import Entries
from nuncio_dispatcher.domain.dispatch import KeyRange, Work
from nuncio_dispatcher.domain.model import PushToken, Verdict

ID_BYTES: Final = 16
GOES_ON: Final = bytes([Verdict.RETRY, Verdict.MISCONFIGURED])
"""Journaled verdicts of rows that follow up; all others are final."""

_IS_FINAL: Final = bytes(set(Verdict) - set(GOES_ON))


@dataclass(frozen=True, kw_only=True)
class Rows:
    """Targets as they are journaled, by columns; tokens are not among them.

    installation_ids and token_refs: 16 bytes per row. platforms and providers: one byte per row.
    """

    installation_ids: bytes = b""
    token_refs: bytes = b""
    platforms: bytes = b""
    providers: bytes = b""

    def __len__(self) -> int:
        return len(self.providers)

    def ids(self) -> Sequence[bytes]:
        """The installation id of each row."""
        ids = self.installation_ids
        return [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]

    def pick(self, rows: Sequence[int]) -> "Rows":
        """Some of the rows, in the order given."""
        return Rows(
            installation_ids=_pick_ids(self.installation_ids, rows),
            token_refs=_pick_ids(self.token_refs, rows),
            platforms=bytes(self.platforms[row] for row in rows),
            providers=bytes(self.providers[row] for row in rows),
        )


@dataclass(frozen=True, kw_only=True)
class Targets:
    """Rows with all that sending them takes. environments: one byte per row."""

    rows: Rows
    environments: bytes
    tokens: Sequence[PushToken] = field(repr=False)

    def __len__(self) -> int:
        return len(self.rows)


@dataclass(frozen=True, kw_only=True)
class Resolved:
    """A page of the audience. suppressed: who of the same keys is left out, by reason."""

    targets: Targets
    suppressed: Mapping[str, int]
    cursor: bytes


def joined(parts: Sequence[Resolved]) -> Resolved:
    """Several pages as one. Of the cursors, the last one counts."""
    suppressed: Counter[str] = Counter()
    for part in parts:
        suppressed.update(part.suppressed)
    return Resolved(
        targets=Targets(
            rows=Rows(
                installation_ids=b"".join(part.targets.rows.installation_ids for part in parts),
                token_refs=b"".join(part.targets.rows.token_refs for part in parts),
                platforms=b"".join(part.targets.rows.platforms for part in parts),
                providers=b"".join(part.targets.rows.providers for part in parts),
            ),
            environments=b"".join(part.targets.environments for part in parts),
            tokens=[token for part in parts for token in part.targets.tokens],
        ),
        suppressed=suppressed,
        cursor=parts[-1].cursor if parts else b"",
    )


@dataclass(frozen=True, kw_only=True)
class Page:
    """A journaled page.

    tries: how often its rows were tried before. sent_before: whether a request of theirs may have
    left. in_doubt: whether one of them went unanswered, so that it may have been taken.
    opened_at: when the present try began; None while it waits for it. cursor: where the walk goes
    on after the page; None for pages that only follow up.
    """

    number: int
    rows: Rows
    tries: int = 0
    sent_before: bool = False
    in_doubt: bool = False
    opened_at: datetime | None = None
    cursor: bytes | None = None


@dataclass(frozen=True, kw_only=True)
class FollowUp:
    """Rows that are to be tried again; the other words are those of Page."""

    rows: Rows
    due_at: datetime
    tries: int
    sent_before: bool
    in_doubt: bool


@dataclass(frozen=True, kw_only=True)
class Settled:
    """What came of a page.

    verdicts: one Verdict per byte, RETRY or MISCONFIGURED for rows that follow up. environments:
    one byte per row, empty when nothing was sent. The other columns are those of Answers.
    """

    verdicts: bytes
    reasons: Sequence[str]
    sent_at: Sequence[datetime | None]
    dead_since: Sequence[datetime | None]
    follow_ups: Sequence[FollowUp]
    entries: Entries
    environments: bytes = b""

    @property
    def is_final(self) -> bool:
        """Whether any row has its outcome, or there is no row. Else all of them only wait again."""
        return not self.follow_ups or has_final(self.verdicts)


class OutcomesOf(NamedTuple):
    """The dispatch that outcomes belong to."""

    dispatch_id: UUID
    app_id: str
    campaign: str
    test: bool


@dataclass(frozen=True, kw_only=True)
class Outcomes:
    """What came of a page, by columns, as it is told to feedback.

    verdicts: one Verdict per byte. reasons: index into reason_names, per row. sent_at and
    dead_since: microseconds since 1970 UTC, 0 when nothing was sent or said. environments: one
    byte per row, empty when they are not known.
    """

    of: OutcomesOf
    shard_no: int
    number: int
    rows: Rows
    verdicts: bytes
    reasons: Sequence[int]
    reason_names: Sequence[str]
    sent_at: Sequence[int]
    dead_since: Sequence[int]
    environments: bytes = b""

    @property
    def page_id(self) -> str:
        """The same whenever the page is reported: dispatch/shard/page."""
        return f"{self.of.dispatch_id}/{self.shard_no}/{self.number}"

    def final(self) -> "Outcomes":
        """Only the rows whose outcome is final; the page that closes the others reports them."""
        if not self.verdicts.translate(None, _IS_FINAL):
            return self  # By far the most pages: nothing is left when the final bytes are deleted.
        rows = [row for row, verdict in enumerate(self.verdicts) if verdict not in GOES_ON]
        return replace(
            self,
            rows=self.rows.pick(rows),
            verdicts=bytes(self.verdicts[row] for row in rows),
            reasons=[self.reasons[row] for row in rows],
            sent_at=[self.sent_at[row] for row in rows],
            dead_since=[self.dead_since[row] for row in rows],
            environments=bytes(self.environments[row] for row in rows if self.environments),
        )


@dataclass(frozen=True)
class Lease:
    """The right to work on a shard, until someone else gets a higher epoch."""

    dispatch_id: UUID
    shard_no: int
    epoch: int


@dataclass(kw_only=True)
class Shard:
    """A leased shard, as its holder knows it.

    cursor: where the walk goes on. walked: the audience has no more pages.
    """

    lease: Lease
    work: Work
    keys: KeyRange
    cursor: bytes
    walked: bool


def has_final(verdicts: bytes) -> bool:
    """Whether any of these journaled verdicts is final."""
    return bool(verdicts.translate(None, GOES_ON))


def request_ids(dispatch_id: UUID, installation_ids: bytes) -> list[UUID]:
    """The request id of each row: the same in every attempt, without being stored anywhere.

    A version 5 UUID of the installation id in the namespace of the dispatch.
    Source: RFC 9562, section 5.5.
    """
    space, sha1 = dispatch_id.bytes, hashlib.sha1  # bound once: read for every row
    return [
        UUID(
            bytes=sha1(space + installation_ids[at : at + 16], usedforsecurity=False).digest()[:16],
            version=5,
        )
        for at in range(0, len(installation_ids), ID_BYTES)
    ]


def _pick_ids(ids: bytes, rows: Sequence[int]) -> bytes:
    return b"".join(ids[row * ID_BYTES : (row + 1) * ID_BYTES] for row in rows)
