"""The simulated providers without sockets, under a clock that is set by hand."""

import time
from dataclasses import dataclass, field
from functools import cache

import jwt
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from nuncio_simulator import base64url
from nuncio_simulator.aes128gcm import public_point
from nuncio_simulator.apns import Apns, ApnsRules
from nuncio_simulator.apns_auth import BearerChecks
from nuncio_simulator.channels import Channels
from nuncio_simulator.contract import Environment, MintRequest, Platform, ProviderName, Shares
from nuncio_simulator.fcm import Fcm
from nuncio_simulator.oauth import AccessTokens, OAuth
from nuncio_simulator.population import Population
from nuncio_simulator.tokens import Known
from nuncio_simulator.vapid import VapidChecks
from nuncio_simulator.webpush import WebPush
from nuncio_simulator.wire import Request

TEAM = "TEAM567890"
KEY_ID = "KEY4567890"
OTHER_KEY_ID = "KEY4567891"
TOPICS = ("com.example.one", "com.example.two")
ORIGIN = "https://localhost:8443"
TOKEN_URI = "https://localhost:8444/token"
MAIL = "nuncio@example.iam.gserviceaccount.com"
ALIVE = Shares(dead=0, throttled=0, slow=0)
DEAD = Shares(dead=1, dead_before=0, throttled=0, slow=0)
THROTTLED = Shares(dead=0, throttled=1, slow=0)
SLOW = Shares(dead=0, throttled=0, slow=1)


@cache  # takes long to make
def new_rsa_key(name: str) -> rsa.RSAPrivateKey:
    """One key per name."""
    assert name
    return rsa.generate_private_key(public_exponent=65_537, key_size=2_048)


@dataclass
class ManualClock:
    """Unix seconds that pass when told to."""

    now: float = field(default_factory=lambda: float(int(time.time())))

    def __call__(self) -> float:
        return self.now


class World:
    """Providers and what a client of theirs would hold."""

    def __init__(
        self,
        *,
        sandbox: bool = False,
        streams_fall: bool = False,
        bad_tokens: int = 0,
        elsewhere: frozenset[str] = frozenset(),
        fuzzy_seconds: float = 0.0,
        per_minute: int = 0,
        max_ttl: int = 2_592_000,
    ) -> None:
        self.clock = ManualClock()
        self.apns_key = ec.generate_private_key(ec.SECP256R1())
        self.vapid_key = ec.generate_private_key(ec.SECP256R1())
        self.account_key = new_rsa_key("account")
        self.population = Population(
            b"seed",
            topics=TOPICS,
            vapid_public_key=public_point(self.vapid_key.public_key()),
            webpush_origin=ORIGIN,
            clock=self.clock,
            fuzzy_seconds=fuzzy_seconds,
        )
        rules = ApnsRules(
            sandbox=sandbox,
            topics=TOPICS,
            streams=500,
            streams_fall=streams_fall,
            bad_tokens=bad_tokens,
        )
        self.other_apns_key = ec.generate_private_key(ec.SECP256R1())
        keys = {
            KEY_ID: self.apns_key.public_key(),
            OTHER_KEY_ID: self.other_apns_key.public_key(),
        }
        bearer = BearerChecks(TEAM, keys, clock=self.clock, elsewhere=elsewhere)
        self.channels = Channels(b"seed", topics=TOPICS)
        self.apns = Apns(
            rules,
            bearer=bearer,
            population=self.population,
            channels=self.channels,
            clock=self.clock,
        )
        self.access = AccessTokens(b"seed", lifetime=3_600, clock=self.clock)
        self.fcm = Fcm(
            "p1",
            access=self.access,
            population=self.population,
            clock=self.clock,
            per_minute=per_minute,
        )
        self.oauth = OAuth(
            self.access,
            issuer=MAIL,
            public_key=self.account_key.public_key(),
            audience=TOKEN_URI,
            clock=self.clock,
        )
        vapid = VapidChecks(ORIGIN, clock=self.clock)
        self.webpush = WebPush(ORIGIN, vapid=vapid, population=self.population, max_ttl=max_ttl)

    def mint(
        self,
        provider: ProviderName,
        shares: Shares = ALIVE,
        *,
        platform: Platform | None = None,
        environment: Environment = "production",
    ) -> Known:
        """One token."""
        request = MintRequest.model_validate(
            {"provider": provider, "count": 1, "platform": platform, "environment": environment}
        )
        [token] = self.population.mint(request, shares)
        return token

    def bearer(self, *, team: str = TEAM, key_id: str = KEY_ID, age: float = 0) -> bytes:
        """An authorization header for APNs."""
        claims = {"iss": team, "iat": int(self.clock() - age)}
        headers = {"kid": key_id}
        key = self.other_apns_key if key_id == OTHER_KEY_ID else self.apns_key
        token = jwt.encode(claims, key, algorithm="ES256", headers=headers)
        return b"bearer " + token.encode()

    def vapid_header(self, **changes: object) -> bytes:
        """An authorization header for Web Push; a claim that is changed to None is left out."""
        claims = {
            "aud": ORIGIN,
            "exp": int(self.clock()) + 3_600,
            "sub": "mailto:push@example.com",
        }
        kept = {name: claim for name, claim in (claims | changes).items() if claim is not None}
        token = jwt.encode(kept, self.vapid_key, algorithm="ES256")
        key = base64url.encode(public_point(self.vapid_key.public_key()))
        return f"vapid t={token}, k={key}".encode()


def post(path: str, headers: dict[bytes, bytes], body: bytes = b"") -> Request:
    """A request as the server hands it on."""
    return Request(b"POST", path.encode(), headers, repeated=False, body=body)
