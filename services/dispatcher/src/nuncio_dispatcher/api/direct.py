"""SendDirect's messages to the domain and back."""

from uuid import UUID

from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.feedback.v1 import outcome_pb2
from nuncio_dispatcher.api.messages import message_from
from nuncio_dispatcher.domain.direct import DirectAnswer, DirectOrder
from nuncio_dispatcher.domain.model import (
    ApnsChannel,
    Destination,
    Environment,
    FcmCondition,
    FcmInstallation,
    FcmTopic,
    Platform,
    Provider,
    PushToken,
    WebPushToken,
)


def direct_order_from(request: pb.SendDirectRequest) -> DirectOrder:
    """What the caller asks for. Raises InvalidField like `message_from`."""
    return DirectOrder(
        app_id=request.app_id,
        request_id=UUID(request.request_id) if request.request_id else None,
        destination=_destination(request.destination),
        message=message_from(request.message),
    )


def direct_answer_to(answer: DirectAnswer) -> pb.SendDirectResponse:
    """The answer as the contract has it."""
    response = pb.SendDirectResponse(
        verdict=outcome_pb2.Verdict.ValueType(answer.verdict),
        reason=answer.reason,
        request_id=str(answer.request_id),
    )
    if answer.dead_since is not None:
        response.dead_since.FromDatetime(answer.dead_since)
    if answer.retry_after is not None:
        response.retry_after.FromTimedelta(answer.retry_after)
    return response


def _destination(destination: pb.Destination) -> Destination:
    match destination.WhichOneof("provider"):
        case "apns":
            return _apns(destination.apns)
        case "fcm":
            token = _fcm_token(destination.fcm)
            return Destination(
                provider=Provider.FCM, token=token, platform=destination.fcm.platform
            )
        case _:
            return _web_push(destination.web_push)


def _apns(apns: pb.ApnsDestination) -> Destination:
    is_channel = apns.WhichOneof("address") == "channel_id"
    return Destination(
        provider=Provider.APNS,
        token=ApnsChannel(apns.channel_id) if is_channel else PushToken(apns.token),
        environment=Environment(apns.environment or Environment.PRODUCTION),
    )


def _fcm_token(fcm: pb.FcmDestination) -> PushToken:
    match fcm.WhichOneof("target"):
        case "fid":
            return FcmInstallation(fcm.fid)
        case "topic":
            return FcmTopic(fcm.topic)
        case "condition":
            return FcmCondition(fcm.condition)
        case _:
            return PushToken(fcm.token)


def _web_push(web_push: pb.WebPushDestination) -> Destination:
    token = WebPushToken(
        web_push.endpoint,
        p256dh=web_push.p256dh,
        auth=web_push.auth,
        vapid_key_id=web_push.vapid_key_id,
    )
    return Destination(provider=Provider.WEB_PUSH, token=token, platform=Platform.WEB)
