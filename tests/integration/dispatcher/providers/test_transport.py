"""What every transport promises, against the simulator's APNs: see http2/exchange.py."""

import asyncio
import json
import ssl
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from datetime import UTC, datetime
from typing import NamedTuple
from uuid import uuid4

import jwt
import pytest

from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.exchange import (
    Exchange,
    Failure,
    Origin,
    Requests,
    Traffic,
    Transport,
)
from nuncio_dispatcher.http2.network import Dialer
from nuncio_dispatcher.http2.pool import Multiplex
from nuncio_dispatcher.providers.reference.apns import ReferenceApns
from nuncio_dispatcher.providers.reference.http import ReferenceHttp
from nuncio_runtime.clock import SYSTEM_CLOCK
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.providers.sending import taken

IN_FLIGHT = 20
"""Of the transport that needs to be told."""

Make = Callable[[Origin, ssl.SSLContext], Transport]


def reference_apns(origin: Origin, tls: ssl.SSLContext) -> Transport:
    return ReferenceApns(origin, tls=tls, clock=SYSTEM_CLOCK)


def reference_http(_origin: Origin, tls: ssl.SSLContext) -> Transport:
    return ReferenceHttp(tls=tls, in_flight=IN_FLIGHT, clock=SYSTEM_CLOCK)


def multiplex(_origin: Origin, tls: ssl.SSLContext) -> Transport:
    return Multiplex(dial=Dialer(tls), policy=Policy(), clock=SYSTEM_CLOCK)


# httpx loses the answers that are still to come when a GOAWAY arrives.
HEAR_OUT_GOAWAY = [reference_apns, multiplex]
TRANSPORTS = [*HEAR_OUT_GOAWAY, reference_http]


class Road(NamedTuple):
    """A transport, and requests to send with it."""

    transport: Transport
    origin: Origin
    authorization: str
    topic: str

    def requests(
        self, tokens: Sequence[str], *, body: bytes = b'{"aps":{"alert":"Hi"}}'
    ) -> Requests:
        return Requests(
            origin=self.origin,
            fields=(("apns-topic", self.topic), ("apns-push-type", "alert")),
            passing_fields=(("authorization", self.authorization), ("apns-expiration", "0")),
            paths=[b"/3/device/" + token.encode() for token in tokens],
            bodies=[body] * len(tokens),
            own=("apns-id", [str(uuid4()).encode() for _ in tokens]),
        )


class Heard:
    """What a sender is told."""

    def __init__(self) -> None:
        self.rows: list[int] = []
        self.is_posting = False

    def __call__(self, exchange: Exchange, rows: Sequence[int]) -> None:
        assert not self.is_posting, "nothing is told from within post"
        assert all(not exchange.is_open(row) for row in rows)
        self.rows += rows


def post(
    road: Road, requests: Requests, *, answer_within: float = 5.0, urgent: bool = False
) -> tuple[Exchange, Heard]:
    heard = Heard()
    exchange = Exchange(requests, answer_within=answer_within, heard=heard, urgent=urgent)
    heard.is_posting = True
    road.transport.post(exchange)
    heard.is_posting = False
    return exchange, heard


async def finished(
    road: Road, requests: Requests, *, answer_within: float = 5.0
) -> tuple[Exchange, Heard]:
    """Post, and wait for the end; what is true of every exchange is looked at here."""
    exchange, heard = post(road, requests, answer_within=answer_within)
    async with asyncio.timeout(9):
        await exchange.ended.wait()
    assert not exchange.open
    assert not exchange.waiting
    assert exchange.accepted == sum(200 <= status < 300 for status in exchange.statuses)
    assert sorted(heard.rows) == sorted({*exchange.replies, *exchange.failures})
    assert exchange.accepted + len(heard.rows) == len(requests)
    return exchange, heard


def ids_of(requests: Requests) -> list[str]:
    assert requests.own is not None
    return [row_id.decode() for row_id in requests.own[1]]


async def minted(simulator: Simulator, count: int) -> list[str]:
    return (await simulator.admin.mint(ProviderName.APNS, count)).tokens


