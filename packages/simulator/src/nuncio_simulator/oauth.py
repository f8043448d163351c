"""Google's OAuth token endpoint: a signed assertion for an access token.

Source: Google, "Using OAuth 2.0 for server to server applications"; RFC 7523.
"""

import hashlib
import hmac
import struct
from typing import Final
from urllib.parse import parse_qs

from cryptography.hazmat.primitives.asymmetric import rsa

from nuncio_simulator import base64url
from nuncio_simulator.contract import Fault, ProviderName
from nuncio_simulator.jose import BadJwtError, verify_jwt
from nuncio_simulator.provider import Clock, Result, Visit, extra_headers, json_reply
from nuncio_simulator.tokens import Known
from nuncio_simulator.wire import Request

PATH: Final = b"/token"
GRANT_TYPE: Final = "urn:ietf:params:oauth:grant-type:jwt-bearer"
GOOGLE: Final = "https://oauth2.googleapis.com/token"
"""The audience that google-auth names, whatever token_uri says."""
SCOPES: Final = {
    "https://www.googleapis.com/auth/firebase.messaging",
    "https://www.googleapis.com/auth/cloud-platform",
}
MAX_LIFETIME: Final = 3_600
MAX_CLOCK_SKEW: Final = 300
PREFIX: Final = "ya29."
EXPIRY: Final = struct.Struct(">d")
STREAMS: Final = 100


class AccessTokens:
    """Issues access tokens that carry their expiry, and reads them back."""

    def __init__(self, seed: bytes, *, lifetime: int, clock: Clock) -> None:
        self._key = hashlib.blake2b(seed, person=b"nuncio-oauth").digest()
        self.lifetime = lifetime
        """Seconds."""
        self._clock = clock

    def issue(self) -> str:
        """A token that is good from now on, for its lifetime."""
        expiry = EXPIRY.pack(self._clock() + self.lifetime)
        return PREFIX + base64url.encode(expiry + self._seal(expiry))

    def refusal(self, token: str) -> str:
        """Why the token is no good, as a name from fcm_errors; empty when it is."""
        try:
            raw = base64url.decode(token.removeprefix(PREFIX))
        except ValueError:
            raw = b""
        expiry, seal = raw[: EXPIRY.size], raw[EXPIRY.size :]
        if not hmac.compare_digest(seal, self._seal(expiry)):
            return "ACCESS_TOKEN_INVALID"
        (expires,) = EXPIRY.unpack(expiry)
        return "ACCESS_TOKEN_EXPIRED" if expires <= self._clock() else ""

    def _seal(self, expiry: bytes) -> bytes:
        return hashlib.blake2b(expiry, key=self._key, digest_size=24).digest()


class OAuth:
    """The token endpoint; a Provider."""

    name = ProviderName.OAUTH

    def __init__(
        self,
        tokens: AccessTokens,
        *,
        issuer: str,
        public_key: rsa.RSAPublicKey,
        audience: str,
        clock: Clock,
    ) -> None:
        self._tokens = tokens
        self._issuer = issuer
        self._public_key = public_key
        self._audience = audience
        self._clock = clock

    def open(self) -> Visit:
        """Nothing is remembered about a connection."""
        return Visit(STREAMS)

    def addressee(self, request: Request) -> Known | None:  # noqa: ARG002 - a Provider's signature
        """No token is addressed here."""
        return None

    def answer(self, request: Request, visit: Visit) -> Result:  # noqa: ARG002
        """An access token for a good assertion."""
        form = parse_qs(request.body.decode("latin-1"))
        if request.method != b"POST" or form.get("grant_type") != [GRANT_TYPE]:
            return _refusal("unsupported_grant_type", "Invalid grant_type")
        problem = self._problem(form.get("assertion", [""])[0])
        if problem:
            return _refusal(*problem)
        access_token = self._tokens.issue()
        body = {
            "access_token": access_token,
            "expires_in": self._tokens.lifetime,
            "token_type": "Bearer",
        }
        accepted_id = hashlib.sha256(access_token.encode()).hexdigest()
        return Result(json_reply(200, body), accepted_id=accepted_id)

    def refuse(self, fault: Fault, token: Known | None) -> Result:  # noqa: ARG002
        """invalid_grant, or the fault's reason."""
        reason = fault.reason or "invalid_grant"
        body = {"error": reason, "error_description": "Invalid JWT Signature."}
        return Result(json_reply(fault.status or 400, body, extra_headers(fault)), reason)

    def _problem(self, assertion: str) -> tuple[str, str] | None:
        try:
            _head, claims = verify_jwt(assertion, self._public_key)
        except BadJwtError:
            return "invalid_grant", "Invalid JWT Signature."
        if claims.get("iss") != self._issuer:
            return "invalid_grant", "Invalid grant: account not found"
        if claims.get("aud") not in (self._audience, GOOGLE):  # no set: it may be a list
            return "invalid_grant", "Invalid JWT: Failed audience check."
        issued, expires = claims.get("iat"), claims.get("exp")
        if (
            not isinstance(issued, int)
            or not isinstance(expires, int)
            or not self._fits(issued, expires)
        ):
            return "invalid_grant", "Invalid JWT: Token must be a short-lived token (60 minutes)"
        if not SCOPES & set(str(claims.get("scope", "")).split()):
            return "invalid_scope", "Invalid OAuth scope or ID token audience provided."
        return None

    def _fits(self, issued: int, expires: int) -> bool:
        now = self._clock()
        return (
            issued <= now + MAX_CLOCK_SKEW
            and expires > now
            and 0 < expires - issued <= MAX_LIFETIME
        )


def _refusal(error: str, description: str) -> Result:
    return Result(json_reply(400, {"error": error, "error_description": description}), error)
