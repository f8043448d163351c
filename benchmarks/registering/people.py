"""Registrations as rich as the demo's, with tokens that no provider has to know."""

import random
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Final

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nuncio.common.v1.provider_pb2 import PLATFORM_ANDROID, PLATFORM_IOS, PLATFORM_WEB
from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio.registry.v1.token_pb2 import Token, WebPushSubscription
from nuncio_cli.demo.population import platforms, population

PUSH_SERVICE: Final = "https://updates.push.services.mozilla.com/wpush/v2/"
# Few key pairs for many subscriptions: making them takes longer than anything that is measured.
_KEY_PAIRS: Final = 16


def registrations(count: int, *, seed: int) -> Sequence[Registration]:
    """That many, the same ones for the same seed."""
    dice = random.Random(seed)  # noqa: S311 - nothing here is secret
    points = [_point() for _ in range(_KEY_PAIRS)]
    counts = platforms(count)
    tokens = {
        PLATFORM_IOS: [Token(apns=dice.randbytes(32).hex()) for _ in range(counts[PLATFORM_IOS])],
        PLATFORM_ANDROID: [Token(fcm=_fcm(dice)) for _ in range(counts[PLATFORM_ANDROID])],
        PLATFORM_WEB: [_subscription(dice, points) for _ in range(counts[PLATFORM_WEB])],
    }
    return list(population(tokens, seed=seed, now=datetime.now(UTC)))


def _fcm(dice: random.Random) -> str:
    """Of the length and the characters that Firebase gives: 22, a colon and 140."""
    return f"{dice.randbytes(11).hex()}:APA91b{dice.randbytes(67).hex()}"


def _subscription(dice: random.Random, points: Sequence[bytes]) -> Token:
    return Token(
        web_push=WebPushSubscription(
            endpoint=PUSH_SERVICE + dice.randbytes(64).hex(),
            p256dh=dice.choice(points),
            auth=dice.randbytes(16),
        )
    )


def _point() -> bytes:
    key = ec.generate_private_key(ec.SECP256R1()).public_key()
    return key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
