"""Errors on the wire: a canonical status with google.rpc details, and nothing from inside.

Source: AIP-193 (Errors); google/rpc/error_details.proto.
"""

import secrets
from collections.abc import Iterable
from typing import Any, Never

import grpc
import structlog
from google.protobuf.any_pb2 import Any as AnyMessage
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from nuncio_runtime.calls import REQUEST_ID, Call
from nuncio_runtime.errors import FieldViolation, Kind, ServiceError
from nuncio_runtime.postgres import StorageUnavailable, storage_fault
from nuncio_runtime.wire import DOMAIN, STATUS_DETAILS, STATUS_OF_KIND

log = structlog.get_logger(__name__)


class InternalError(ServiceError):
    """Something went wrong inside the service. Report the correlation id."""

    def __init__(self, correlation_id: str) -> None:
        super().__init__(detail=correlation_id, correlationId=correlation_id)


class DeadlineExceeded(ServiceError):
    """The call took longer than it may."""

    kind = Kind.DEADLINE_EXCEEDED
    reason = ""  # As when gRPC itself ends a call in time.


def service_error(error: Exception) -> ServiceError:
    """What the caller gets to know of an error.

    Service errors as they are, faults of the storage as StorageUnavailable; all else becomes
    an InternalError, and the log keeps the traceback under its correlation id.
    """
    known = error if isinstance(error, ServiceError) else storage_fault(error)
    if isinstance(known, StorageUnavailable):
        log.warning("storage_unavailable", fault=type(known.__cause__ or error).__name__)
    if known is not None:
        return known
    if isinstance(error, TimeoutError):
        return DeadlineExceeded()
    correlation_id = secrets.token_hex(8)
    log.error("call_failed", correlation_id=correlation_id, exc_info=error)
    return InternalError(correlation_id)


def status_of(error: ServiceError) -> status_pb2.Status:
    """The error as google.rpc.Status with ErrorInfo, BadRequest and RetryInfo as they apply."""
    details: list[Message] = []
    if error.reason:
        info = error_details_pb2.ErrorInfo(reason=error.reason, domain=DOMAIN)
        info.metadata.update(error.metadata)
        details.append(info)
    if error.violations:
        details.append(_bad_request(error.violations))
    if error.retry_after is not None:
        retry = error_details_pb2.RetryInfo()
        retry.retry_delay.FromTimedelta(error.retry_after)
        details.append(retry)
    code: int = STATUS_OF_KIND[error.kind].value[0]
    return status_pb2.Status(code=code, message=error.message, details=map(_packed, details))


async def refuse(
    context: "grpc.aio.ServicerContext[Any, Any]", error: ServiceError, *, call: Call
) -> Never:
    """End the call with the error."""
    status = status_of(error)
    trailers = ((STATUS_DETAILS, status.SerializeToString()), (REQUEST_ID, call.request_id))
    await context.abort(STATUS_OF_KIND[error.kind], status.message, trailers)


def _bad_request(violations: Iterable[FieldViolation]) -> error_details_pb2.BadRequest:
    return error_details_pb2.BadRequest(
        field_violations=[
            error_details_pb2.BadRequest.FieldViolation(field=field, description=rule)
            for field, rule in violations
        ]
    )


def _packed(detail: Message) -> AnyMessage:
    packed = AnyMessage()
    packed.Pack(detail)
    return packed
