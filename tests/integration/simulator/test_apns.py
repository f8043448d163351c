"""APNs as clients see it that no one here wrote: aioapns and httpx."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator
from functools import cache
from pathlib import Path
from uuid import uuid4

import httpx
import jwt
import pytest
from aioapns import APNs, NotificationRequest, PushType
from aioapns.connection import APNsProductionClientProtocol

from nuncio_simulator.contract import Fault, FaultKind, ProviderName, Shares
from nuncio_simulator.ledger import token_hash
from nuncio_simulator.process import Simulator

ALIVE = Shares(dead=0, throttled=0, slow=0)
DEAD = Shares(dead=1, dead_before=0, throttled=0, slow=0)


@pytest.fixture
async def aioapns(simulator: Simulator, trust: ssl.SSLContext) -> AsyncIterator[APNs]:
    lost = asyncio.Event()

    class LocalProtocol(APNsProductionClientProtocol):
        APNS_SERVER = "localhost"
        APNS_PORT = httpx.URL(simulator.apns.origin).port or 0

        def connection_lost(self, exc: Exception | None) -> None:
            super().connection_lost(exc)
            lost.set()

    client = APNs(
        key=simulator.apns.key_file.read_text(),
        key_id=simulator.apns.key_id,
        team_id=simulator.apns.team_id,
        topic=simulator.apns.topics[0],
        ssl_context=trust,
        max_connections=1,
    )
    client.pool.protocol_class = LocalProtocol
    yield client
    client.pool.close()
    await lost.wait()


@cache  # a connection takes one JWT in 20 minutes
def bearer(key_file: Path, *, team_id: str, key_id: str, age: int) -> str:
    claims = {"iss": team_id, "iat": int(time.time()) - age}
    key = key_file.read_text()
    return "bearer " + jwt.encode(claims, key, algorithm="ES256", headers={"kid": key_id})


def headers_for(simulator: Simulator, *, age: int = 0) -> dict[str, str]:
    """Valid headers of an alert, with a JWT of that age in seconds."""
    apns = simulator.apns
    return {
        "authorization": bearer(apns.key_file, team_id=apns.team_id, key_id=apns.key_id, age=age),
        "apns-topic": simulator.apns.topics[0],
        "apns-push-type": "alert",
    }


async def send(
    http2: httpx.AsyncClient, simulator: Simulator, token: str, **options: str
) -> httpx.Response:
    headers = headers_for(simulator) | {name.replace("_", "-"): o for name, o in options.items()}
    url = f"{simulator.apns.origin}/3/device/{token}"
    return await http2.post(url, headers=headers, json={"aps": {"alert": "hello"}})


async def test_aioapns_delivers_every_notification_exactly_once(
    simulator: Simulator, aioapns: APNs
) -> None:
    tokens = (await simulator.admin.mint(ProviderName.APNS, 50, shares=ALIVE)).tokens
    requests = [
        NotificationRequest(token, {"aps": {"alert": "hello"}}, push_type=PushType.ALERT)
        for token in tokens
    ]
    first = await aioapns.send_notification(requests[0])  # opens the stream limit
    results = [first, *await asyncio.gather(*map(aioapns.send_notification, requests[1:]))]
    assert all(result.is_successful for result in results)
    ledger = await simulator.admin.ledger(ProviderName.APNS)
    assert ledger.accepted_ids == {request.notification_id: 1 for request in requests}
    assert {name: count.accepted for name, count in ledger.tokens.items()} == {
        token_hash(token): 1 for token in tokens
    }


async def test_aioapns_hears_when_a_token_died(simulator: Simulator, aioapns: APNs) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    await simulator.admin.kill([token], dead_since=1_700_000_000.25)
    result = await aioapns.send_notification(NotificationRequest(token, {"aps": {"badge": 1}}))
    assert (result.status, result.description) == ("410", "Unregistered")
    assert result.timestamp == 1_700_000_000_250


async def test_a_revived_token_lives(simulator: Simulator, http2: httpx.AsyncClient) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=DEAD)).tokens
    assert (await send(http2, simulator, token)).status_code == 410
    await simulator.admin.revive([token])
    assert (await send(http2, simulator, token)).status_code == 200


async def test_the_apns_id_comes_back(simulator: Simulator, http2: httpx.AsyncClient) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    apns_id = str(uuid4())
    answer = await send(http2, simulator, token, apns_id=apns_id)
    assert (answer.status_code, answer.content) == (200, b"")
    assert answer.headers["apns-id"] == apns_id
    assert "apns-unique-id" not in answer.headers


async def test_the_sandbox_knows_only_its_own_tokens(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    minted = await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE, environment="sandbox")
    [token] = minted.tokens
    answer = await send(http2, simulator, token)
    assert (answer.status_code, answer.json()) == (400, {"reason": "BadDeviceToken"})
    url = f"{simulator.apns.sandbox_origin}/3/device/{token}"
    answer = await http2.post(url, headers=headers_for(simulator), json={"aps": {"badge": 1}})
    assert answer.status_code == 200
    assert "apns-unique-id" in answer.headers


async def test_an_old_jwt_wedges_the_connection(
    simulator: Simulator, trust: ssl.SSLContext, http2: httpx.AsyncClient
) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    url = f"{simulator.apns.origin}/3/device/{token}"
    for age in (3_700, 0):
        headers = headers_for(simulator, age=age)
        answer = await http2.post(url, headers=headers, json={"aps": {"badge": 1}})
        assert (answer.status_code, answer.json()) == (403, {"reason": "ExpiredProviderToken"})
    async with httpx.AsyncClient(http2=True, verify=trust, trust_env=False) as new_connection:
        assert (await send(new_connection, simulator, token)).status_code == 200


async def test_a_large_payload_is_refused_and_the_connection_lives_on(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    url = f"{simulator.apns.origin}/3/device/{token}"
    for size in (5_000, 200_000):
        answer = await http2.post(
            url, headers=headers_for(simulator), json={"aps": {"alert": "x" * size}}
        )
        assert (answer.status_code, answer.json()) == (413, {"reason": "PayloadTooLarge"})
    assert (await simulator.admin.state()).connections[ProviderName.APNS] == 1


async def test_a_throttled_token_is_accepted_in_the_end(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    throttled = Shares(dead=0, throttled=1, slow=0)
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=throttled)).tokens
    statuses = [(await send(http2, simulator, token)).status_code for _ in range(4)]
    assert statuses[0] == 429
    assert statuses[2:] == [200, 200]


async def test_a_fault_ends_after_its_count(simulator: Simulator, http2: httpx.AsyncClient) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    await simulator.admin.fault(
        Fault(
            provider=ProviderName.APNS,
            kind=FaultKind.ANSWER,
            reason="InternalServerError",
            status=500,
            count=2,
        )
    )
    answers = [await send(http2, simulator, token) for _ in range(3)]
    assert [answer.status_code for answer in answers] == [500, 500, 200]
    assert answers[0].json() == {"reason": "InternalServerError"}


async def test_a_fault_may_concern_one_token_only(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    one, other = (await simulator.admin.mint(ProviderName.APNS, 2, shares=ALIVE)).tokens
    await simulator.admin.fault(
        Fault(provider=ProviderName.APNS, kind=FaultKind.CREDENTIAL, tokens=[one])
    )
    assert (await send(http2, simulator, one)).json() == {"reason": "InvalidProviderToken"}
    assert (await send(http2, simulator, other)).status_code == 200


async def test_a_refused_stream_was_not_taken(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    await simulator.admin.fault(
        Fault(provider=ProviderName.APNS, kind=FaultKind.REFUSED_STREAM, count=1)
    )
    with pytest.raises(httpx.RemoteProtocolError, match="error_code:7"):
        await send(http2, simulator, token)
    assert (await simulator.admin.ledger(ProviderName.APNS)).accepted == 0
    assert (await send(http2, simulator, token)).status_code == 200


async def test_a_message_may_be_taken_and_its_answer_lost(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    await simulator.admin.fault(
        Fault(provider=ProviderName.APNS, kind=FaultKind.CLOSE, count=1, after_accept=True)
    )
    with pytest.raises(httpx.TransportError):
        await send(http2, simulator, token)
    assert (await simulator.admin.ledger(ProviderName.APNS)).accepted == 1


async def test_a_hanging_stream_leaves_the_connection_alone(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    one, other = (await simulator.admin.mint(ProviderName.APNS, 2, shares=ALIVE)).tokens
    assert (await send(http2, simulator, other)).status_code == 200
    await simulator.admin.fault(
        Fault(provider=ProviderName.APNS, kind=FaultKind.NO_ANSWER, tokens=[one])
    )
    async with asyncio.TaskGroup() as group:
        hanging = group.create_task(send(http2, simulator, one))
        assert (await send(http2, simulator, other)).status_code == 200
        hanging.cancel()


async def test_goaway_ends_the_connection_with_a_reason(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    [token] = (await simulator.admin.mint(ProviderName.APNS, 1, shares=ALIVE)).tokens
    goaway = Fault(
        provider=ProviderName.APNS,
        kind=FaultKind.GOAWAY,
        after_streams=2,
        reason="Shutdown",
        count=1,
    )
    await simulator.admin.fault(goaway)
    assert [(await send(http2, simulator, token)).status_code for _ in range(4)] == [200] * 4
    ledger = await simulator.admin.ledger(ProviderName.APNS)
    assert ledger.tokens[token_hash(token)].accepted == 4
