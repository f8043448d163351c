"""The calls about tokens that die, and come back."""

from collections import Counter

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_registry.api import convert
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.metrics import INVALIDATIONS


class LifecycleCalls(Calls):
    """Invalidation."""

    async def InvalidateTokens(
        self, request: pb.InvalidateTokensRequest, context: Context
    ) -> pb.InvalidateTokensResponse:
        tokens = [convert.dead_token_of(token, i) for i, token in enumerate(request.tokens)]
        outcomes = await self._use.invalidate.page(request.app_id, tokens)
        for outcome, count in Counter(outcomes).items():
            INVALIDATIONS.labels(outcome.name).inc(count)
        return pb.InvalidateTokensResponse(
            outcomes=[token_pb2.InvalidationOutcome.ValueType(outcome) for outcome in outcomes]
        )
