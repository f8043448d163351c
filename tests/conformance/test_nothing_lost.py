"""No request is lost and none comes twice, however often the server sends the client away."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from time import time
from typing import Final
from uuid import uuid4

import jwt
import pytest

from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.exchange import Exchange, Failure, Origin, Requests
from nuncio_dispatcher.http2.network import Dialer
from nuncio_dispatcher.http2.pool import Multiplex
from nuncio_runtime.clock import SYSTEM_CLOCK
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.process import Simulator, start_simulator

pytestmark = pytest.mark.timeout(60)

PAGE: Final = 5_000
TOKENS: Final = 1_000
MOST_ROUNDS: Final = 20
BODY: Final = b'{"aps":{"alert":"A line of text, as in most messages."}}'


@pytest.fixture
async def simulator(tmp_path: Path) -> AsyncIterator[Simulator]:
    """All of its tokens live."""
    shares = {"dead_share": 0.0, "throttled_share": 0.0, "slow_share": 0.0}
    async with start_simulator(tmp_path, **shares) as simulator:
        yield simulator


@pytest.mark.parametrize(
    "count",
    [
        10_000,
        pytest.param(200_000, marks=[pytest.mark.thorough, pytest.mark.timeout(300)]),
    ],
)
async def test_under_goaway_and_refused_streams_each_row_is_accepted_once(
    simulator: Simulator, count: int
) -> None:
    """GOAWAY after every 500 streams, 20 more of them unprocessed; one in 50 streams refused.

    A row that was refused more often than the transport puts up with surely was not taken, so it
    is posted again, as the dispatcher would.
    """
    minted = await simulator.admin.mint(ProviderName.APNS, TOKENS)
    await _put_faults(simulator)
    tls = ssl.create_default_context(cafile=str(simulator.ca_file))
    transport = Multiplex(dial=Dialer(tls), policy=Policy(connections=2), clock=SYSTEM_CLOCK)
    bearer, rounds = _bearer(simulator), 0
    for start in range(0, count, PAGE):
        ids = [str(uuid4()).encode() for _ in range(start, min(start + PAGE, count))]
        while ids:
            rounds += 1
            exchange = _page(simulator, minted.tokens, ids, bearer)
            transport.post(exchange)
            await exchange.ended.wait()
            assert exchange.replies == {}
            assert set(exchange.failures.values()) <= {Failure.REFUSED_STREAM}
            assert exchange.accepted + len(exchange.failures) == len(ids)
            ids = [ids[row] for row in exchange.failures]
    assert rounds <= MOST_ROUNDS * count / PAGE
    await transport.aclose()
    summary = await simulator.admin.summary(ProviderName.APNS)
    assert summary.overflowed == 0
    assert (summary.accepted, summary.ids, summary.most_for_one_id) == (count, count, 1)


async def _put_faults(simulator: Simulator) -> None:
    for fault in (
        Fault(provider=ProviderName.APNS, kind=FaultKind.REFUSED_STREAM, share=0.02),
        Fault(provider=ProviderName.APNS, kind=FaultKind.GOAWAY, after_streams=500, unprocessed=20),
    ):
        await simulator.admin.fault(fault)


def _bearer(simulator: Simulator) -> str:
    """One for all: APNs minds when a connection sees another one soon."""
    access = simulator.apns
    claims = {"iss": access.team_id, "iat": int(time())}
    key, headers = access.key_file.read_bytes(), {"kid": access.key_id}
    return "bearer " + jwt.encode(claims, key, algorithm="ES256", headers=headers)


def _page(simulator: Simulator, tokens: list[str], ids: list[bytes], bearer: str) -> Exchange:
    access = simulator.apns
    requests = Requests(
        origin=Origin.parse(access.origin),
        fields=(("apns-topic", access.topics[0]), ("apns-push-type", "alert")),
        passing_fields=(("authorization", bearer),),
        paths=[f"/3/device/{tokens[row % TOKENS]}".encode() for row in range(len(ids))],
        bodies=[BODY] * len(ids),
        own=("apns-id", ids),
    )
    return Exchange(requests, answer_within=50, heard=lambda *_: None)
