"""Protobuf to the domain and back. Nothing else."""

import hashlib
import struct
from datetime import datetime
from typing import Final
from uuid import UUID

from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1 import error_reason_pb2, provider_pb2, target_pb2
from nuncio.dispatcher.v1 import dispatch_pb2
from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.targeting.v1 import audience_pb2
from nuncio_dispatcher.api.messages import message_from, moment_from
from nuncio_dispatcher.domain.books import Books, Outcome
from nuncio_dispatcher.domain.commands import Created, Event, Finished, Progress, Refused
from nuncio_dispatcher.domain.create import Order
from nuncio_dispatcher.domain.dispatch import Audience, DeliveryPolicy, Dispatch
from nuncio_dispatcher.domain.ports import ListCursor
from nuncio_runtime.cursors import microseconds_of, parts_of, time_of
from nuncio_runtime.errors import ServiceError
from nuncio_runtime.paging import encode_page_token

_PLACE: Final = struct.Struct(">Q16s")  # Microseconds since 1970, UUID.

_REASONS: Final = {
    name.removeprefix("ERROR_REASON_"): number
    for name, number in error_reason_pb2.ErrorReason.items()
}
_SUPPRESSIONS: Final = {
    name.removeprefix("SUPPRESSION_REASON_"): number
    for name, number in target_pb2.SuppressionReason.items()
}


def order_from(request: pb.CreateDispatchRequest) -> Order:
    """What the caller asks for. Raises InvalidField for a value that does not exist."""
    return Order(
        app_id=request.app_id,
        client_ref=request.client_ref,
        campaign=request.campaign,
        purpose=request.purpose,
        test=request.test,
        delivery=DeliveryPolicy(request.delivery_policy or DeliveryPolicy.AT_LEAST_ONCE),
        message=message_from(request.message),
        audience=_audience(request.audience),
        expires_at=_expiry(request),
        content_digest=hashlib.sha256(request.SerializeToString(deterministic=True)).digest(),
    )


def _expiry(request: pb.CreateDispatchRequest) -> datetime | None:
    if not request.HasField("expire_time"):
        return None
    return moment_from(request.expire_time, field="expire_time")


def _audience(audience: audience_pb2.Audience) -> Audience:
    return Audience(
        expression=audience.expression,
        installation_ids=audience.installations.installation_ids,
        user_ids=tuple(audience.users.user_ids),
    )


def timestamp_to(moment: datetime | None) -> Timestamp | None:
    """A moment as the contract has it; None where there is none."""
    if moment is None:
        return None
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp


def dispatch_to(dispatch: Dispatch) -> dispatch_pb2.Dispatch:
    """A dispatch as the contract has it."""
    return dispatch_pb2.Dispatch(
        dispatch_id=str(dispatch.dispatch_id),
        app_id=dispatch.app_id,
        client_ref=dispatch.client_ref,
        campaign=dispatch.campaign,
        purpose=dispatch.purpose,
        state=dispatch_pb2.DispatchState.ValueType(dispatch.state),
        failure=dispatch.failure,
        test=dispatch.test,
        delivery_policy=dispatch_pb2.DeliveryPolicy.ValueType(dispatch.delivery),
        create_time=timestamp_to(dispatch.created_at),
        start_time=timestamp_to(dispatch.started_at),
        finish_time=timestamp_to(dispatch.finished_at),
        expire_time=timestamp_to(dispatch.expires_at),
        books=books_to(dispatch.books),
    )


def books_to(books: Books) -> dispatch_pb2.Books:
    """The books; reasons in a steady order, the largest count first."""
    lines = sorted(books.counts.items(), key=lambda line: (-line[1], line[0]))
    return dispatch_pb2.Books(
        resolved=books.total(Outcome.RESOLVED),
        suppressed=[
            target_pb2.SuppressedCount(reason=_suppression(entry.reason), count=count)
            for entry, count in lines
            if entry.outcome is Outcome.SUPPRESSED
        ],
        deferred=books.total(Outcome.DEFERRED),
        queued=books.total(Outcome.QUEUED),
        in_flight=books.total(Outcome.IN_FLIGHT),
        accepted=books.total(Outcome.ACCEPTED),
        rejected=[
            dispatch_pb2.RejectedCount(
                provider=provider_pb2.Provider.ValueType(entry.provider),
                reason=entry.reason,
                count=count,
                token_dead=entry.outcome is Outcome.TOKEN_DEAD,
            )
            for entry, count in lines
            if entry.outcome in (Outcome.REJECTED, Outcome.TOKEN_DEAD)
        ],
        expired=books.total(Outcome.EXPIRED),
        cancelled=books.total(Outcome.CANCELLED),
        unknown=books.total(Outcome.UNKNOWN),
        retried=books.total(Outcome.RETRIED),
    )


def event_to(command_id: str, event: Event) -> pb.DispatchResponse:
    """An event of a command."""
    match event:
        case Created(dispatch):
            return pb.DispatchResponse(command_id=command_id, created=dispatch_to(dispatch))
        case Progress(dispatch):
            return pb.DispatchResponse(command_id=command_id, progress=dispatch_to(dispatch))
        case Finished(dispatch):
            return pb.DispatchResponse(command_id=command_id, finished=dispatch_to(dispatch))
        case Refused(error):
            return pb.DispatchResponse(command_id=command_id, refused=_refusal(error))


def list_cursor(request: pb.ListDispatchesRequest) -> ListCursor | None:
    """Where the page starts; None for the first one. Raises PageTokenMismatch."""
    place = parts_of(request.page_token, _PLACE, filter_digest=_filter(request))
    if place is None:
        return None
    microseconds, dispatch_id = place
    return ListCursor(time_of(microseconds), UUID(bytes=dispatch_id))


def next_page_token(request: pb.ListDispatchesRequest, last: Dispatch) -> str:
    """The token of the page after `last`."""
    cursor = _PLACE.pack(microseconds_of(last.created_at), last.dispatch_id.bytes)
    return encode_page_token(cursor, filter_digest=_filter(request))


def _filter(request: pb.ListDispatchesRequest) -> bytes:
    return f"dispatches\0{request.app_id}\0{request.campaign}".encode()


def _suppression(reason: str) -> target_pb2.SuppressionReason.ValueType:
    """The number of a name; a reason that had no name yet was stored as its number.

    A name that only a newer release knows is not specified.
    """
    number = int(reason) if reason.isdecimal() else target_pb2.SUPPRESSION_REASON_UNSPECIFIED
    return target_pb2.SuppressionReason.ValueType(_SUPPRESSIONS.get(reason, number))


def _refusal(error: ServiceError) -> pb.Refusal:
    """As ErrorInfo would say it; a reason that the contract does not have is a fault of ours."""
    return pb.Refusal(
        reason=_REASONS.get(error.reason, error_reason_pb2.ERROR_REASON_INTERNAL),
        message=error.message,
        metadata=error.metadata,
    )
