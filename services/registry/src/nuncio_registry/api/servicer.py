"""RegistryService: messages in, use case, messages out."""

# ruff: noqa: ARG002 - gRPC names the methods and their arguments.

import hashlib
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from typing import Any, Final, TypeAlias
from uuid import UUID

import grpc

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import predicate_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_registry.api import convert
from nuncio_registry.api.rows import refused_rows, row_error_from
from nuncio_registry.api.values import duration_of, timestamp_of
from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.installations import InstallationCare
from nuncio_registry.domain.invalidate import Invalidate
from nuncio_registry.domain.model import RegistrationOutcome
from nuncio_registry.domain.predicate import Predicate
from nuncio_registry.domain.register import Refusal, Register
from nuncio_registry.domain.select import Select, TargetPage
from nuncio_registry.metrics import INVALIDATIONS, REGISTRATIONS, SELECTED, UNREADABLE
from nuncio_runtime.errors import FieldViolation
from nuncio_runtime.paging import decode_page_token, encode_page_token, page_size

Context: TypeAlias = "grpc.aio.ServicerContext[Any, Any]"

TARGETS_PER_PAGE: Final = 1000

_APPS: Final = b"apps"


class RegistryServicer(rpc.RegistryServiceServicer):
    """Answers the calls of RegistryService."""

    def __init__(
        self,
        *,
        apps: Apps,
        register: Register,
        care: InstallationCare,
        select: Select,
        invalidate: Invalidate,
    ) -> None:
        self._apps = apps
        self._register = register
        self._care = care
        self._select = select
        self._invalidate = invalidate

    async def CreateApp(
        self, request: pb.CreateAppRequest, context: Context
    ) -> pb.CreateAppResponse:
        stale_after = None
        if request.app.HasField("stale_after"):
            stale_after = duration_of(request.app.stale_after, "app.stale_after")
        app = await self._apps.create(
            app_id=request.app.app_id,
            display_name=request.app.display_name,
            stale_after=stale_after,
        )
        return pb.CreateAppResponse(app=convert.app_from(app))

    async def GetApp(self, request: pb.GetAppRequest, context: Context) -> pb.GetAppResponse:
        return pb.GetAppResponse(app=convert.app_from(await self._apps.get(request.app_id)))

    async def ListApps(self, request: pb.ListAppsRequest, context: Context) -> pb.ListAppsResponse:
        after = decode_page_token(request.page_token, filter_digest=_APPS) or b""
        size = page_size(request.page_size)
        apps = await self._apps.page(after=after.decode(), limit=size + 1)
        response = pb.ListAppsResponse(apps=map(convert.app_from, apps[:size]))
        if len(apps) > size:
            last = apps[size - 1].app_id.encode()
            response.next_page_token = encode_page_token(last, filter_digest=_APPS)
        return response

    async def RegisterToken(
        self, request: pb.RegisterTokenRequest, context: Context
    ) -> pb.RegisterTokenResponse:
        outcome, registered_at = await self._register.one(
            request.app_id, request.registration, convert.registration_of
        )
        _count_registrations([outcome])
        return pb.RegisterTokenResponse(
            outcome=token_pb2.RegistrationOutcome.ValueType(outcome),
            register_time=timestamp_of(registered_at),
        )

    async def RegisterTokens(
        self, request_iterator: AsyncIterator[pb.RegisterTokensRequest], context: Context
    ) -> AsyncIterator[pb.RegisterTokensResponse]:
        async for request in request_iterator:
            yield await self._register_page(request)

    async def _register_page(self, request: pb.RegisterTokensRequest) -> pb.RegisterTokensResponse:
        refused = refused_rows(request)
        rows = ((i, row) for i, row in enumerate(request.registrations) if i not in refused)
        numbers, good, broken = self._register.sift(rows, convert.registration_of)
        registered = await self._register.page(request.app_id, good)
        outcomes = [token_pb2.REGISTRATION_OUTCOME_UNSPECIFIED] * len(request.registrations)
        for number, result in zip(numbers, registered, strict=True):
            if isinstance(result, FieldViolation):
                broken.append(Refusal(number, result))
            else:
                outcomes[number] = token_pb2.RegistrationOutcome.ValueType(result.outcome)
        refusals = sorted([*refused.values(), *broken])
        _count_registrations(outcomes)
        return pb.RegisterTokensResponse(outcomes=outcomes, errors=map(row_error_from, refusals))

    async def UpdateInstallation(
        self, request: pb.UpdateInstallationRequest, context: Context
    ) -> pb.UpdateInstallationResponse:
        installation = await self._care.update(
            request.app_id, UUID(request.installation_id), convert.change_of(request)
        )
        return pb.UpdateInstallationResponse(installation=convert.installation_from(installation))

    async def IdentifyInstallation(
        self, request: pb.IdentifyInstallationRequest, context: Context
    ) -> pb.IdentifyInstallationResponse:
        before = await self._care.identify(
            request.app_id, UUID(request.installation_id), request.user_id
        )
        return pb.IdentifyInstallationResponse(previous_user_id=before)

    async def ForgetUser(
        self, request: pb.ForgetUserRequest, context: Context
    ) -> pb.ForgetUserResponse:
        before = await self._care.identify(request.app_id, UUID(request.installation_id), "")
        return pb.ForgetUserResponse(previous_user_id=before)

    async def SetConsent(
        self, request: pb.SetConsentRequest, context: Context
    ) -> pb.SetConsentResponse:
        consents = await self._care.set_consent(
            request.app_id, UUID(request.installation_id), convert.consents_of(request.changes)
        )
        return pb.SetConsentResponse(consents=convert.consents_from(consents))

    async def GetInstallation(
        self, request: pb.GetInstallationRequest, context: Context
    ) -> pb.GetInstallationResponse:
        installation = await self._care.get(request.app_id, UUID(request.installation_id))
        return pb.GetInstallationResponse(installation=convert.installation_from(installation))

    async def ListInstallations(
        self, request: pb.ListInstallationsRequest, context: Context
    ) -> pb.ListInstallationsResponse:
        digest = _filter_digest(request)
        cursor = decode_page_token(request.page_token, filter_digest=digest)
        size = page_size(request.page_size)
        found = await self._care.page(
            request.app_id,
            predicate=_predicate(request),
            after=None if cursor is None else UUID(bytes=cursor),
            limit=size + 1,
        )
        response = pb.ListInstallationsResponse(
            installations=map(convert.installation_from, found[:size])
        )
        if len(found) > size:
            last = found[size - 1].installation_id.bytes
            response.next_page_token = encode_page_token(last, filter_digest=digest)
        return response

    async def SelectTargets(
        self, request: pb.SelectTargetsRequest, context: Context
    ) -> AsyncIterator[pb.SelectTargetsResponse]:
        pages = self._select.pages(
            request.app_id,
            _predicate(request),
            purpose=request.purpose,
            span=convert.span_of(request),
            page_size=request.page_size or TARGETS_PER_PAGE,
        )
        async with aclosing(pages):
            async for page in pages:
                _count_selected(page)
                yield convert.page_from(page)

    async def CountTargets(
        self, request: pb.CountTargetsRequest, context: Context
    ) -> pb.CountTargetsResponse:
        reachable, suppressed = await self._select.count(
            request.app_id, _predicate(request), request.purpose
        )
        return pb.CountTargetsResponse(
            matched=sum(reachable.values()) + sum(suppressed.values()),
            reachable=[
                pb.PlatformCount(
                    platform=provider_pb2.Platform.ValueType(platform), count=reachable[platform]
                )
                for platform in sorted(reachable)
            ],
            suppressed=convert.suppressed_from(suppressed),
        )

    async def InvalidateTokens(
        self, request: pb.InvalidateTokensRequest, context: Context
    ) -> pb.InvalidateTokensResponse:
        tokens = [convert.dead_token_of(token, i) for i, token in enumerate(request.tokens)]
        outcomes = await self._invalidate.page(request.app_id, tokens)
        for outcome, count in Counter(outcomes).items():
            INVALIDATIONS.labels(outcome.name).inc(count)
        return pb.InvalidateTokensResponse(
            outcomes=[token_pb2.InvalidationOutcome.ValueType(outcome) for outcome in outcomes]
        )


def _predicate(
    request: pb.ListInstallationsRequest | pb.SelectTargetsRequest | pb.CountTargetsRequest,
) -> Predicate | None:
    return convert.predicate_of(request.predicate) if request.HasField("predicate") else None


def _filter_digest(request: pb.ListInstallationsRequest) -> bytes:
    condition: predicate_pb2.Predicate = request.predicate
    content = condition.SerializeToString(deterministic=True)
    return hashlib.sha256(request.app_id.encode() + b"\0" + content).digest()


def _count_registrations(outcomes: Sequence[int]) -> None:
    for outcome, count in Counter(outcomes).items():
        name = RegistrationOutcome(outcome).name if outcome else "REFUSED"
        REGISTRATIONS.labels(name).inc(count)


def _count_selected(page: TargetPage) -> None:
    SELECTED.labels("TARGET").inc(len(page.tokens))
    UNREADABLE.inc(page.unreadable)
    for reason, count in page.suppressed.items():
        SELECTED.labels(reason.name).inc(count)
