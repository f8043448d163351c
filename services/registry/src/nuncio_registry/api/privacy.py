"""The calls about erasure, export and audit."""

from uuid import UUID

from nuncio.registry.v1 import privacy_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api.audited import METHODS, caller, optional_subject_hash
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.cursors import (
    audit_mark_of,
    audit_token,
    erasure_mark_of,
    erasure_token,
)
from nuncio_registry.api.values import time_of, timestamp_of
from nuncio_registry.domain.ports.audit import AuditEvent, AuditFilter
from nuncio_registry.domain.ports.privacy import Erasure, ErasureMark
from nuncio_runtime.cursors import BEGINNING, END
from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.paging import digest_of, page_size


class PrivacyCalls(Calls):
    """Erasure with proof, export, audit."""

    async def EraseUser(
        self, request: pb.EraseUserRequest, context: Context
    ) -> pb.EraseUserResponse:
        erasure = await self._use.erase.user(
            request.app_id, request.user_id, principal=caller().principal
        )
        return pb.EraseUserResponse(record=_record_from(erasure))

    async def EraseInstallation(
        self, request: pb.EraseInstallationRequest, context: Context
    ) -> pb.EraseInstallationResponse:
        erasure = await self._use.erase.installation(
            request.app_id, UUID(request.installation_id), principal=caller().principal
        )
        return pb.EraseInstallationResponse(record=_record_from(erasure))

    async def ListErasures(
        self, request: pb.ListErasuresRequest, context: Context
    ) -> pb.ListErasuresResponse:
        subject = optional_subject_hash(self._use, request)
        digest = digest_of(b"erasures", request.app_id.encode(), subject or b"")
        size = page_size(request.page_size)
        found = await self._use.erase.page(
            request.app_id,
            subject_hash=subject,
            before=erasure_mark_of(request.page_token, digest),
            limit=size + 1,
        )
        response = pb.ListErasuresResponse(records=map(_record_from, found[:size]))
        if len(found) > size:
            last = found[size - 1]
            mark = ErasureMark(last.erased_at, last.erasure_id)
            response.next_page_token = erasure_token(mark, digest)
        return response

    async def ExportUser(
        self, request: pb.ExportUserRequest, context: Context
    ) -> pb.ExportUserResponse:
        document = await self._use.export.user(request.app_id, request.user_id)
        return pb.ExportUserResponse(document=document)

    async def ListAuditEvents(
        self, request: pb.ListAuditEventsRequest, context: Context
    ) -> pb.ListAuditEventsResponse:
        wanted = _filter_of(request)
        digest = digest_of(b"audit", *(str(part).encode() for part in wanted))
        page = await self._use.audit.page(
            wanted,
            before=audit_mark_of(request.page_token, digest),
            limit=page_size(request.page_size),
        )
        response = pb.ListAuditEventsResponse(events=map(_event_from, page.events))
        if page.next is not None:
            response.next_page_token = audit_token(page.next, digest)
        return response


def _filter_of(request: pb.ListAuditEventsRequest) -> AuditFilter:
    """Raises InvalidField for an impossible time, and for a method that no event has."""
    if request.method and request.method not in METHODS:
        rule = f"must be one of {', '.join(METHODS)}, or empty"
        raise InvalidField(FieldViolation("method", rule))
    has = request.HasField
    return AuditFilter(
        app_id=request.app_id,
        method=request.method,
        principal=request.principal,
        start=time_of(request.start_time, "start_time") if has("start_time") else BEGINNING,
        end=time_of(request.end_time, "end_time") if has("end_time") else END,
    )


def _record_from(erasure: Erasure) -> privacy_pb2.ErasureRecord:
    return privacy_pb2.ErasureRecord(
        erasure_id=str(erasure.erasure_id),
        app_id=erasure.app_id,
        subject=privacy_pb2.ErasureSubject.ValueType(erasure.subject),
        subject_hash=erasure.subject_hash,
        removed=[
            privacy_pb2.ErasedRows(table=table, count=count)
            for table, count in sorted(erasure.removed.items())
        ],
        principal=erasure.principal,
        erase_time=timestamp_of(erasure.erased_at),
    )


def _event_from(event: AuditEvent) -> privacy_pb2.AuditEvent:
    return privacy_pb2.AuditEvent(
        record_time=timestamp_of(event.recorded_at),
        principal=event.principal,
        peer=event.peer,
        method=event.method,
        app_id=event.app_id,
        request_id=event.request_id,
        details=event.details,
    )
