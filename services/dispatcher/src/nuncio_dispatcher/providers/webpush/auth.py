"""VAPID: the token that proves the app to a push service.

Source: RFC 8292.
"""

from datetime import datetime, timedelta
from typing import Final

from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key
from py_vapid import Vapid02, VapidException

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


class Vapid(Secret[str]):
    """The value of an `authorization` header."""

    __slots__ = ()


class VapidTokens:
    """Signs one token per origin and hour."""

    def __init__(self, key: EllipticCurvePrivateKey, *, subject: str, clock: Clock) -> None:
        self._vapid = Vapid02(private_key=key)
        self._subject = subject
        self._clock = clock
        self._kept: dict[str, tuple[Vapid, datetime]] = {}

    def header(self, origin: str) -> Vapid:
        """The header for requests to an origin, such as https://push.example:8443."""
        now = self._clock.now()
        kept = self._kept.get(origin)
        if kept is not None and now - kept[1] < REFRESH_AFTER:
            return kept[0]
        if len(self._kept) >= MOST_KEPT:
            self._kept.clear()
        header = self._sign(origin, now)
        self._kept[origin] = header, now
        return header

    def _sign(self, origin: str, now: datetime) -> Vapid:
        expires = int((now + LIFETIME).timestamp())
        # Fresh claims each time: libraries fill in what they miss.
        claims = {"aud": origin, "exp": expires, "sub": self._subject}
        return Vapid(self._vapid.sign(claims)["Authorization"])


def load_tokens(settings: WebPushSettings, *, clock: Clock) -> VapidTokens:
    """The tokens of a credential. Raises CredentialError when it cannot sign."""
    tokens = VapidTokens(_load_key(settings), subject=settings.subject, clock=clock)
    try:
        tokens.header("https://push.example")
    except VapidException as error:
        message = "subject: must be a mailto: or https: address that exists"
        raise CredentialError(message) from error
    return tokens


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
