"""The calls about single installations."""

from uuid import UUID

from nuncio.registry.v1 import installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api import convert
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.convert import optional_predicate_of
from nuncio_registry.api.cursors import key_of, key_token, number_of, number_token
from nuncio_registry.api.room import Room
from nuncio_registry.api.values import time_of, timestamp_of
from nuncio_registry.domain.model import ConsentEvent, Installation, Touch
from nuncio_runtime.paging import digest_of, page_size


class InstallationCalls(Calls):
    """Facts, times, consent, and reading."""

    async def UpdateInstallation(
        self, request: pb.UpdateInstallationRequest, context: Context
    ) -> pb.UpdateInstallationResponse:
        installation = await self._use.care.update(
            request.app_id, UUID(request.installation_id), convert.change_of(request)
        )
        return pb.UpdateInstallationResponse(installation=convert.installation_from(installation))

    async def TouchInstallations(
        self, request: pb.TouchInstallationsRequest, context: Context
    ) -> pb.TouchInstallationsResponse:
        touches = [_touch_of(touch, i) for i, touch in enumerate(request.touches)]
        known = await self._use.care.touch(request.app_id, touches)
        return pb.TouchInstallationsResponse(
            outcomes=[
                token_pb2.TOUCH_OUTCOME_TOUCHED if k else token_pb2.TOUCH_OUTCOME_UNKNOWN
                for k in known
            ]
        )

    async def SetConsent(
        self, request: pb.SetConsentRequest, context: Context
    ) -> pb.SetConsentResponse:
        consents = await self._use.care.set_consent(
            request.app_id, UUID(request.installation_id), convert.consents_of(request.changes)
        )
        return pb.SetConsentResponse(consents=convert.consents_from(consents))

    async def ListConsentEvents(
        self, request: pb.ListConsentEventsRequest, context: Context
    ) -> pb.ListConsentEventsResponse:
        installation_id = UUID(request.installation_id)
        digest = digest_of(b"consent events", request.app_id.encode(), installation_id.bytes)
        size = page_size(request.page_size)
        found = await self._use.care.consent_events(
            request.app_id,
            installation_id,
            before=number_of(request.page_token, digest),
            limit=size + 1,
        )
        response = pb.ListConsentEventsResponse(events=map(_consent_event_from, found[:size]))
        if len(found) > size:
            response.next_page_token = number_token(found[size - 1].event_id, digest)
        return response

    async def GetInstallation(
        self, request: pb.GetInstallationRequest, context: Context
    ) -> pb.GetInstallationResponse:
        installation = await self._use.care.get(request.app_id, UUID(request.installation_id))
        return pb.GetInstallationResponse(installation=convert.installation_from(installation))

    async def ListInstallations(
        self, request: pb.ListInstallationsRequest, context: Context
    ) -> pb.ListInstallationsResponse:
        condition = request.predicate.SerializeToString(deterministic=True)
        digest = digest_of(b"installations", request.app_id.encode(), condition)
        response, room = pb.ListInstallationsResponse(), Room()

        def take(installation: Installation) -> bool:
            message = convert.installation_from(installation)
            response.installations.append(message)
            return room.takes(message)

        last = await self._use.survey.page(
            request.app_id,
            take,
            predicate=optional_predicate_of(request),
            after=key_of(request.page_token, digest),
            limit=page_size(request.page_size),
        )
        if last is not None:
            response.next_page_token = key_token(last, digest)
        return response


def _touch_of(touch: pb.Touch, position: int) -> Touch:
    path, has = f"touches[{position}]", touch.HasField
    return Touch(
        UUID(bytes=touch.installation_id),
        seen=time_of(touch.seen_time, f"{path}.seen_time") if has("seen_time") else None,
        opened=time_of(touch.open_time, f"{path}.open_time") if has("open_time") else None,
    )


def _consent_event_from(event: ConsentEvent) -> installation_pb2.ConsentEvent:
    change = event.change
    return installation_pb2.ConsentEvent(
        purpose=change.purpose,
        state=installation_pb2.ConsentState.ValueType(change.state),
        source=change.source,
        prompt_strategy=change.prompt_strategy,
        policy_version=change.policy_version,
        actor=change.actor,
        record_time=timestamp_of(event.recorded_at),
    )