async def fault(simulator: Simulator, kind: FaultKind, **details: object) -> None:
    found = {"provider": ProviderName.APNS, "kind": kind, **details}
    await simulator.admin.fault(Fault.model_validate(found))


async def accepted_ids(simulator: Simulator) -> list[str]:
    """In the order in which they were accepted."""
    ledger = await simulator.admin.ledger(ProviderName.APNS)
    assert set(ledger.accepted_ids.values()) <= {1}, "nothing is accepted twice"
    return list(ledger.accepted_ids)


def authorization(simulator: Simulator) -> str:
    claims = {"iss": simulator.apns.team_id, "iat": int(datetime.now(UTC).timestamp())}
    key = simulator.apns.key_file.read_text()
    token = jwt.encode(claims, key, algorithm="ES256", headers={"kid": simulator.apns.key_id})
    return f"bearer {token}"


def road_to(simulator: Simulator, make: Make, *, origin: str = "", trusts: bool = True) -> Road:
    where = Origin.parse(origin or simulator.apns.origin)
    tls = ssl.create_default_context(cafile=simulator.ca_file if trusts else None)
    return Road(make(where, tls), where, authorization(simulator), simulator.apns.topics[0])


@pytest.fixture(params=TRANSPORTS, ids=lambda make: make.__name__)
def make(request: pytest.FixtureRequest) -> Make:
    found: Make = request.param
    return found


@pytest.fixture
async def road(simulator: Simulator, make: Make) -> AsyncIterator[Road]:
    road = road_to(simulator, make)
    yield road
    await road.transport.aclose()


@pytest.fixture
async def warm_road(simulator: Simulator, road: Road) -> Road:
    """A connection that was used once, and takes many streams."""
    await finished(road, road.requests(await minted(simulator, 1)))
    await simulator.admin.reset_ledger()
    return road


async def test_accepted_rows_are_counted_and_not_told_of(simulator: Simulator, road: Road) -> None:
    requests = road.requests(await minted(simulator, 300))
    exchange, heard = await finished(road, requests)
    assert exchange.statuses == [200] * 300
    assert None not in exchange.written_at
    assert heard.rows == []
    assert sorted(await accepted_ids(simulator)) == sorted(ids_of(requests))


async def test_thousands_of_rows_are_accepted_once_each(
    simulator: Simulator, make: Make, road: Road
) -> None:
    size = 150 if make is reference_http else 500  # httpx takes its time
    pages = [road.requests(await minted(simulator, size)) for _ in range(4)]
    ended = await asyncio.gather(*(finished(road, page) for page in pages))
    assert [exchange.accepted for exchange, _ in ended] == [size] * 4
    everyone = [row_id for page in pages for row_id in ids_of(page)]
    assert sorted(await accepted_ids(simulator)) == sorted(everyone)


async def test_bodies_beyond_the_flow_control_window_arrive(
    simulator: Simulator, road: Road
) -> None:
    body = json.dumps({"aps": {"alert": "x" * 4_000}}).encode()
    exchange, _ = await finished(road, road.requests(await minted(simulator, 100), body=body))
    assert exchange.accepted == 100


async def test_a_refusal_comes_with_its_body_and_headers(simulator: Simulator, road: Road) -> None:
    tokens = await minted(simulator, 5)
    details = {"status": 429, "reason": "TooManyRequests", "headers": {"retry-after": "7"}}
    await fault(simulator, FaultKind.ANSWER, tokens=[tokens[3]], **details)
    exchange, heard = await finished(road, road.requests(tokens))
    assert heard.rows == [3]
    assert exchange.statuses == [200, 200, 200, 429, 200]
    reply = exchange.replies[3]
    assert reply.status == 429
    assert reply.headers["retry-after"] == "7"
    assert json.loads(reply.body) == {"reason": "TooManyRequests"}
    assert reply.via.answered >= 1
    assert exchange.written_at[3] is not None


async def test_rows_refused_unread_are_written_again(simulator: Simulator, road: Road) -> None:
    await fault(simulator, FaultKind.REFUSED_STREAM, count=3)
    requests = road.requests(await minted(simulator, 20))
    exchange, _ = await finished(road, requests)
    assert exchange.accepted == 20
    assert sorted(await accepted_ids(simulator)) == sorted(ids_of(requests))


