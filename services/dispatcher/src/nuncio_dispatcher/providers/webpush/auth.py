"""VAPID: the token that proves the app to a push service.

Source: RFC 8292.
"""

import re
from base64 import urlsafe_b64encode
from datetime import datetime, timedelta
from typing import Final

import jwt
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_pem_private_key,
)

from nuncio_dispatcher.providers.fields import CredentialError, read_file
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings
from nuncio_runtime.clock import Clock
from nuncio_runtime.secret import Secret

LIFETIME: Final = timedelta(hours=12)
"""At most 24 hours are allowed."""
REFRESH_AFTER: Final = timedelta(hours=1)
"""Apple wants tokens to be kept for at least that long."""
MOST_KEPT: Final = 1_000
"""Origins; some push services have a host per cluster."""

# Apple refuses localhost; names of one label and plain addresses reach nobody either.
_HOST: Final = r"(?:[a-z0-9-]+\.)+(?!localhost\b)[a-z][a-z0-9-]*\.?"
_SUBJECT: Final = re.compile(
    rf"mailto:[^@\s]+@{_HOST}|https://{_HOST}(?::[0-9]+)?(?:[/?#]\S*)?", re.IGNORECASE
)


class Vapid(Secret[str]):
    """The value of an `authorization` header."""

    __slots__ = ()


class VapidTokens:
    """Signs with one key pair: a token per origin, for the whole of an hour.

    subject: `mailto:` or `https:`, at a host that can exist; else CredentialError is raised.
    key_id: the name under which clients register subscriptions made with the key; may be empty.
    """

    def __init__(
        self, key: EllipticCurvePrivateKey, *, subject: str, clock: Clock, key_id: str = ""
    ) -> None:
        if _SUBJECT.fullmatch(subject) is None:
            raise CredentialError("subject: must be a mailto: or https: address that exists")
        self.key_id = key_id
        self._key = key
        self._public_key = _public_key(key)
        self._subject = subject
        self._clock = clock
        self._kept: dict[str, tuple[Vapid, datetime]] = {}  # the least recently used first

    def __repr__(self) -> str:
        return f"VapidTokens(key={self.key_id!r}, origins={len(self._kept)})"

    def header(self, origin: str) -> Vapid:
        """The header for requests to an origin, such as https://push.example:8443."""
        now = self._clock.now()
        kept = self._kept.pop(origin, None)
        # A token from the future, once the clock was set back, may expire later than is allowed.
        if kept is None or not timedelta() <= now - kept[1] < REFRESH_AFTER:
            kept = self._sign(origin, now), now
        # The busiest origins stay, however many others strange subscriptions bring in.
        if len(self._kept) >= MOST_KEPT:
            del self._kept[next(iter(self._kept))]
        self._kept[origin] = kept
        return kept[0]

    def _sign(self, origin: str, now: datetime) -> Vapid:
        expires = int((now + LIFETIME).timestamp())
        # In the order of the alphabet, which Chrome's push service is said to want.
        claims = {"aud": origin, "exp": expires, "sub": self._subject}
        token = jwt.encode(claims, self._key, algorithm="ES256")
        return Vapid(f"vapid t={token},k={self._public_key}")


class VapidKeys:
    """The key pairs of an app, by key id. A subscription is bound to the one it was made with.

    While keys rotate there are several: `default` serves new subscriptions, `others` those that
    are left from before. Raises CredentialError when two have the same id, or another than the
    default has none.
    """

    def __init__(self, default: VapidTokens, *others: VapidTokens) -> None:
        self._default = default
        self._by_id = {tokens.key_id: tokens for tokens in (default, *others)}
        if len(self._by_id) <= len(others) or any(not tokens.key_id for tokens in others):
            raise CredentialError("key_id: each key pair needs one of its own")

    def for_subscription(self, vapid_key_id: str) -> VapidTokens:
        """The key pair that a subscription was made with; the default when that is not known.

        Compare its `key_id` with the subscription's before believing a refusal.
        """
        return self._by_id.get(vapid_key_id, self._default)


def load_tokens(settings: WebPushSettings, *, clock: Clock) -> VapidTokens:
    """The tokens of a credential. Raises CredentialError when it cannot sign."""
    return VapidTokens(
        _load_key(settings), subject=settings.subject, clock=clock, key_id=settings.key_id
    )


def _public_key(key: EllipticCurvePrivateKey) -> str:
    point = key.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    return urlsafe_b64encode(point).rstrip(b"=").decode()


def _load_key(settings: WebPushSettings) -> EllipticCurvePrivateKey:
    pem = read_file(settings.private_key_file, key="private_key_file")
    name = settings.private_key_file.name
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"private_key_file: {name} is not an unencrypted private key in PEM form"
        raise CredentialError(message) from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        message = f"private_key_file: {name} holds no P-256 key"
        raise CredentialError(message)
    return key
