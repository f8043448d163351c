"""Pages of outcomes for tests: said row by row, built by columns."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from secrets import token_bytes
from uuid import UUID, uuid4

from nuncio.feedback.v1 import outcome_pb2
from nuncio_feedback.domain.model import OutcomePage, Provider, Verdict

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
IOS = 1
DISPATCH = UUID(int=7)


@dataclass(frozen=True, kw_only=True)
class Row:
    """One outcome; None where there is no such time."""

    verdict: int = Verdict.ACCEPTED
    reason: str = ""
    platform: int = IOS
    provider: int = Provider.APNS
    sent_at: datetime | None = None
    dead_since: datetime | None = None
    installation_id: UUID = field(default_factory=uuid4)
    token_ref: bytes = field(default_factory=lambda: token_bytes(16))
    lane: str = ""


def page_of(
    *rows: Row,
    page_id: str = "page",
    app_id: str = "com.example.app",
    campaign: str = "spring",
    dispatch_id: UUID = DISPATCH,
    test: bool = False,
    reasons: Sequence[int] | None = None,
    reason_names: Sequence[str] | None = None,
) -> OutcomePage:
    """A well-formed page. reasons and reason_names: instead of those of the rows.

    Without any lane it is the page of a dispatcher that does not tell them.
    """
    names = list(dict.fromkeys(row.reason for row in rows))
    lanes = list(dict.fromkeys(row.lane for row in rows)) if any(row.lane for row in rows) else []
    return OutcomePage(
        page_id=page_id,
        app_id=app_id,
        campaign=campaign,
        dispatch_id=dispatch_id,
        test=test,
        count=len(rows),
        installation_ids=b"".join(row.installation_id.bytes for row in rows),
        token_refs=b"".join(row.token_ref for row in rows),
        platforms=bytes(row.platform for row in rows),
        providers=bytes(row.provider for row in rows),
        verdicts=bytes(row.verdict for row in rows),
        reasons=[names.index(row.reason) for row in rows] if reasons is None else reasons,
        reason_names=names if reason_names is None else reason_names,
        sent_at=[microseconds(row.sent_at) for row in rows],
        dead_since=[microseconds(row.dead_since) for row in rows],
        lanes=[lanes.index(row.lane) for row in rows] if lanes else [],
        lane_names=lanes,
    )


def wire(page: OutcomePage) -> outcome_pb2.OutcomePage:
    """The page as a dispatcher reports it."""
    return outcome_pb2.OutcomePage(**{**vars(page), "dispatch_id": str(page.dispatch_id)})


def microseconds(moment: datetime | None) -> int:
    """Microseconds since 1970, 0 for None."""
    return 0 if moment is None else (moment - EPOCH) // timedelta(microseconds=1)
