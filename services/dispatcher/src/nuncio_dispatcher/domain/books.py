"""The books of a dispatch: every target is counted once, and the counts always add up.

All changes are made of the entries that the functions here return. Each function moves targets
from one outcome to others, so a sum that was right stays right.
"""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import Final, NamedTuple

from nuncio_dispatcher.domain.model import Verdict


class Outcome(IntEnum):
    """Under what a target is counted. Kept in the database: numbers are never used again."""

    RESOLVED = 1
    SUPPRESSED = 2
    DEFERRED = 3
    QUEUED = 4
    IN_FLIGHT = 5
    ACCEPTED = 6
    REJECTED = 7
    TOKEN_DEAD = 8  # rejected, and the reason says that the token is dead
    EXPIRED = 9
    CANCELLED = 10
    UNKNOWN = 11
    RETRIED = 12  # attempts beyond the first; not a part of the sum


class Entry(NamedTuple):
    """A line of the books. provider: only where rejected. reason: where rejected or suppressed."""

    outcome: Outcome
    provider: int = 0
    reason: str = ""


Entries = Counter[Entry]

_RESOLVED: Final = Entry(Outcome.RESOLVED)
_QUEUED: Final = Entry(Outcome.QUEUED)
_IN_FLIGHT: Final = Entry(Outcome.IN_FLIGHT)
_RETRIED: Final = Entry(Outcome.RETRIED)
_NOT_FOUND: Final = "NOT_FOUND"

_OF_VERDICT: Final[Mapping[int, Outcome]] = {
    Verdict.ACCEPTED: Outcome.ACCEPTED,
    Verdict.TOKEN_DEAD: Outcome.TOKEN_DEAD,
    Verdict.TOKEN_DOUBTFUL: Outcome.REJECTED,
    Verdict.REFUSED: Outcome.REJECTED,
    Verdict.UNKNOWN: Outcome.UNKNOWN,
    Verdict.EXPIRED: Outcome.EXPIRED,
    # These two are never final: the target waits for one more attempt.
    Verdict.RETRY: Outcome.QUEUED,
    Verdict.MISCONFIGURED: Outcome.QUEUED,
}
_WITH_REASON: Final = frozenset({Outcome.REJECTED, Outcome.TOKEN_DEAD})


@dataclass(frozen=True)
class Books:
    """The counts of a dispatch, from one consistent read."""

    counts: Mapping[Entry, int]

    def total(self, outcome: Outcome) -> int:
        """All targets of one outcome, whatever the reason."""
        return sum(count for entry, count in self.counts.items() if entry.outcome is outcome)

    def unfinished(self) -> int:
        """Targets that have no final outcome yet."""
        waiting = (Outcome.DEFERRED, Outcome.QUEUED, Outcome.IN_FLIGHT)
        return sum(self.total(outcome) for outcome in waiting)

    def add_up(self) -> bool:
        """Whether everything that was resolved is counted under exactly one outcome."""
        apart = {Outcome.RESOLVED, Outcome.RETRIED}
        others = sum(count for entry, count in self.counts.items() if entry.outcome not in apart)
        return self.total(Outcome.RESOLVED) == others


def opened(targets: int, suppressed: Mapping[str, int]) -> Entries:
    """A page of the audience is resolved and about to be sent."""
    entries = _suppressed(suppressed)
    entries[_RESOLVED] = targets + entries.total()
    entries[_IN_FLIGHT] = targets
    return _without_zeros(entries)


def reopened(waiting: int, found: int, suppressed: Mapping[str, int]) -> Entries:
    """Of so many waiting targets, `found` are about to be sent; the others may not be any more.

    suppressed: why not. It is what another service counted a moment later, so where it does not
    explain exactly the others, the difference is settled with NOT_FOUND and nothing is invented.
    """
    entries = _suppressed(_explaining(waiting - found, suppressed))
    entries[_QUEUED] = -waiting
    entries[_IN_FLIGHT] = found
    return _without_zeros(entries)


def closed(
    verdicts: Sequence[int], providers: Sequence[int], reasons: Sequence[str], *, retried: int
) -> Entries:
    """A page in flight has its answers, by columns. retried: how many of them were not first."""
    entries: Entries = Counter()
    rows = Counter(zip(verdicts, providers, reasons, strict=True))
    for (verdict, provider, reason), count in rows.items():
        entries[_entry(_OF_VERDICT[verdict], provider, reason)] += count
    entries[_IN_FLIGHT] -= len(verdicts)
    entries[_RETRIED] += retried
    return _without_zeros(entries)


def merged(parts: Iterable[Entries]) -> Entries:
    """Several changes as one."""
    whole: Entries = Counter()
    for part in parts:
        whole.update(part)
    return _without_zeros(whole)


def _entry(outcome: Outcome, provider: int, reason: str) -> Entry:
    return Entry(outcome, provider, reason) if outcome in _WITH_REASON else Entry(outcome)


def _suppressed(counts: Mapping[str, int]) -> Entries:
    return Counter({Entry(Outcome.SUPPRESSED, 0, why): n for why, n in counts.items() if n})


def _explaining(count: int, suppressed: Mapping[str, int]) -> Mapping[str, int]:
    explained: dict[str, int] = {}
    for reason, found in suppressed.items():
        explained[reason] = min(found, count)
        count -= explained[reason]
    explained[_NOT_FOUND] = explained.get(_NOT_FOUND, 0) + count
    return explained


def _without_zeros(entries: Entries) -> Entries:
    return Counter({entry: count for entry, count in entries.items() if count})
