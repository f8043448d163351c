"""What each port serves: providers with their rules, profiles and connections."""

import random
import time
from functools import partial
from typing import Final, NamedTuple

from nuncio_simulator import oauth
from nuncio_simulator.admin import Admin
from nuncio_simulator.apns import Apns, ApnsRules
from nuncio_simulator.apns_auth import DOCUMENTED_SPELLING, SEEN_SPELLING, BearerChecks
from nuncio_simulator.channels import Channels
from nuncio_simulator.contract import ProviderName
from nuncio_simulator.credentials import (
    KEY_ID,
    OTHER_KEY_ID,
    SANDBOX_KEY_ID,
    TEAM_ID,
    Credentials,
)
from nuncio_simulator.faults import Faults
from nuncio_simulator.fcm import Fcm
from nuncio_simulator.front import Front
from nuncio_simulator.h2server import Limits, Profile
from nuncio_simulator.ledger import Ledger
from nuncio_simulator.listener import Site
from nuncio_simulator.oauth import AccessTokens, OAuth
from nuncio_simulator.options import Options
from nuncio_simulator.population import Population
from nuncio_simulator.provider import Provider, V
from nuncio_simulator.vapid import VapidChecks
from nuncio_simulator.webpush import WebPush
from nuncio_simulator.wire import Answer, Connection, Conversation, Request

ADMIN: Final = "admin"
ADMIN_BODY_LIMIT: Final = 1 << 24  # bytes: some 50,000 of the longest tokens
APNS_PROFILE: Final = Profile(
    unindexed=frozenset({b"apns-id", b"apns-unique-id", b"apns-request-id"})
)
# A success in two DATA frames, the second one empty, has been seen from FCM.
FCM_PROFILE: Final = Profile(header_list_size=16_384, split_end=True)
WEBPUSH_PROFILE: Final = Profile(
    header_list_size=16_384, unindexed=frozenset({b"apns-id", b"location", b"x-wns-msg-id"})
)
Ports = dict[str, int]
Live = dict[str, set[Connection]]


def origin_at(port: int) -> str:
    """How clients name a provider on this machine."""
    return f"https://localhost:{port}"


class _World(NamedTuple):
    """What all providers share."""

    population: Population
    channels: Channels
    faults: Faults
    ledger: Ledger

    def converse(self, provider: Provider[V], _certificate: bytes = b"") -> Conversation:
        """A new connection to the provider."""
        return Front(provider, faults=self.faults, ledger=self.ledger)

    def converse_with_apns(self, apns: Apns, certificate: bytes) -> Conversation:
        """A new connection to APNs, which reads certificates."""
        visit = apns.open(certificate)
        return Front(apns, faults=self.faults, ledger=self.ledger, visit=visit)


def sites(
    options: Options, credentials: Credentials, *, ports: Ports, live: Live
) -> dict[str, Site]:
    webpush_origin = origin_at(ports[ProviderName.WEBPUSH])
    population = Population(
        credentials.seed,
        topics=options.apns_topics,
        vapid_public_key=credentials.vapid_public_key,
        webpush_origin=webpush_origin,
        clock=time.time,
        fuzzy_seconds=options.fuzzy_seconds,
    )
    dice = random.Random(credentials.seed)  # noqa: S311 - they only decide which requests fail
    channels = Channels(credentials.seed, topics=options.apns_topics)
    world = _World(population, channels, Faults(dice=dice), Ledger())
    return {
        ProviderName.APNS: _apns_site(options, credentials, world, sandbox=False),
        ProviderName.APNS_SANDBOX: _apns_site(options, credentials, world, sandbox=True),
        ProviderName.FCM: _fcm_site(options, credentials, world, ports=ports),
        ProviderName.WEBPUSH: _webpush_site(options, world, webpush_origin),
        ADMIN: _admin_site(options, world, live),
    }


def _apns_site(options: Options, credentials: Credentials, world: _World, *, sandbox: bool) -> Site:
    rules = ApnsRules(
        sandbox=sandbox,
        topics=options.apns_topics,
        streams=options.apns_streams,
        streams_fall=options.apns_streams_fall,
        bad_tokens=options.apns_bad_tokens,
    )
    keys = {
        KEY_ID: credentials.apns_key,
        OTHER_KEY_ID: credentials.apns_other_key,
        SANDBOX_KEY_ID: credentials.apns_sandbox_key,
    }
    bearer = BearerChecks(
        TEAM_ID,
        keys,
        clock=time.time,
        elsewhere=frozenset() if sandbox else frozenset({SANDBOX_KEY_ID}),
        spelling=DOCUMENTED_SPELLING if options.apns_documented_spelling else SEEN_SPELLING,
    )
    apns = Apns(
        rules,
        bearer=bearer,
        population=world.population,
        channels=world.channels,
        clock=time.time,
    )
    return Site(
        partial(world.converse_with_apns, apns),
        APNS_PROFILE,
        http1=False,
        client_authority=credentials.apns_clients.authority,
    )


def _webpush_site(options: Options, world: _World, origin: str) -> Site:
    vapid = VapidChecks(origin, clock=time.time)
    webpush = WebPush(
        origin, vapid=vapid, population=world.population, max_ttl=options.webpush_max_ttl
    )
    profile = None if options.webpush_http1_only else WEBPUSH_PROFILE
    return Site(partial(world.converse, webpush), profile, http1=True)


def _fcm_site(options: Options, credentials: Credentials, world: _World, *, ports: Ports) -> Site:
    access = AccessTokens(credentials.seed, lifetime=options.access_token_seconds, clock=time.time)
    fcm = Fcm(
        options.fcm_project,
        access=access,
        population=world.population,
        clock=time.time,
        per_minute=options.fcm_per_minute,
    )
    endpoint = OAuth(
        access,
        issuer=credentials.service_account_mail,
        public_key=credentials.service_account_key,
        audience=origin_at(ports[ProviderName.FCM]) + oauth.PATH.decode(),
        clock=time.time,
    )
    limits = Limits(options.fcm_max_age, options.fcm_idle, options.fcm_pings)
    return Site(
        lambda _certificate: _FcmHost(world.converse(fcm), world.converse(endpoint)),
        FCM_PROFILE._replace(limits=limits),
        http1=True,
    )


class _FcmHost:
    """FCM and its OAuth endpoint on one origin; a Conversation."""

    def __init__(self, fcm: Conversation, token_endpoint: Conversation) -> None:
        self._fcm = fcm
        self._token_endpoint = token_endpoint

    @property
    def stream_limit(self) -> int:
        return self._fcm.stream_limit

    def answer(self, request: Request) -> Answer:
        to_oauth = request.path == oauth.PATH
        return (self._token_endpoint if to_oauth else self._fcm).answer(request)

    def answers_ping(self) -> bool:
        return self._fcm.answers_ping()


def _admin_site(options: Options, world: _World, live: Live) -> Site:
    admin = Admin(
        population=world.population,
        channels=world.channels,
        shares=options.shares,
        faults=world.faults,
        ledger=world.ledger,
        connections=lambda: {
            ProviderName(name): len(open_ones) for name, open_ones in live.items() if name != ADMIN
        },
    )
    return Site(
        lambda _certificate: admin,
        profile=None,
        http1=True,
        body_limit=ADMIN_BODY_LIMIT,
        tls=False,
    )
