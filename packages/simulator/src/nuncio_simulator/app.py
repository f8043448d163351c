"""Composition root: sockets, credentials, providers, and their end."""

import asyncio
import os
import random
import signal
import socket
import time
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from functools import partial
from typing import Any, Final, NamedTuple

import orjson

from nuncio_simulator import base64url, oauth
from nuncio_simulator.admin import Admin
from nuncio_simulator.apns import Apns, ApnsRules
from nuncio_simulator.apns_auth import BearerChecks
from nuncio_simulator.contract import ProviderName
from nuncio_simulator.credentials import KEY_ID, TEAM_ID, Credentials, prepare, write_private
from nuncio_simulator.faults import Faults
from nuncio_simulator.fcm import Fcm
from nuncio_simulator.front import Front
from nuncio_simulator.h2server import Profile
from nuncio_simulator.ledger import Ledger
from nuncio_simulator.listener import LOOPBACK, Site, bind, listen, tls_context
from nuncio_simulator.oauth import AccessTokens, OAuth
from nuncio_simulator.options import DESCRIPTION, Options
from nuncio_simulator.population import Population
from nuncio_simulator.provider import Provider, V
from nuncio_simulator.vapid import VapidChecks
from nuncio_simulator.webpush import WebPush
from nuncio_simulator.wire import Answer, Connection, Conversation, Request

VAPID_SUBJECT: Final = "mailto:push@example.com"
STOP_SECONDS: Final = 2.0
ADMIN: Final = "admin"
ADMIN_BODY_LIMIT: Final = 1 << 24  # bytes: some 50,000 of the longest tokens
APNS_PROFILE: Final = Profile(unindexed=frozenset({b"apns-id", b"apns-unique-id"}))
# A success in two DATA frames, the second one empty, has been seen from FCM.
FCM_PROFILE: Final = Profile(header_list_size=16_384, split_end=True)
WEBPUSH_PROFILE: Final = Profile(
    header_list_size=16_384, unindexed=frozenset({b"apns-id", b"location", b"x-wns-msg-id"})
)
Ports = dict[str, int]
Live = dict[str, set[Connection]]


async def run(options: Options, announce: Callable[[dict[str, Any]], None]) -> None:
    """Serve until SIGTERM or SIGINT; announce the description once everything listens.

    Raises OSError when a port is taken or the folder cannot be written.
    """
    sockets = _bind_all(options)
    ports = {name: bound.getsockname()[1] for name, bound in sockets.items()}
    credentials = prepare(
        options.folder,
        project=options.fcm_project,
        token_uri=_origin(ports[ProviderName.FCM]) + oauth.PATH.decode(),
        seed=options.seed,
    )
    live: Live = {name: set() for name in sockets}
    sites = _sites(options, credentials, ports=ports, live=live)
    stopped = _stop_signal()
    async with AsyncExitStack() as stack:
        for name, bound in sockets.items():
            server = await _serve(bound, sites[name], credentials=credentials, live=live[name])
            stack.push_async_callback(_stop, server, live[name])
        description = _describe(options, credentials, ports)
        write_private(
            options.folder / DESCRIPTION, orjson.dumps(description, option=orjson.OPT_INDENT_2)
        )
        announce(description)
        await stopped.wait()


def _bind_all(options: Options) -> dict[str, socket.socket]:
    wanted = {
        ProviderName.APNS: options.apns_port,
        ProviderName.APNS_SANDBOX: options.apns_sandbox_port,
        ProviderName.FCM: options.fcm_port,
        ProviderName.WEBPUSH: options.webpush_port,
        ADMIN: options.admin_port,
    }
    return {str(name): bind(port) for name, port in wanted.items()}


def _origin(port: int) -> str:
    return f"https://localhost:{port}"


def _stop_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


async def _serve(
    bound: socket.socket, site: Site, *, credentials: Credentials, live: set[Connection]
) -> asyncio.Server:
    """Over TLS, unless the site speaks HTTP/1.1 only, as the admin interface does."""
    tls = None
    if site.profile is not None:
        tls = tls_context(credentials.certificate_file, credentials.certificate_key_file, site)
    return await listen(bound, site, live=live, tls=tls)


async def _stop(server: asyncio.Server, live: set[Connection]) -> None:
    server.close()
    for connection in list(live):
        connection.close()
    with suppress(TimeoutError):  # a client that does not hang up is left behind
        async with asyncio.timeout(STOP_SECONDS):
            await server.wait_closed()


