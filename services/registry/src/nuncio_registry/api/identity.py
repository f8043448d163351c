"""The calls about users: whose installations are, and how they are reached."""

from uuid import UUID

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import installation_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.convert import suppressed_from
from nuncio_registry.api.values import timestamp_of
from nuncio_registry.domain.reachability import Channel, UserReach


class IdentityCalls(Calls):
    """Login, logout, merge, and reachability."""

    async def IdentifyInstallation(
        self, request: pb.IdentifyInstallationRequest, context: Context
    ) -> pb.IdentifyInstallationResponse:
        before = await self._use.identity.identify(
            request.app_id, UUID(request.installation_id), request.user_id
        )
        return pb.IdentifyInstallationResponse(previous_user_id=before)

    async def ForgetUser(
        self, request: pb.ForgetUserRequest, context: Context
    ) -> pb.ForgetUserResponse:
        before = await self._use.identity.identify(
            request.app_id, UUID(request.installation_id), ""
        )
        return pb.ForgetUserResponse(previous_user_id=before)

    async def MergeUsers(
        self, request: pb.MergeUsersRequest, context: Context
    ) -> pb.MergeUsersResponse:
        moved = await self._use.identity.merge(
            request.app_id, from_user=request.from_user_id, into_user=request.into_user_id
        )
        return pb.MergeUsersResponse(moved=moved)

    async def GetUserReachability(
        self, request: pb.GetUserReachabilityRequest, context: Context
    ) -> pb.GetUserReachabilityResponse:
        users = await self._use.reachability.of_users(
            request.app_id, request.user_ids, purpose=request.purpose
        )
        return pb.GetUserReachabilityResponse(users=map(_user_from, users))


def _user_from(user: UserReach) -> installation_pb2.UserReachability:
    return installation_pb2.UserReachability(
        user_id=user.user_id,
        reachable=user.reachable,
        channels=map(_channel_from, user.channels),
    )


def _channel_from(channel: Channel) -> installation_pb2.ReachabilityChannel:
    return installation_pb2.ReachabilityChannel(
        provider=provider_pb2.Provider.ValueType(channel.provider),
        platform=provider_pb2.Platform.ValueType(channel.platform),
        reachable=channel.reachable,
        suppressed=suppressed_from(channel.suppressed),
        last_seen=timestamp_of(channel.last_seen),
    )
