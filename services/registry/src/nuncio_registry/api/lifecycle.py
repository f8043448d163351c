"""The calls about tokens that die, and come back."""

from collections import Counter

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_registry.api import convert
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.values import time_of
from nuncio_registry.domain.ports.lifecycle import RestoreOutcome
from nuncio_registry.domain.restore import Wish
from nuncio_registry.metrics import INVALIDATIONS, RESTORATIONS


class LifecycleCalls(Calls):
    """Invalidation, and its undoing."""

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

    async def RestoreTokens(
        self, request: pb.RestoreTokensRequest, context: Context
    ) -> pb.RestoreTokensResponse:
        wish = Wish(
            start=time_of(request.start_time, "start_time"),
            end=time_of(request.end_time, "end_time") if request.HasField("end_time") else None,
            reasons=tuple(request.reasons),
            lane=request.lane,
            campaign=request.campaign,
        )
        counts = await self._use.restore.all(request.app_id, wish, dry_run=request.dry_run)
        if not request.dry_run:
            for outcome, count in counts.items():
                RESTORATIONS.labels(outcome.name).inc(count)
        return pb.RestoreTokensResponse(
            matched=counts.total(),
            restored=counts[RestoreOutcome.RESTORED],
            registered_again=counts[RestoreOutcome.REGISTERED_AGAIN],
            owned_by_another=counts[RestoreOutcome.OWNED_BY_ANOTHER],
            gone=counts[RestoreOutcome.GONE],
        )
