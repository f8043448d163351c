"""Proto to domain and back."""

import hashlib
import re
import struct
from datetime import datetime
from typing import Final, cast
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1.provider_pb2 import Platform, Provider
from nuncio.feedback.v1 import feedback_service_pb2 as pb
from nuncio.feedback.v1 import outcome_pb2
from nuncio.registry.v1 import token_pb2
from nuncio_feedback.domain.model import (
    Invalidation,
    InvalidationOutcome,
    OutcomeCount,
    OutcomePage,
    Position,
    Report,
    Scope,
)
from nuncio_runtime.cursors import microseconds_of, parts_of, sequence_number_of, time_of
from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.paging import encode_page_token

_UUID: Final = re.compile(r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_OUTCOMES: Final = {
    outcome: cast("token_pb2.InvalidationOutcome.ValueType", outcome.value)
    for outcome in InvalidationOutcome
}
_POSITION: Final = struct.Struct(">Qq")  # microseconds since 1970, number


def outcome_page(page: outcome_pb2.OutcomePage) -> OutcomePage:
    """The columns as they came; the domain checks them."""
    return OutcomePage(
        page_id=page.page_id,
        app_id=page.app_id,
        campaign=page.campaign,
        dispatch_id=UUID(page.dispatch_id),
        test=page.test,
        count=page.count,
        installation_ids=page.installation_ids,
        token_refs=page.token_refs,
        platforms=page.platforms,
        providers=page.providers,
        verdicts=page.verdicts,
        reasons=list(page.reasons),
        reason_names=list(page.reason_names),
        sent_at=list(page.sent_at),
        dead_since=list(page.dead_since),
        lanes=list(page.lanes),
        lane_names=list(page.lane_names),
    )


def report_scope(request: pb.GetCampaignReportRequest) -> Scope:
    """What the report is about. Raises InvalidField."""
    return Scope(request.app_id, request.campaign, _dispatch_id(request.dispatch_id))


def list_scope(request: pb.ListInvalidationsRequest) -> Scope:
    """What the list is about. Raises InvalidField."""
    return Scope(request.app_id, "", _dispatch_id(request.dispatch_id))


def report_response(report: Report) -> pb.GetCampaignReportResponse:
    """The report as a response."""
    return pb.GetCampaignReportResponse(
        outcomes=map(_outcome_count, report.outcomes),
        invalidations=[
            pb.InvalidationCount(outcome=_OUTCOMES[outcome], count=count)
            for outcome, count in report.invalidations
        ],
    )


def invalidation(found: Invalidation, *, app_id: str) -> pb.Invalidation:
    """An invalidation of the app."""
    return pb.Invalidation(
        app_id=app_id,
        installation_id=str(found.installation_id),
        dispatch_id=str(found.dispatch_id),
        provider=cast("Provider.ValueType", found.provider),
        reason=found.reason,
        dead_since=_timestamp(found.dead_since),
        outcome=_OUTCOMES[found.outcome],
        report_time=_timestamp(found.reported_at),
    )


def position(page_token: str, *, scope: Scope) -> Position | None:
    """Where a page starts, None for the first one. Raises PageTokenMismatch."""
    parts = parts_of(page_token, _POSITION, filter_digest=_digest(scope))
    if parts is None:
        return None
    microseconds, number = parts
    return Position(time_of(microseconds), sequence_number_of(number))


def page_token(position: Position | None, *, scope: Scope) -> str:
    """The token of the page that starts there; empty after the last page."""
    if position is None:
        return ""
    cursor = _POSITION.pack(microseconds_of(position.reported_at), position.number)
    return encode_page_token(cursor, filter_digest=_digest(scope))


def _outcome_count(kind: OutcomeCount) -> pb.OutcomeCount:
    # Numbers that only a newer peer knows go through as they came.
    return pb.OutcomeCount(
        platform=cast("Platform.ValueType", kind.platform),
        provider=cast("Provider.ValueType", kind.provider),
        verdict=cast("outcome_pb2.Verdict.ValueType", kind.verdict),
        reason=kind.reason,
        test=kind.test,
        count=kind.count,
    )


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def _digest(scope: Scope) -> bytes:
    return hashlib.sha256(f"{scope.app_id}\0{scope.dispatch_id}".encode()).digest()


def _dispatch_id(text: str) -> UUID | None:
    if not text:
        return None
    if not _UUID.fullmatch(text):
        raise InvalidField(FieldViolation("dispatch_id", "must be a UUID, or empty"))
    return UUID(text)