class _World(NamedTuple):
    """What all providers share."""

    population: Population
    faults: Faults
    ledger: Ledger

    def converse(self, provider: Provider[V]) -> Conversation:
        """A new connection to the provider."""
        return Front(provider, faults=self.faults, ledger=self.ledger)


def _sites(
    options: Options, credentials: Credentials, *, ports: Ports, live: Live
) -> dict[str, Site]:
    webpush_origin = _origin(ports[ProviderName.WEBPUSH])
    population = Population(
        credentials.seed,
        topics=options.apns_topics,
        vapid_public_key=credentials.vapid_public_key,
        webpush_origin=webpush_origin,
        clock=time.time,
    )
    dice = random.Random(credentials.seed)  # noqa: S311 - they only decide which requests fail
    world = _World(population, Faults(dice=dice), Ledger())
    vapid = VapidChecks(webpush_origin, clock=time.time)
    webpush = WebPush(webpush_origin, vapid=vapid, population=population)
    return {
        ProviderName.APNS: _apns_site(options, credentials, world, sandbox=False),
        ProviderName.APNS_SANDBOX: _apns_site(options, credentials, world, sandbox=True),
        ProviderName.FCM: _fcm_site(options, credentials, world, ports=ports),
        ProviderName.WEBPUSH: Site(partial(world.converse, webpush), WEBPUSH_PROFILE, http1=True),
        ADMIN: _admin_site(options, world, live),
    }


def _apns_site(options: Options, credentials: Credentials, world: _World, *, sandbox: bool) -> Site:
    rules = ApnsRules(
        sandbox=sandbox,
        topics=options.apns_topics,
        streams=options.apns_streams,
        streams_fall=options.apns_streams_fall,
    )
    bearer = BearerChecks(TEAM_ID, {KEY_ID: credentials.apns_key}, clock=time.time)
    apns = Apns(rules, bearer=bearer, population=world.population, clock=time.time)
    return Site(partial(world.converse, apns), APNS_PROFILE, http1=False)


def _fcm_site(options: Options, credentials: Credentials, world: _World, *, ports: Ports) -> Site:
    access = AccessTokens(credentials.seed, lifetime=options.access_token_seconds, clock=time.time)
    fcm = Fcm(options.fcm_project, access=access, population=world.population, clock=time.time)
    endpoint = OAuth(
        access,
        issuer=credentials.service_account_mail,
        public_key=credentials.service_account_key,
        audience=_origin(ports[ProviderName.FCM]) + oauth.PATH.decode(),
        clock=time.time,
    )
    return Site(
        lambda: _FcmHost(world.converse(fcm), world.converse(endpoint)), FCM_PROFILE, http1=True
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


def _admin_site(options: Options, world: _World, live: Live) -> Site:
    admin = Admin(
        population=world.population,
        shares=options.shares,
        faults=world.faults,
        ledger=world.ledger,
        connections=lambda: {
            ProviderName(name): len(open_ones) for name, open_ones in live.items() if name != ADMIN
        },
    )
    return Site(lambda: admin, profile=None, http1=True, body_limit=ADMIN_BODY_LIMIT)


def _describe(options: Options, credentials: Credentials, ports: Ports) -> dict[str, Any]:
    """All that a client needs."""
    fcm_origin = _origin(ports[ProviderName.FCM])
    return {
        "pid": os.getpid(),
        "admin_url": f"http://{LOOPBACK}:{ports[ADMIN]}",
        "ca_file": str(credentials.ca_file),
        "apns": {
            "origin": _origin(ports[ProviderName.APNS]),
            "sandbox_origin": _origin(ports[ProviderName.APNS_SANDBOX]),
            "team_id": TEAM_ID,
            "key_id": KEY_ID,
            "key_file": str(credentials.apns_key_file),
            "topics": list(options.apns_topics),
        },
        "fcm": {
            "origin": fcm_origin,
            "token_uri": fcm_origin + oauth.PATH.decode(),
            "project_id": options.fcm_project,
            "service_account_file": str(credentials.service_account_file),
        },
        "webpush": {
            "origin": _origin(ports[ProviderName.WEBPUSH]),
            "vapid_private_key_file": str(credentials.vapid_key_file),
            "vapid_public_key": base64url.encode(credentials.vapid_public_key),
            "subject": VAPID_SUBJECT,
        },
    }
