"""Web Push subscriptions as browsers make them."""

import os

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nuncio.registry.v1 import token_pb2


def subscription(endpoint: str) -> token_pb2.WebPushSubscription:
    """A new subscription with keys of its own."""
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    return token_pb2.WebPushSubscription(
        endpoint=endpoint,
        p256dh=public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint),
        auth=os.urandom(16),
    )
