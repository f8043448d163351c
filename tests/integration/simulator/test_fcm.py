"""FCM as clients see it that no one here wrote: google-auth, requests and httpx."""

import asyncio
import ssl
from collections.abc import Mapping

import google.auth.exceptions
import google.auth.transport.requests
import httpx
import pytest
import requests
from google.oauth2 import service_account

from nuncio_simulator.contract import Fault, FaultKind, Platform, ProviderName, Shares
from nuncio_simulator.process import Simulator

ALIVE = Shares(dead=0, throttled=0, slow=0)
DEAD = Shares(dead=1, throttled=0, slow=0)
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"


def refresh(simulator: Simulator, *, scope: str = SCOPE) -> str:
    """An access token by google-auth, over HTTP/1.1. Blocks."""
    credentials = service_account.Credentials.from_service_account_file(  # type: ignore[no-untyped-call]
        str(simulator.fcm.service_account_file), scopes=[scope]
    )
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(simulator.ca_file)
        credentials.refresh(google.auth.transport.requests.Request(session=session))
    return str(credentials.token)


async def send(
    http2: httpx.AsyncClient, simulator: Simulator, message: Mapping[str, object], *, bearer: str
) -> httpx.Response:
    url = f"{simulator.fcm.origin}/v1/projects/{simulator.fcm.project_id}/messages:send"
    headers = {"authorization": f"Bearer {bearer}"}
    return await http2.post(url, headers=headers, json={"message": message})


async def test_a_message_is_accepted_with_a_token_by_google_auth(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    [token] = (await simulator.admin.mint(ProviderName.FCM, 1, shares=ALIVE)).tokens
    bearer = await asyncio.to_thread(refresh, simulator)
    message = {"token": token, "notification": {"title": "hello"}}
    answer = await send(http2, simulator, message, bearer=bearer)
    assert answer.status_code == 200
    assert answer.http_version == "HTTP/2"
    name = answer.json()["name"]
    assert name.startswith(f"projects/{simulator.fcm.project_id}/messages/")
    assert (await simulator.admin.ledger(ProviderName.FCM)).accepted_ids == {name: 1}


async def test_google_auth_hears_of_a_wrong_scope(simulator: Simulator) -> None:
    with pytest.raises(google.auth.exceptions.RefreshError, match="invalid_scope"):
        await asyncio.to_thread(refresh, simulator, scope="https://example.com/none")


async def test_a_refused_token_endpoint_is_heard_by_google_auth(simulator: Simulator) -> None:
    fault = Fault(provider=ProviderName.OAUTH, kind=FaultKind.CREDENTIAL)
    await simulator.admin.fault(fault)
    with pytest.raises(google.auth.exceptions.RefreshError, match="invalid_grant"):
        await asyncio.to_thread(refresh, simulator)


async def test_a_dead_token_is_unregistered(simulator: Simulator, http2: httpx.AsyncClient) -> None:
    [token] = (await simulator.admin.mint(ProviderName.FCM, 1, shares=DEAD)).tokens
    bearer = await asyncio.to_thread(refresh, simulator)
    answer = await send(http2, simulator, {"token": token}, bearer=bearer)
    assert answer.status_code == 404
    assert answer.json()["error"]["details"][0]["errorCode"] == "UNREGISTERED"


async def test_the_bearer_token_is_asked_for(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    answer = await send(http2, simulator, {"topic": "news"}, bearer="made-up")
    assert answer.status_code == 401
    assert answer.json()["error"]["status"] == "UNAUTHENTICATED"


async def test_an_apns_key_fault_stops_ios_only(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    mint = simulator.admin.mint
    [ios] = (await mint(ProviderName.FCM, 1, platform=Platform.IOS, shares=ALIVE)).tokens
    [android] = (await mint(ProviderName.FCM, 1, shares=ALIVE)).tokens
    await simulator.admin.fault(
        Fault(
            provider=ProviderName.FCM,
            kind=FaultKind.ANSWER,
            reason="THIRD_PARTY_AUTH_ERROR",
            platform=Platform.IOS,
        )
    )
    bearer = await asyncio.to_thread(refresh, simulator)
    notification = {"notification": {"title": "hello"}}
    refused = await send(http2, simulator, {"token": ios, **notification}, bearer=bearer)
    accepted = await send(http2, simulator, {"token": android, **notification}, bearer=bearer)
    assert (refused.status_code, accepted.status_code) == (401, 200)


@pytest.mark.parametrize("wait", [7, "Sat, 21 Nov 2026 12:00:00 GMT"])
async def test_retry_after_comes_as_scripted(
    simulator: Simulator, http2: httpx.AsyncClient, wait: int | str
) -> None:
    bearer = await asyncio.to_thread(refresh, simulator)
    await simulator.admin.fault(
        Fault(provider=ProviderName.FCM, kind=FaultKind.RETRY_AFTER, retry_after=wait)
    )
    answer = await send(http2, simulator, {"topic": "news"}, bearer=bearer)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, str(wait))


async def test_http_1_works_too(simulator: Simulator, trust: ssl.SSLContext) -> None:
    bearer = await asyncio.to_thread(refresh, simulator)
    async with httpx.AsyncClient(verify=trust, trust_env=False) as http1:
        answers = [await send(http1, simulator, {"topic": "news"}, bearer=bearer) for _ in range(2)]
    assert [(answer.status_code, answer.http_version) for answer in answers] == [
        (200, "HTTP/1.1")
    ] * 2
