"""The change feed."""

from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from typing import Final
from uuid import UUID

from nuncio.registry.v1 import event_pb2, installation_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.convert import installation_from
from nuncio_registry.api.room import Room
from nuncio_registry.api.values import timestamp_of
from nuncio_registry.domain.feed import position_of, position_text
from nuncio_registry.domain.model import ChangeKind, ConsentState, Permission
from nuncio_registry.domain.ports.feed import FeedEvent, FeedPage
from nuncio_registry.metrics import FEED_EVENTS, FEED_WATCHERS

# By number: what a newer release has written is passed on without its word.
_KINDS: Final = {kind.value: kind.name for kind in ChangeKind}
_PERMISSIONS: Final = {permission.value: permission.name.lower() for permission in Permission}
_CONSENTS: Final = {state.value: state.name.lower() for state in ConsentState}


class FeedCalls(Calls):
    """What happens to installations, as it happens."""

    async def WatchInstallations(
        self, request: pb.WatchInstallationsRequest, context: Context
    ) -> AsyncIterator[pb.WatchInstallationsResponse]:
        after = position_of(request.position, request.app_id)
        pages = self._use.watch.follow(request.app_id, after=after, from_now=request.from_now)
        with FEED_WATCHERS.track_inprogress():
            async with aclosing(pages):
                async for page in pages:
                    for response in responses_from(page, request.app_id):
                        yield response


def responses_from(page: FeedPage, app_id: str) -> Iterator[pb.WatchInstallationsResponse]:
    """The page in responses that any client takes; an empty page in one."""
    installations: dict[UUID, installation_pb2.Installation] = {}
    events: list[event_pb2.InstallationEvent] = []
    room = Room()
    for event in page.events:
        message = _event_from(event, app_id, installations)
        FEED_EVENTS.labels(_KINDS.get(event.kind, "UNKNOWN")).inc()
        events.append(message)
        if not room.takes(message):
            yield _response(events, message.position)
            events, room = [], Room()
    if events or not page.events:
        yield _response(events, position_text(page.position, app_id))


def _response(
    events: list[event_pb2.InstallationEvent], position: str
) -> pb.WatchInstallationsResponse:
    return pb.WatchInstallationsResponse(events=events, position=position)


def _event_from(
    event: FeedEvent, app_id: str, installations: dict[UUID, installation_pb2.Installation]
) -> event_pb2.InstallationEvent:
    """An event. installations: those of the page that are converted already."""
    installation = installations.get(event.installation_id)
    if installation is None and event.installation is not None:
        installation = installation_from(event.installation)
        installations[event.installation_id] = installation
    return event_pb2.InstallationEvent(
        kind=event_pb2.InstallationEventKind.ValueType(event.kind),
        installation_id=str(event.installation_id),
        event_time=timestamp_of(event.happened_at),
        detail=_detail(event),
        installation=installation,
        position=position_text(event.position, app_id),
    )


def _detail(event: FeedEvent) -> str:
    match event.kind:
        case ChangeKind.PERMISSION_CHANGED:
            return _PERMISSIONS.get(event.value, "")
        case ChangeKind.CONSENT_CHANGED:
            return f"{event.detail}={_CONSENTS.get(event.value, '')}"
        case ChangeKind.INVALIDATED:
            return event.detail
        case _:
            return ""
