"""The calls that register tokens."""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from functools import lru_cache, partial
from typing import Final

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_registry.api.bulk import Bulk, Page
from nuncio_registry.api.calls import Calls, Context
from nuncio_registry.api.rows import registration_of, repeat_of
from nuncio_registry.api.values import timestamp_of
from nuncio_registry.domain.model import Registration, RegistrationOutcome
from nuncio_registry.domain.ports.registration import Registered, Repeat
from nuncio_registry.metrics import REGISTRATIONS
from nuncio_runtime.interceptors.validation import check

_REGISTERED: Final = {
    0: REGISTRATIONS.labels("REFUSED"),
    **{outcome.value: REGISTRATIONS.labels(outcome.name) for outcome in RegistrationOutcome},
}


@lru_cache(maxsize=64)
def _answer_of(registered: Registered) -> pb.RegisterTokenResponse:
    """Most rows of a page have the same."""
    return pb.RegisterTokenResponse(
        outcome=token_pb2.RegistrationOutcome.ValueType(registered.outcome),
        register_time=timestamp_of(registered.registered_at),
    )


class RegistrationCalls(Calls):
    """Registration, one by one and in bulk."""

    async def RegisterToken(
        self, request: pb.RegisterTokenRequest, context: Context
    ) -> pb.RegisterTokenResponse:
        """Checked when it has to be read: what only repeats what is stored was checked before."""
        repeat = self._use.repeats.read(request.registration, repeat_of)
        registered = await self._use.register_one(
            request.app_id, repeat, partial(self._read, request, repeat)
        )
        _REGISTERED[registered.outcome].inc()
        return _answer_of(registered)

    def _read(self, request: pb.RegisterTokenRequest, repeat: Repeat | None) -> Registration:
        check(request)
        return self._use.register_one.read((request.registration, repeat), registration_of)

    async def RegisterTokens(
        self, request_iterator: AsyncIterator[pb.RegisterTokensRequest], context: Context
    ) -> AsyncIterator[pb.RegisterTokensResponse]:
        """The next page is read and checked while the last one is written; never more than one,
        so that whoever sends faster than the database writes is held back.
        """
        bulk = Bulk(self._use.register, self._use.repeats)
        requests = aiter(request_iterator)

        async def read() -> Page | None:
            request = await anext(requests, None)
            return None if request is None else await bulk.read(request)

        ahead = asyncio.create_task(read())
        try:
            while (page := await ahead) is not None:
                ahead = asyncio.create_task(read())
                answer = await bulk.write(page)
                for outcome, count in Counter(answer.outcomes).items():
                    _REGISTERED[outcome].inc(count)
                yield answer
        finally:
            ahead.cancel()
            # A bad page that nobody waits for any more is nobody's error.
            await asyncio.gather(ahead, return_exceptions=True)
