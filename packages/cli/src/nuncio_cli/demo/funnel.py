"""The books of a dispatch as a funnel: what was resolved, and where each target went."""

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from nuncio.common.v1.provider_pb2 import Provider
from nuncio.common.v1.target_pb2 import SuppressedCount, SuppressionReason
from nuncio.dispatcher.v1.dispatch_pb2 import Books, RejectedCount
from nuncio_cli.names import word


class Line(NamedTuple):
    """One line of the funnel."""

    label: str
    number: int
    note: str = ""


class Funnel(NamedTuple):
    """The books, with sums and names."""

    resolved: int
    suppressed: Mapping[str, int]
    deferred: int
    queued: int
    in_flight: int
    accepted: int
    rejected: Mapping[tuple[str, str], int]
    """By provider and reason."""
    dead: int
    """Rejected, because the token is dead."""
    expired: int
    cancelled: int
    unknown: int
    retried: int

    @property
    def accounted(self) -> int:
        """All parts of the sum."""
        ended = self.accepted + self.expired + self.cancelled + self.unknown
        open_still = self.deferred + self.queued + self.in_flight
        return sum(self.suppressed.values()) + sum(self.rejected.values()) + ended + open_still

    @property
    def closed(self) -> bool:
        """Whether every target has its outcome and the sum is right."""
        is_open = self.deferred or self.queued or self.in_flight
        return not is_open and self.resolved == self.accounted

    @property
    def settled(self) -> int:
        """Targets and suppressed ones that need nothing more."""
        return self.accounted - self.deferred - self.queued - self.in_flight

    def lines(self) -> list[Line]:
        """The funnel for people, from the top down."""
        return [
            Line("resolved", self.resolved),
            *(Line("  suppressed", n, reason) for reason, n in self.suppressed.items()),
            Line("  accepted", self.accepted),
            *(
                Line("  rejected", n, f"{provider}: {reason}")
                for (provider, reason), n in self.rejected.items()
            ),
            Line("  expired", self.expired),
            Line("  cancelled", self.cancelled),
            Line("  unknown", self.unknown),
            *([] if self.closed else [Line("  open", self.accounted - self.settled)]),
            Line("retried", self.retried, "attempts beyond the first"),
        ]

    def document(self) -> dict[str, Any]:
        """The books as JSON: the terms of the sum, then what two of them are made of."""
        return {
            **self._asdict(),
            "suppressed": sum(self.suppressed.values()),
            "rejected": sum(self.rejected.values()),
            "suppressed_by_reason": dict(self.suppressed),
            "rejected_by_reason": [
                {"provider": provider, "reason": reason, "count": count}
                for (provider, reason), count in self.rejected.items()
            ],
        }


def funnel_of(books: Books) -> Funnel:
    """Read the books."""
    return Funnel(
        resolved=books.resolved,
        suppressed=suppressions(books.suppressed),
        deferred=books.deferred,
        queued=books.queued,
        in_flight=books.in_flight,
        accepted=books.accepted,
        rejected={(_provider(r), r.reason): r.count for r in books.rejected},
        dead=sum(r.count for r in books.rejected if r.token_dead),
        expired=books.expired,
        cancelled=books.cancelled,
        unknown=books.unknown,
        retried=books.retried,
    )


def suppressions(counts: Iterable[SuppressedCount]) -> dict[str, int]:
    """By the reason's name, such as "NO_CONSENT", in the order of the checks."""
    in_order = sorted(counts, key=lambda count: count.reason)
    prefix = "SUPPRESSION_REASON_"
    return {word(SuppressionReason, c.reason, prefix).upper(): c.count for c in in_order}


def _provider(rejected: RejectedCount) -> str:
    return word(Provider, rejected.provider, "PROVIDER_")
