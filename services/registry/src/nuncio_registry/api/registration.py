"""The calls that register tokens."""

from collections import Counter
from collections.abc import AsyncIterator, Sequence

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_registry.api import convert
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.rows import refused_rows, row_error_from
from nuncio_registry.api.values import timestamp_of
from nuncio_registry.domain.model import RegistrationOutcome
from nuncio_registry.domain.register import Refusal
from nuncio_registry.metrics import REGISTRATIONS
from nuncio_runtime.errors import FieldViolation


class RegistrationCalls(Calls):
    """Registration, one by one and in bulk."""

    async def RegisterToken(
        self, request: pb.RegisterTokenRequest, context: Context
    ) -> pb.RegisterTokenResponse:
        outcome, registered_at = await self._use.register.one(
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
        numbers, good, broken = self._use.register.sift(rows, convert.registration_of)
        registered = await self._use.register.page(request.app_id, good)
        outcomes = [token_pb2.REGISTRATION_OUTCOME_UNSPECIFIED] * len(request.registrations)
        for number, result in zip(numbers, registered, strict=True):
            if isinstance(result, FieldViolation):
                broken.append(Refusal(number, result))
            else:
                outcomes[number] = token_pb2.RegistrationOutcome.ValueType(result.outcome)
        refusals = sorted([*refused.values(), *broken])
        _count_registrations(outcomes)
        return pb.RegisterTokensResponse(outcomes=outcomes, errors=map(row_error_from, refusals))


def _count_registrations(outcomes: Sequence[int]) -> None:
    for outcome, count in Counter(outcomes).items():
        name = RegistrationOutcome(outcome).name if outcome else "REFUSED"
        REGISTRATIONS.labels(name).inc(count)
