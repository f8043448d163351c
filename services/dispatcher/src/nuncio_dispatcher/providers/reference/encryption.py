"""The reference for Web Push encryption: pywebpush, beside the other libraries.

Source: RFC 8291.
"""

from base64 import urlsafe_b64encode

from http_ece import ECEException
from pywebpush import WebPusher, WebPushException

from nuncio_dispatcher.domain.model import WebPushToken
from nuncio_dispatcher.providers.webpush.encryption import AUTH_SIZE, POINT_SIZE


def encrypt(text: bytes, token: WebPushToken) -> bytes | None:
    """The body for one subscription, with a fresh key and salt; None when its keys are no keys."""
    if (len(token.p256dh), len(token.auth)) != (POINT_SIZE, AUTH_SIZE):
        return None
    keys = {"p256dh": _base64url(token.p256dh), "auth": _base64url(token.auth)}
    try:
        pusher = WebPusher({"endpoint": token.reveal(), "keys": keys})
        body: bytes = pusher.encode(text)["body"]
    except (ValueError, ECEException, WebPushException):
        return None
    return body


def _base64url(raw: bytes) -> str:
    return urlsafe_b64encode(raw).rstrip(b"=").decode()
