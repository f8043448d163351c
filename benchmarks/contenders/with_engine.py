"""nuncio's engine: pages of 1,000, as the dispatcher's lanes hand them over."""

import asyncio
import ssl
from collections.abc import Sequence
from typing import Final

import uvloop

from benchmarks.contenders.job import TOPIC, Job, job_of_this_process, measure
from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.exchange import Exchange, Origin, Requests
from nuncio_dispatcher.http2.network import Dialer
from nuncio_dispatcher.http2.pool import Multiplex
from nuncio_runtime.clock import SYSTEM_CLOCK

PAGE: Final = 1_000
PAGES_AT_A_TIME: Final = 4


class Sender:
    """Pages over one connection."""

    def __init__(self, job: Job) -> None:
        tls = ssl.create_default_context(cafile=str(job.trust))
        policy = Policy(connections=1)
        self._transport = Multiplex(dial=Dialer(tls), policy=policy, clock=SYSTEM_CLOCK)
        self._origin = Origin("localhost", job.port)
        self._body = job.body()
        self._passing = (("authorization", job.bearer()), ("apns-expiration", "1700000000"))
        self._fields = (
            ("apns-topic", TOPIC),
            ("apns-push-type", "alert"),
            ("apns-priority", "10"),
            ("user-agent", "nuncio"),
        )

    async def send(self, everyone: Sequence[tuple[str, str]]) -> int:
        """See job.Send."""
        starts = iter(range(0, len(everyone), PAGE))

        async def work() -> int:
            return sum([await self._send(everyone[at : at + PAGE]) for at in starts])

        return sum(await asyncio.gather(*(work() for _ in range(PAGES_AT_A_TIME))))

    async def _send(self, page: Sequence[tuple[str, str]]) -> int:
        requests = Requests(
            origin=self._origin,
            fields=self._fields,
            passing_fields=self._passing,
            paths=[b"/3/device/" + token.encode() for token, _ in page],
            bodies=[self._body] * len(page),
            own=("apns-id", [request_id.encode() for _, request_id in page]),
        )
        exchange = Exchange(requests, answer_within=20, heard=lambda *_: None)
        self._transport.post(exchange)
        await exchange.ended.wait()
        return exchange.accepted

    async def aclose(self) -> None:
        """Close the connection."""
        await self._transport.aclose()


async def main() -> None:
    """Do the job."""
    job = job_of_this_process()
    sender = Sender(job)
    await measure(job, sender.send)
    await sender.aclose()


if __name__ == "__main__":
    uvloop.run(main())
