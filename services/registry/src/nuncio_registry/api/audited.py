"""Which calls are audited, and what their events tell: the one place that says so.

An event is stored before the call is answered. When it cannot be, the call fails: nothing is done,
and no token leaves. Details hold neither tokens nor user ids nor installation ids; a subject shows
as the keyed hash that its proofs of erasure have.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from functools import partial, wraps
from typing import Any, Final, TypeAlias
from uuid import UUID

from google.protobuf.duration_pb2 import Duration

from nuncio.registry.v1 import app_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api.calls import Calls, Context, UseCases
from nuncio_registry.api.values import time_of
from nuncio_registry.domain.audit import KEY_ROTATION, Caller
from nuncio_registry.domain.ports.privacy import ErasureSubject
from nuncio_runtime.calls import current_call

Answer: TypeAlias = Callable[[Any, Context], Any]
Told: TypeAlias = dict[str, str]
Details: TypeAlias = Callable[[Any, UseCases], Told]

# The end of a read is told even when its caller has gone, but nobody waits for long.
_END_SECONDS: Final = 5.0


def caller() -> Caller:
    """Who makes the call that is being served."""
    call = current_call.get()
    if call is None:
        return Caller(principal="", peer="", request_id="")
    return Caller(principal=call.principal, peer=call.peer, request_id=call.request_id)


def audit_calls(servicer: Calls, use: UseCases) -> None:
    """Put the calls of the tables below behind their audit."""
    for name, details in ADMINISTRATIVE.items():
        setattr(servicer, name, _administrative(name, getattr(servicer, name), details, use))
    for name, details in READS_OF_TOKENS.items():
        setattr(servicer, name, _reading(name, getattr(servicer, name), details, use))


def _administrative(name: str, answer: Answer, details: Details, use: UseCases) -> Answer:
    @wraps(answer)
    async def recorded(request: Any, context: Context) -> Any:
        await use.audit.record(
            name, caller(), app_id=_app_id(request), details=details(request, use)
        )
        return await answer(request, context)

    return recorded


def _reading(name: str, answer: Answer, details: Details, use: UseCases) -> Answer:
    """Two events: one before the first page, one after the last, with the rows that were given."""

    @wraps(answer)
    async def recorded(request: Any, context: Context) -> AsyncIterator[Any]:
        record = partial(use.audit.record_read, name, caller(), app_id=_app_id(request))
        told = details(request, use)
        await record(details={**told, "phase": "start"})
        rows = 0
        try:
            async with aclosing(answer(request, context)) as responses:
                async for response in responses:
                    rows += response.page.count
                    yield response
        finally:
            async with asyncio.timeout(_END_SECONDS):
                await record(details={**told, "phase": "end", "rows": str(rows)})

    return recorded


def _app_id(request: Any) -> str:
    app_id: str = request.app.app_id if hasattr(request, "app") else request.app_id
    return app_id


def _select(request: pb.SelectTargetsRequest, _use: UseCases) -> Told:
    # The condition itself may name users.
    condition = "some" if request.HasField("predicate") else "all"
    return {"purpose": request.purpose, "installations": condition}


def _app(request: pb.CreateAppRequest | pb.UpdateAppRequest, _use: UseCases) -> Told:
    """What is set, with its value."""
    told = request.app if isinstance(request, pb.CreateAppRequest) else request
    return _policies(told)


def _policies(told: app_pb2.App | pb.UpdateAppRequest) -> Told:
    return {
        field.name: f"{value.seconds}s" if isinstance(value, Duration) else str(value)
        for field, value in told.ListFields()
        if field.name in ("display_name", "stale_after", "expire_after", "retention")
    }


def _nothing(_request: Any, _use: UseCases) -> Told:
    return {}


def _user(request: pb.EraseUserRequest | pb.ExportUserRequest, use: UseCases) -> Told:
    return {"subject": subject_hash(use, request.app_id, user_id=request.user_id).hex()}


def _installation(request: pb.EraseInstallationRequest, use: UseCases) -> Told:
    told = subject_hash(use, request.app_id, installation_id=request.installation_id)
    return {"subject": told.hex()}


def _merge(request: pb.MergeUsersRequest, use: UseCases) -> Told:
    return {
        "from": subject_hash(use, request.app_id, user_id=request.from_user_id).hex(),
        "into": subject_hash(use, request.app_id, user_id=request.into_user_id).hex(),
    }


def _restore(request: pb.RestoreTokensRequest, _use: UseCases) -> Told:
    told = {"start_time": time_of(request.start_time, "start_time").isoformat()}
    if request.HasField("end_time"):
        told["end_time"] = time_of(request.end_time, "end_time").isoformat()
    words = {
        "reasons": ",".join(request.reasons),
        "lane": request.lane,
        "campaign": request.campaign,
        "dry_run": "true" if request.dry_run else "",
    }
    return told | {name: word for name, word in words.items() if word}


def _erasures(request: pb.ListErasuresRequest, use: UseCases) -> Told:
    subject = optional_subject_hash(use, request)
    return {} if subject is None else {"subject": subject.hex()}


def _events(request: pb.ListAuditEventsRequest, _use: UseCases) -> Told:
    words = {"method": request.method, "principal": request.principal}
    return {name: word for name, word in words.items() if word}


def subject_hash(
    use: UseCases, app_id: str, *, user_id: str = "", installation_id: str = ""
) -> bytes:
    """16 bytes that stand for one user, or for one installation."""
    if installation_id:
        name = str(UUID(installation_id))  # Hexadecimal case makes no other installation.
        return use.erase.subject_hash(app_id, ErasureSubject.INSTALLATION, name)
    return use.erase.subject_hash(app_id, ErasureSubject.USER, user_id)


def optional_subject_hash(use: UseCases, request: pb.ListErasuresRequest) -> bytes | None:
    """Whose proofs are asked for; None: all."""
    if request.WhichOneof("subject") is None:
        return None
    return subject_hash(
        use, request.app_id, user_id=request.user_id, installation_id=request.installation_id
    )


READS_OF_TOKENS: Final[Mapping[str, Details]] = {
    "SelectTargets": _select,
}

ADMINISTRATIVE: Final[Mapping[str, Details]] = {
    "CreateApp": _app,
    "UpdateApp": _app,
    "DeleteApp": _nothing,
    "MergeUsers": _merge,
    "RestoreTokens": _restore,
    "EraseUser": _user,
    "EraseInstallation": _installation,
    "ListErasures": _erasures,
    "ExportUser": _user,
    "ListAuditEvents": _events,
}

METHODS: Final = (*sorted([*READS_OF_TOKENS, *ADMINISTRATIVE]), KEY_ROTATION)
"""What events may tell as their method. Names that are not audited any more stay: stored events
have them."""
