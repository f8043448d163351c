"""The calls about single installations."""

import hashlib
from uuid import UUID

from nuncio.registry.v1 import predicate_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api import convert
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.convert import optional_predicate_of
from nuncio_runtime.paging import decode_page_token, encode_page_token, page_size


class InstallationCalls(Calls):
    """Facts, identity, consent, and reading."""

    async def UpdateInstallation(
        self, request: pb.UpdateInstallationRequest, context: Context
    ) -> pb.UpdateInstallationResponse:
        installation = await self._use.care.update(
            request.app_id, UUID(request.installation_id), convert.change_of(request)
        )
        return pb.UpdateInstallationResponse(installation=convert.installation_from(installation))

    async def IdentifyInstallation(
        self, request: pb.IdentifyInstallationRequest, context: Context
    ) -> pb.IdentifyInstallationResponse:
        before = await self._use.care.identify(
            request.app_id, UUID(request.installation_id), request.user_id
        )
        return pb.IdentifyInstallationResponse(previous_user_id=before)

    async def ForgetUser(
        self, request: pb.ForgetUserRequest, context: Context
    ) -> pb.ForgetUserResponse:
        before = await self._use.care.identify(request.app_id, UUID(request.installation_id), "")
        return pb.ForgetUserResponse(previous_user_id=before)

    async def SetConsent(
        self, request: pb.SetConsentRequest, context: Context
    ) -> pb.SetConsentResponse:
        consents = await self._use.care.set_consent(
            request.app_id, UUID(request.installation_id), convert.consents_of(request.changes)
        )
        return pb.SetConsentResponse(consents=convert.consents_from(consents))

    async def GetInstallation(
        self, request: pb.GetInstallationRequest, context: Context
    ) -> pb.GetInstallationResponse:
        installation = await self._use.care.get(request.app_id, UUID(request.installation_id))
        return pb.GetInstallationResponse(installation=convert.installation_from(installation))

    async def ListInstallations(
        self, request: pb.ListInstallationsRequest, context: Context
    ) -> pb.ListInstallationsResponse:
        digest = _filter_digest(request)
        cursor = decode_page_token(request.page_token, filter_digest=digest)
        size = page_size(request.page_size)
        found = await self._use.care.page(
            request.app_id,
            predicate=optional_predicate_of(request),
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


def _filter_digest(request: pb.ListInstallationsRequest) -> bytes:
    condition: predicate_pb2.Predicate = request.predicate
    content = condition.SerializeToString(deterministic=True)
    return hashlib.sha256(request.app_id.encode() + b"\0" + content).digest()
