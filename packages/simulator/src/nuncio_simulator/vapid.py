"""VAPID: who sends this Web Push message. Source: RFC 8292."""

import re
from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from nuncio_simulator import base64url
from nuncio_simulator.jose import BadJwtError, verify_jwt
from nuncio_simulator.provider import Clock

MAX_LIFETIME: Final = 86_400
CLOCK_SKEW: Final = 60
CONTACT: Final = re.compile(r"mailto:[^@\s]+@[^@\s]+|https://.+")
REMEMBERED: Final = 1_024


class Voucher(NamedTuple):
    """A VAPID header whose signature is good."""

    key: bytes
    """The sender's public key, uncompressed point."""
    claims: dict[str, Any]


class VapidChecks:
    """Judges the authorization header of requests to one origin."""

    def __init__(self, origin: str, *, clock: Clock) -> None:
        self._origin = origin
        self._clock = clock
        self._read: dict[bytes, Voucher] = {}

    def judge(self, header: bytes) -> Voucher | None:
        """The voucher, when signature, audience, expiry and contact are in order."""
        voucher = self._read.get(header) or self._remember(header)
        return voucher if voucher is not None and self._holds(voucher.claims) else None

    def _remember(self, header: bytes) -> Voucher | None:
        voucher = _read(header.decode("latin-1"))
        if voucher is not None:
            if len(self._read) >= REMEMBERED:
                self._read.clear()
            self._read[header] = voucher
        return voucher

    def _holds(self, claims: dict[str, Any]) -> bool:
        now, expires, contact = self._clock(), claims.get("exp"), claims.get("sub")
        return (
            claims.get("aud") == self._origin
            and isinstance(expires, int | float)
            and now < expires <= now + MAX_LIFETIME + CLOCK_SKEW
            and isinstance(contact, str)
            and CONTACT.fullmatch(contact) is not None
        )


def _read(header: str) -> Voucher | None:
    scheme, _, rest = header.partition(" ")
    if scheme.lower() != "vapid":
        return None
    fields = {
        name.strip(): value.strip().strip('"')
        for name, _, value in (field.partition("=") for field in rest.split(","))
    }
    try:
        key = base64url.decode(fields.get("k", ""))
        public_key = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), key)
        _head, claims = verify_jwt(fields.get("t", ""), public_key)
    except (BadJwtError, ValueError):
        return None
    return Voucher(key, claims)