async def test_a_row_refused_unread_again_and_again_was_not_written(
    simulator: Simulator, road: Road
) -> None:
    await fault(simulator, FaultKind.REFUSED_STREAM)
    exchange, _ = await finished(road, road.requests(await minted(simulator, 1)))
    assert exchange.failures == {0: Failure.REFUSED_STREAM}
    assert exchange.written_at == [None]


@pytest.mark.parametrize("make", HEAR_OUT_GOAWAY, indirect=True)
async def test_goaway_takes_back_only_what_was_not_looked_at(
    simulator: Simulator, warm_road: Road
) -> None:
    await fault(simulator, FaultKind.GOAWAY, after_streams=10, count=1, reason="Shutdown")
    requests = warm_road.requests(await minted(simulator, 40))
    exchange, _ = await finished(warm_road, requests)
    assert exchange.accepted == 40
    assert sorted(await accepted_ids(simulator)) == sorted(ids_of(requests))


@pytest.mark.parametrize("make", HEAR_OUT_GOAWAY, indirect=True)
async def test_answers_up_to_goaways_last_stream_are_waited_for(
    simulator: Simulator, warm_road: Road
) -> None:
    tokens = await minted(simulator, 6)
    await fault(simulator, FaultKind.LATENCY, latency_ms=300, tokens=tokens[:3])
    # The connection's first request was stream 1; these are 3, 5, 7, 9, 11 and 13.
    await fault(simulator, FaultKind.GOAWAY, tokens=tokens[-1:], count=1, last_stream_id=11)
    requests = warm_road.requests(tokens)
    exchange, _ = await finished(warm_road, requests)
    assert exchange.accepted == 6
    assert sorted(await accepted_ids(simulator)) == sorted(ids_of(requests))


async def test_a_reset_request_was_written_and_is_not_written_again(
    simulator: Simulator, road: Road
) -> None:
    tokens = await minted(simulator, 5)
    await fault(simulator, FaultKind.RESET, tokens=[tokens[2]], after_accept=True)
    requests = road.requests(tokens)
    exchange, _ = await finished(road, requests)
    assert exchange.failures == {2: Failure.STREAM_RESET}
    assert exchange.written_at[2] is not None
    assert sorted(await accepted_ids(simulator)) == sorted(ids_of(requests))


async def test_rows_written_to_a_connection_that_is_lost_may_have_been_taken(
    simulator: Simulator, warm_road: Road
) -> None:
    tokens = await minted(simulator, 10)
    await fault(simulator, FaultKind.CLOSE, tokens=[tokens[9]], count=1, after_accept=True)
    requests = warm_road.requests(tokens)
    exchange, _ = await finished(warm_road, requests)
    assert exchange.failures[9] is Failure.CONNECTION_LOST
    assert set(exchange.failures.values()) == {Failure.CONNECTION_LOST}
    assert None not in [exchange.written_at[row] for row in exchange.failures]
    assert ids_of(requests)[9] in await accepted_ids(simulator)
    again, _ = await finished(warm_road, warm_road.requests(await minted(simulator, 5)))
    assert again.accepted == 5


async def test_silence_ends_its_own_row_at_the_deadline(
    simulator: Simulator, warm_road: Road
) -> None:
    tokens = await minted(simulator, 10)
    await fault(simulator, FaultKind.NO_ANSWER, tokens=[tokens[4]])
    exchange, _ = await finished(warm_road, warm_road.requests(tokens), answer_within=0.5)
    assert exchange.failures == {4: Failure.NO_ANSWER}
    assert exchange.written_at[4] is not None
    assert exchange.accepted == 9


