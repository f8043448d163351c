"""Web Push as clients see it that no one here wrote: pywebpush, py_vapid and httpx."""

import asyncio
import hashlib
import time
from typing import Any

import httpx
import pytest
import requests
from py_vapid import Vapid02
from pywebpush import WebPusher, WebPushException, webpush

from nuncio_simulator.contract import Platform, ProviderName, Shares, Subscription
from nuncio_simulator.process import Simulator

ALIVE = Shares(dead=0, throttled=0, slow=0)
DEAD = Shares(dead=1, throttled=0, slow=0)
BROWSERS = [Platform.FIREFOX, Platform.CHROME, Platform.EDGE, Platform.SAFARI]


def as_dict(subscription: Subscription) -> dict[str, Any]:
    keys = {"p256dh": subscription.p256dh, "auth": subscription.auth}
    return {"endpoint": subscription.endpoint, "keys": keys}


def push(simulator: Simulator, subscription: Subscription, message: str) -> requests.Response:
    """By pywebpush, over HTTP/1.1. Blocks."""
    with requests.Session() as session:
        session.trust_env = False
        session.verify = str(simulator.ca_file)
        answer = webpush(
            as_dict(subscription),
            message,
            vapid_private_key=str(simulator.webpush.vapid_private_key_file),
            vapid_claims={"sub": simulator.webpush.subject},
            ttl=60,
            headers={"x-wns-cache-policy": "cache"},
            requests_session=session,
        )
    assert isinstance(answer, requests.Response)
    return answer


@pytest.mark.parametrize("platform", BROWSERS)
async def test_a_message_by_pywebpush_is_decrypted(
    simulator: Simulator, platform: Platform
) -> None:
    minted = await simulator.admin.mint(ProviderName.WEBPUSH, 1, platform=platform, shares=ALIVE)
    answer = await asyncio.to_thread(push, simulator, minted.subscriptions[0], "grüße")
    assert answer.status_code == 201
    ledger = await simulator.admin.ledger(ProviderName.WEBPUSH)
    assert ledger.accepted_ids == {answer.headers["location"]: 1}
    assert ledger.plaintexts == {hashlib.sha256("grüße".encode()).hexdigest(): 1}


@pytest.mark.parametrize("platform", BROWSERS)
async def test_a_dead_subscription_is_gone(simulator: Simulator, platform: Platform) -> None:
    minted = await simulator.admin.mint(ProviderName.WEBPUSH, 1, platform=platform, shares=DEAD)
    with pytest.raises(WebPushException) as caught:
        await asyncio.to_thread(push, simulator, minted.subscriptions[0], "hello")
    assert caught.value.status_code == 410


async def test_a_subscription_of_another_key_is_refused(simulator: Simulator) -> None:
    stranger = Vapid02()
    stranger.generate_keys()
    point = stranger.public_key.public_numbers()
    raw = b"\4" + point.x.to_bytes(32) + point.y.to_bytes(32)
    minted = await simulator.admin.mint(
        ProviderName.WEBPUSH, 1, shares=ALIVE, vapid_public_key=raw.hex()
    )
    with pytest.raises(WebPushException) as caught:
        await asyncio.to_thread(push, simulator, minted.subscriptions[0], "hello")
    assert caught.value.status_code == 401


async def test_http_2_and_a_vapid_header_by_py_vapid(
    simulator: Simulator, http2: httpx.AsyncClient
) -> None:
    minted = await simulator.admin.mint(ProviderName.WEBPUSH, 1, shares=ALIVE)
    [subscription] = minted.subscriptions
    vapid = Vapid02.from_file(str(simulator.webpush.vapid_private_key_file))
    claims = {
        "aud": simulator.webpush.origin,
        "exp": int(time.time()) + 3_600,
        "sub": simulator.webpush.subject,
    }
    headers = {
        **vapid.sign(claims),
        "TTL": "9999999",
        "Content-Encoding": "aes128gcm",
        "Topic": "news",
        "Urgency": "high",
    }
    body = WebPusher(as_dict(subscription)).encode(b"hello", "aes128gcm")["body"]
    answer = await http2.post(subscription.endpoint, headers=headers, content=body)
    assert (answer.status_code, answer.http_version) == (201, "HTTP/2")
    assert answer.headers["ttl"] == "2592000"
