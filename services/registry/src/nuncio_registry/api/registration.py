"""The calls that register tokens."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from typing import NamedTuple

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_registry.api import convert
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.rows import refused_rows, row_error_from
from nuncio_registry.api.values import timestamp_of
from nuncio_registry.domain.model import Registration, RegistrationOutcome
from nuncio_registry.domain.register import Refusal
from nuncio_registry.metrics import REGISTRATIONS
from nuncio_runtime.errors import FieldViolation


class RegistrationCalls(Calls):
    """Registration, one by one and in bulk."""

    async def RegisterToken(
        self, request: pb.RegisterTokenRequest, context: Context
    ) -> pb.RegisterTokenResponse:
        outcome, registered_at = await self._use.register_one(
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
        """The next page is read and checked while the last one is written; never more than one,
        so that whoever sends faster than the database writes is held back.
        """
        pages = aiter(request_iterator)
        ahead = asyncio.create_task(self._read_page(pages))
        try:
            while (page := await ahead) is not None:
                ahead = asyncio.create_task(self._read_page(pages))
                yield await self._register_page(page)
        finally:
            ahead.cancel()
            # A bad page that nobody waits for any more is nobody's error.
            await asyncio.gather(ahead, return_exceptions=True)

    async def _read_page(self, pages: AsyncIterator[pb.RegisterTokensRequest]) -> "_Page | None":
        """The next page, None after the last. Raises InvalidField for a bad page."""
        request = await anext(pages, None)
        if request is None:
            return None
        refused = refused_rows(request)
        rows = ((i, row) for i, row in enumerate(request.registrations) if i not in refused)
        numbers, good, broken = self._use.register.sift(rows, convert.registration_of)
        bad = [*refused.values(), *broken]
        return _Page(request.app_id, len(request.registrations), numbers, good, bad)

    async def _register_page(self, page: "_Page") -> pb.RegisterTokensResponse:
        registered = await self._use.register.page(page.app_id, page.good)
        outcomes = [token_pb2.REGISTRATION_OUTCOME_UNSPECIFIED] * page.size
        bad = page.bad
        for number, result in zip(page.numbers, registered, strict=True):
            if isinstance(result, FieldViolation):
                bad.append(Refusal(number, result))
            else:
                outcomes[number] = token_pb2.RegistrationOutcome.ValueType(result.outcome)
        _count_registrations(outcomes)
        errors = map(row_error_from, sorted(bad))
        return pb.RegisterTokensResponse(outcomes=outcomes, errors=errors)


class _Page(NamedTuple):
    """A page that was read: its good rows by number, and the bad ones of all `size`."""

    app_id: str
    size: int
    numbers: list[int]
    good: list[Registration]
    bad: list[Refusal]


def _count_registrations(outcomes: Sequence[int]) -> None:
    for outcome, count in Counter(outcomes).items():
        name = RegistrationOutcome(outcome).name if outcome else "REFUSED"
        REGISTRATIONS.labels(name).inc(count)