async def test_rows_that_wait_can_be_withdrawn_and_are_not_written(
    simulator: Simulator, road: Road
) -> None:
    """A new connection to APNs has one stream until its first answer."""
    tokens = await minted(simulator, 4)
    await fault(simulator, FaultKind.LATENCY, latency_ms=300, tokens=tokens[:1])
    requests = road.requests(tokens)
    exchange, heard = post(road, requests)
    await under_way(road, 1)
    assert list(exchange.withdraw()) == [1, 2, 3]
    async with asyncio.timeout(5):
        await exchange.ended.wait()
    assert exchange.statuses == [200, 0, 0, 0]
    assert heard.rows == []
    again, _ = await finished(road, road.requests(await minted(simulator, 3)))
    assert again.accepted == 3
    assert not set(ids_of(requests)[1:]) & set(await accepted_ids(simulator))


async def under_way(road: Road, count: int) -> None:
    """Return once so many requests are written and unanswered."""
    async with asyncio.timeout(5):
        while traffic(road).in_flight != count:  # noqa: ASYNC110
            await asyncio.sleep(0.005)  # a transport does not tell when it writes


def traffic(road: Road) -> Traffic:
    return dict(road.transport.traffic())[road.origin]


async def test_what_is_abandoned_has_ended_at_once(simulator: Simulator, road: Road) -> None:
    await fault(simulator, FaultKind.NO_ANSWER, after_accept=True)
    exchange, heard = post(road, road.requests(await minted(simulator, 4)))
    await taken(simulator, ProviderName.APNS, 1)
    found = traffic(road)
    assert (found.connections, found.in_flight, found.waiting) == (1, 1, 3)
    road.transport.abandon(exchange)
    assert exchange.ended.is_set()
    failed = [exchange.failures[row] for row in range(4)]
    assert failed == [Failure.NO_ANSWER] + [Failure.NOT_SENT] * 3
    assert [at is None for at in exchange.written_at] == [False, True, True, True]
    assert sorted(heard.rows) == [0, 1, 2, 3]
    await simulator.admin.clear_faults()
    again, _ = await finished(road, road.requests(await minted(simulator, 3)))
    assert again.accepted == 3


async def test_a_port_that_nobody_listens_on_fails_all_rows(
    simulator: Simulator, make: Make
) -> None:
    road = road_to(simulator, make, origin="https://127.0.0.1:1")
    exchange, _ = await finished(road, road.requests(await minted(simulator, 30)))
    assert Counter(exchange.failures.values()) == {Failure.CONNECT_FAILED: 30}
    assert set(exchange.written_at) == {None}
    await road.transport.aclose()


async def test_a_certificate_of_an_unknown_issuer_fails_all_rows(
    simulator: Simulator, make: Make
) -> None:
    road = road_to(simulator, make, trusts=False)
    exchange, _ = await finished(road, road.requests(await minted(simulator, 30)))
    assert Counter(exchange.failures.values()) == {Failure.NOT_TRUSTED: 30}
    assert set(exchange.written_at) == {None}
    await road.transport.aclose()


async def test_closing_ends_what_is_open(simulator: Simulator, make: Make) -> None:
    await fault(simulator, FaultKind.NO_ANSWER, after_accept=True)
    road = road_to(simulator, make)
    exchange, heard = post(road, road.requests(await minted(simulator, 3)))
    await taken(simulator, ProviderName.APNS, 1)
    await road.transport.aclose()
    assert exchange.ended.is_set()
    assert exchange.failures[0] is Failure.CONNECTION_LOST
    assert [at is None for at in exchange.written_at] == [False, True, True]
    assert sorted(heard.rows) == [0, 1, 2]


async def test_urgent_rows_go_before_those_that_wait(simulator: Simulator, road: Road) -> None:
    """A new connection to APNs has one stream until its first answer."""
    tokens = await minted(simulator, 105)
    await fault(simulator, FaultKind.LATENCY, latency_ms=200, tokens=tokens[:1])
    bulk, _ = post(road, road.requests(tokens[:100]))
    await under_way(road, 1)
    requests = road.requests(tokens[100:])
    urgent, _ = post(road, requests, urgent=True)
    async with asyncio.timeout(8):
        await asyncio.gather(bulk.ended.wait(), urgent.ended.wait())
    order = await accepted_ids(simulator)
    assert len(order) == 105
    assert max(map(order.index, ids_of(requests))) < IN_FLIGHT + len(requests)
