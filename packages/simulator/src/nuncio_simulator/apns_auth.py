"""APNs provider tokens: who signed them, how old they are, how often they change.

Source: Apple, "Establishing a token-based connection to APNs".
"""

from typing import Any, Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec

from nuncio_simulator.certificates import ClientCertificate
from nuncio_simulator.jose import BadJwtError, verify_jwt
from nuncio_simulator.provider import Clock, Visit

MAX_AGE: Final = 3_600
MIN_UPDATE_INTERVAL: Final = 1_200
MAX_CLOCK_SKEW: Final = 60
REMEMBERED: Final = 1_024

BEARER_REFUSALS: Final = {
    "ExpiredProviderToken": 403,
    "InvalidProviderToken": 403,
    "MissingProviderToken": 403,
    "UnrelatedKeyIdInToken": 403,
    "BadEnvironmentKeyIdInToken": 403,
    "BadEnvironmentKeyInToken": 403,
    "TooManyProviderTokenUpdates": 429,
}
SEEN_SPELLING: Final = "BadEnvironmentKeyInToken"
"""As it comes over the wire."""
DOCUMENTED_SPELLING: Final = "BadEnvironmentKeyIdInToken"
WEDGING: Final = {"ExpiredProviderToken", "TooManyProviderTokenUpdates"}
"""After one of these a connection gives no other answer."""


class ApnsVisit(Visit):
    """A connection to APNs, and the provider tokens it has seen."""

    def __init__(self, stream_limit: int, certificate: ClientCertificate | None = None) -> None:
        super().__init__(stream_limit)
        self.certificate = certificate
        self.bad_tokens = 0
        self.key_id = ""
        self.current = b""
        self.last_update = float("-inf")
        self.wedged = ""


class _Signed(NamedTuple):
    key_id: str
    issued_at: int


class BearerChecks:
    """Judges the authorization header against the team's keys, by key id."""

    def __init__(
        self,
        team_id: str,
        keys: dict[str, ec.EllipticCurvePublicKey],
        *,
        clock: Clock,
        elsewhere: frozenset[str] = frozenset(),
        spelling: str = SEEN_SPELLING,
    ) -> None:
        """elsewhere: ids of keys for the other environment. spelling: the reason for these."""
        self._team_id = team_id
        self._keys = keys
        self._elsewhere = elsewhere
        self._spelling = spelling
        self._clock = clock
        self._verified: dict[bytes, _Signed] = {}

    def judge(self, header: bytes | None, visit: ApnsVisit) -> str:
        """The reason to refuse the header on this connection, empty when it is in order."""
        reason = visit.wedged or self._judge(header, visit)
        if reason in WEDGING:
            visit.wedged = reason
        return reason

    def _judge(self, header: bytes | None, visit: ApnsVisit) -> str:
        if header is None:
            return "MissingProviderToken"
        signed = self._verified.get(header) or self._verify(header)
        if signed is None or signed.issued_at > self._clock() + MAX_CLOCK_SKEW:
            return "InvalidProviderToken"
        if signed.key_id in self._elsewhere:
            return self._spelling
        if self._clock() - signed.issued_at > MAX_AGE:
            return "ExpiredProviderToken"
        if visit.key_id not in {"", signed.key_id}:
            return "UnrelatedKeyIdInToken"
        return "" if header == visit.current else self._update(header, signed.key_id, visit)

    def _update(self, header: bytes, key_id: str, visit: ApnsVisit) -> str:
        now = self._clock()
        if now - visit.last_update < MIN_UPDATE_INTERVAL:
            return "TooManyProviderTokenUpdates"
        visit.key_id, visit.current, visit.last_update = key_id, header, now
        return ""

    def _verify(self, header: bytes) -> _Signed | None:
        scheme, _, token = header.decode("latin-1").partition(" ")
        if scheme.lower() != "bearer":
            return None
        for key_id, key in self._keys.items():
            signed = self._signed_by(token, key_id, key)
            if signed is not None:
                if len(self._verified) >= REMEMBERED:
                    self._verified.clear()
                self._verified[header] = signed
                return signed
        return None

    def _signed_by(self, token: str, key_id: str, key: ec.EllipticCurvePublicKey) -> _Signed | None:
        try:
            head, claims = verify_jwt(token, key)
        except BadJwtError:
            return None
        if head.get("kid") != key_id or claims.get("iss") != self._team_id:
            return None
        return _Signed(key_id, claims["iat"]) if _is_integer(claims.get("iat")) else None


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)
