"""The ports of the registry, kept over gRPC."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Final

import grpc
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_feedback.domain.errors import RegistryAnswerError
from nuncio_feedback.domain.model import DeadToken, InvalidationOutcome
from nuncio_runtime.errors import ServiceError

# What is told of an answer that a newer registry gives and we do not know, or that is not set:
# the question was answered, so it must not stay pending.
_OUTCOMES: Final = {outcome.value: outcome for outcome in InvalidationOutcome if outcome}
APP_NOT_FOUND: Final = "APP_NOT_FOUND"


class GrpcRegistry:
    """Keeps ports.Registry and ports.Apps over a channel of the runtime. Never retries."""

    def __init__(self, channel: grpc.aio.Channel, *, timeout: timedelta) -> None:
        self._stub = rpc.RegistryServiceStub(channel)
        self._seconds = timeout.total_seconds()

    async def invalidate(
        self, app_id: str, tokens: Sequence[DeadToken]
    ) -> Sequence[InvalidationOutcome]:
        """Retire tokens; one outcome for each."""
        request = pb.InvalidateTokensRequest(app_id=app_id, tokens=map(_dead_token, tokens))
        try:
            response = await self._stub.InvalidateTokens(request, timeout=self._seconds)
        except ServiceError as error:
            if error.reason == APP_NOT_FOUND:
                return [InvalidationOutcome.UNKNOWN] * len(tokens)
            raise
        if len(response.outcomes) != len(tokens):
            raise RegistryAnswerError
        return [_OUTCOMES.get(code, InvalidationOutcome.UNKNOWN) for code in response.outcomes]

    async def may_have(self, app_id: str) -> bool:
        """Whether there is such an app, as far as can be known now."""
        try:
            await self._stub.GetApp(pb.GetAppRequest(app_id=app_id), timeout=self._seconds)
        except ServiceError as error:
            return error.reason != APP_NOT_FOUND
        return True


def _dead_token(token: DeadToken) -> pb.DeadToken:
    return pb.DeadToken(
        installation_id=token.installation_id.bytes,
        token_ref=token.token_ref,
        dead_since=_timestamp(token.dead_since),
        reason=token.reason,
        lane=token.lane,
        campaign=token.campaign,
    )


def _timestamp(moment: datetime) -> Timestamp:
    timestamp = Timestamp()
    timestamp.FromDatetime(moment)
    return timestamp
