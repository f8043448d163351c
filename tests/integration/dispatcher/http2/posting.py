"""Transports under test, and what tests post with them."""

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from datetime import timedelta

from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.exchange import Exchange, Failure, Origin, Requests, Traffic
from nuncio_dispatcher.http2.network import Dialer, Vet
from nuncio_dispatcher.http2.pool import Multiplex
from nuncio_runtime.clock import SYSTEM_CLOCK
from tests.integration.dispatcher.http2.conftest import Certificates

PATIENT = Policy(longest_back_off=timedelta(milliseconds=10))


@asynccontextmanager
async def transport(
    tls: Certificates, policy: Policy = PATIENT, *, vet: Vet | None = None
) -> AsyncIterator[Multiplex]:
    """One that is closed at the end, and leaves no task behind."""
    others = asyncio.all_tasks()
    multiplex = Multiplex(dial=Dialer(tls.client, vet=vet), policy=policy, clock=SYSTEM_CLOCK)
    try:
        yield multiplex
    finally:
        await multiplex.aclose()
    assert asyncio.all_tasks() <= others
    assert not list(multiplex.traffic())


def exchange(
    origin: Origin,
    count: int = 1,
    *,
    name: str = "row",
    body: bytes = b"{}",
    urgent: bool = False,
    answer_within: float = 8.0,
    calls: list[Sequence[int]] | None = None,
) -> Exchange:
    """So many requests, of the paths /name/0, /name/1 and so on. calls: takes what is heard."""
    return Exchange(
        Requests(
            origin=origin,
            fields=(("apns-topic", "example.app"),),
            paths=[f"/{name}/{row}".encode() for row in range(count)],
            bodies=[body] * count,
            own=("apns-id", [b"%06d" % row for row in range(count)]),
        ),
        answer_within=answer_within,
        heard=lambda _, rows: None if calls is None else calls.append(rows),
        urgent=urgent,
    )


async def until(holds: Callable[[], object]) -> None:
    """Let the loop run until something holds that nobody can be told of."""
    while not holds():  # noqa: ASYNC110  # there is no event
        await asyncio.sleep(0)


async def post(multiplex: Multiplex, of: Exchange) -> Exchange:
    """Post, and wait for the end."""
    multiplex.post(of)
    await of.ended.wait()
    return of


def traffic(multiplex: Multiplex) -> Traffic:
    """To the one origin that there is."""
    ((_, found),) = multiplex.traffic()
    return found


def failures(of: Exchange) -> set[Failure]:
    """Why rows failed."""
    return set(of.failures.values())
