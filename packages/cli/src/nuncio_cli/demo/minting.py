"""Tokens for a population, from the simulator that will know them again."""

import base64
from collections.abc import Mapping
from typing import Final

from nuncio.common.v1.provider_pb2 import PLATFORM_ANDROID, PLATFORM_IOS, PLATFORM_WEB, Platform
from nuncio.registry.v1.token_pb2 import Token, WebPushSubscription
from nuncio_simulator.client import AdminClient
from nuncio_simulator.contract import Minted, ProviderName, Shares

# Dead tokens die when the first message reaches them, and none before it is registered.
SHARES: Final = Shares(dead=0.03, dead_before=0.0, throttled=0.01, slow=0.005)


async def mint_tokens(
    simulator: AdminClient, counts: Mapping[Platform.ValueType, int], *, shares: Shares = SHARES
) -> dict[Platform.ValueType, list[Token]]:
    """That many tokens for each platform."""
    apns = await simulator.mint(ProviderName.APNS, counts[PLATFORM_IOS], shares=shares)
    fcm = await simulator.mint(ProviderName.FCM, counts[PLATFORM_ANDROID], shares=shares)
    web = await simulator.mint(ProviderName.WEBPUSH, counts[PLATFORM_WEB], shares=shares)
    return {
        PLATFORM_IOS: [Token(apns=token) for token in apns.tokens],
        PLATFORM_ANDROID: [Token(fcm=token) for token in fcm.tokens],
        PLATFORM_WEB: _subscriptions(web),
    }


def _subscriptions(minted: Minted) -> list[Token]:
    return [
        Token(
            web_push=WebPushSubscription(
                endpoint=subscription.endpoint,
                p256dh=_decoded(subscription.p256dh),
                auth=_decoded(subscription.auth),
            )
        )
        for subscription in minted.subscriptions
    ]


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))
