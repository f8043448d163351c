"""What proves the sender to APNs: a JWT of an Apple team, or a certificate of the connection.

A JWT is made rarely, and shared by the lanes of its key.

Sources: Apple, "Establishing a token-based connection to APNs", "Establishing a certificate-based
connection to APNs".
"""

import ssl
from datetime import datetime, timedelta
from typing import Final, NamedTuple

import jwt
from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import load_pem_private_key

from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.fields import CredentialError, read_file
from nuncio_runtime.clock import Clock
from nuncio_runtime.secret import Secret

REFRESH_AFTER: Final = timedelta(minutes=50)
"""Apple takes a token for an hour."""
LEAST_AGE: Final = timedelta(minutes=20)
"""Apple answers TooManyProviderTokenUpdates when tokens change faster."""
STEP: Final = timedelta(minutes=1)
"""A clock that is set back by less has only been put right."""

_MINUTE: Final = "%Y-%m-%d %H:%M UTC"


class Bearer(Secret[str]):
    """The value of an `authorization` header."""

    __slots__ = ()


class ProviderToken(NamedTuple):
    """A token, and when it was made."""

    bearer: Bearer
    issued_at: datetime


class TokenMint:
    """Makes the provider tokens of one key; all lanes of the key share one mint."""

    def __init__(
        self, key: EllipticCurvePrivateKey, *, team_id: str, key_id: str, clock: Clock
    ) -> None:
        self._key = key
        self._team_id = team_id
        self._key_id = key_id
        self._clock = clock
        self._token: ProviderToken | None = None
        self._held_until: datetime | None = None

    def __repr__(self) -> str:
        return f"TokenMint(team={self._team_id}, key={self._key_id})"

    def current(self) -> ProviderToken:
        """The token to use now; a new one when the last is 50 minutes old, and never sooner.

        But for one from the future, once the clock was set back: it would be refused, or kept for
        too long.
        """
        now = self._clock.now()
        token = self._token
        if token is None or (
            not -STEP <= now - token.issued_at < REFRESH_AFTER and not self._is_held(now)
        ):
            token = self._token = self._mint(now)
        return token

    def renew(self, refused: ProviderToken) -> bool:
        """Replace a token that APNs calls expired.

        False when that cannot be the cause: the token is the newest and younger than 20 minutes,
        so that our clock or the credential is wrong; or minting is held.
        """
        now = self._clock.now()
        if self._token is not None and self._token.issued_at > refused.issued_at:
            return True  # replaced since that request was written
        if now - refused.issued_at < LEAST_AGE or self._is_held(now):
            return False
        self._token = self._mint(now)
        return True

    def hold(self) -> None:
        """Keep the present token for 20 minutes, whatever its age: APNs saw too many."""
        self._held_until = self._clock.now() + LEAST_AGE

    def _is_held(self, now: datetime) -> bool:
        return self._held_until is not None and now < self._held_until

    def _mint(self, now: datetime) -> ProviderToken:
        claims = {"iss": self._team_id, "iat": int(now.timestamp())}
        token = jwt.encode(claims, self._key, algorithm="ES256", headers={"kid": self._key_id})
        return ProviderToken(Bearer(f"bearer {token}"), now)


def load_key(settings: ApnsSettings) -> EllipticCurvePrivateKey:
    """The signing key. Raises CredentialError when the file holds no P-256 private key."""
    assert settings.key_file is not None, "the settings are those of a token key"
    pem = read_file(settings.key_file, key="key_file")
    name = settings.key_file.name
    try:
        key = load_pem_private_key(pem, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        message = f"key_file: {name} is not an unencrypted private key in PEM form"
        raise CredentialError(message) from error
    if not isinstance(key, EllipticCurvePrivateKey) or not isinstance(key.curve, SECP256R1):
        message = f"key_file: {name} holds no P-256 key"
        raise CredentialError(message)
    return key


def present_certificate(tls: ssl.SSLContext, settings: ApnsSettings, *, now: datetime) -> None:
    """Make a context prove itself with the certificate. Raises CredentialError."""
    file, key_file = settings.certificate_file, settings.certificate_key_file
    assert file is not None, "the settings are those of a certificate"
    assert key_file is not None, "a certificate comes with its key"
    _check_dates(read_file(file, key="certificate_file"), file.name, now)
    read_file(key_file, key="certificate_key_file")
    try:
        # With a password, so that OpenSSL does not ask the terminal for one.
        tls.load_cert_chain(file, key_file, password="")
    except (OSError, ssl.SSLError) as error:
        message = f"certificate_key_file: {key_file.name} is not the unencrypted key of {file.name}"
        raise CredentialError(message) from error


def _check_dates(pem: bytes, name: str, now: datetime) -> None:
    try:
        certificate = x509.load_pem_x509_certificates(pem)[0]
    except ValueError as error:
        message = f"certificate_file: {name} holds no certificate in PEM form"
        raise CredentialError(message) from error
    begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    if not begin <= now < end:
        bound = f"begins at {begin:{_MINUTE}}" if now < begin else f"ended at {end:{_MINUTE}}"
        message = f"certificate_file: {name} {bound}"
        raise CredentialError(message)
