"""The plain text of tokens: one run of bytes per token, sealed as a whole.

    APNs, FCM     address
    Web Push      p256dh (65)  auth (16)  endpoint

The address is what makes a token unique: of a subscription it is the endpoint alone, so new keys
for the same endpoint are the same token; and it has one form, however it was written.
"""

from typing import Final

from nuncio_registry.domain.endpoint import canonical
from nuncio_registry.domain.model import Provider, PushToken

P256DH_BYTES: Final = 65
AUTH_BYTES: Final = 16
WEB_PUSH_KEY_BYTES: Final = P256DH_BYTES + AUTH_BYTES


def plain_token(address: str) -> PushToken:
    """A token of APNs or FCM."""
    return PushToken(address.encode())


def subscription_token(*, endpoint: str, p256dh: bytes, auth: bytes) -> PushToken:
    """A Web Push subscription."""
    return PushToken(p256dh + auth + canonical(endpoint).encode())


def address(provider: Provider, token: PushToken) -> bytes:
    """What makes the token unique among those of its provider."""
    plaintext = token.reveal()
    if provider == Provider.WEB_PUSH:
        return plaintext[WEB_PUSH_KEY_BYTES:]
    if provider == Provider.APNS:
        return plaintext.lower()  # Hexadecimal digits: both cases name the same token.
    return plaintext
