"""The engine, and httpx for the origins that turn out to speak no HTTP/2."""

import asyncio
from collections.abc import Callable, Iterable
from datetime import timedelta
from typing import Final

from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.exchange import Exchange, Failure, Origin, Traffic
from nuncio_dispatcher.http2.network import Dial, DialFailed, Link
from nuncio_dispatcher.http2.pool import Multiplex
from nuncio_dispatcher.providers.reference.http import ReferenceHttp
from nuncio_runtime.clock import Clock

REMEMBERED_FOR: Final = timedelta(hours=1).total_seconds()
"""After that, an origin is asked for HTTP/2 again."""
MOST_REMEMBERED: Final = 1_000
"""Origins come from outside; the one that was found out first is forgotten."""


class AnyVersion:
    """A Transport to servers of any HTTP version.

    The exchange that finds out fails as NOT_HTTP2, provably unsent; later ones to its origin take
    the other road.
    """

    def __init__(self, dial: Dial, *, other: ReferenceHttp, policy: Policy, clock: Clock) -> None:
        self._dial = dial
        self._other = other
        self._clock = clock
        self._engine = Multiplex(dial=self._dialled, policy=policy, clock=clock)
        self._without: dict[Origin, float] = {}  # until when

    def __repr__(self) -> str:
        return f"AnyVersion({self._engine!r}, without={len(self._without)})"

    def post(self, exchange: Exchange) -> None:
        """See Transport.post."""
        until = self._without.get(exchange.requests.origin, 0.0)
        if self._clock.monotonic() < until:
            self._other.post(exchange)
        else:
            self._engine.post(exchange)

    def abandon(self, exchange: Exchange) -> None:
        """See Transport.abandon."""
        self._engine.abandon(exchange)
        if exchange.open:
            self._other.abandon(exchange)

    def traffic(self) -> Iterable[tuple[Origin, Traffic]]:
        """See Transport.traffic."""
        return [*self._engine.traffic(), *self._other.traffic()]

    async def aclose(self) -> None:
        """See Transport.aclose."""
        await asyncio.gather(self._engine.aclose(), self._other.aclose())

    async def _dialled(self, origin: Origin, make: Callable[[], Link]) -> Link:
        try:
            return await self._dial(origin, make)
        except DialFailed as error:
            if error.failure is Failure.NOT_HTTP2:
                self._remember(origin)
            raise

    def _remember(self, origin: Origin) -> None:
        self._without.pop(origin, None)
        if len(self._without) >= MOST_REMEMBERED:
            del self._without[next(iter(self._without))]
        self._without[origin] = self._clock.monotonic() + REMEMBERED_FOR
