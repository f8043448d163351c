"""Composition root: sockets, credentials, providers, and their end."""

import asyncio
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, suppress
from typing import Any, Final

import orjson

from nuncio_simulator import base64url, oauth
from nuncio_simulator.contract import ProviderName
from nuncio_simulator.credentials import (
    KEY_ID,
    OTHER_KEY_ID,
    SANDBOX_KEY_ID,
    TEAM_ID,
    Credentials,
    prepare,
    write_private,
)
from nuncio_simulator.listener import LOOPBACK, Site, bind, listen, tls_context
from nuncio_simulator.options import DESCRIPTION, Options
from nuncio_simulator.sites import ADMIN, Live, Ports, origin_at, sites
from nuncio_simulator.wire import Connection

VAPID_SUBJECT: Final = "mailto:push@example.com"
STOP_SECONDS: Final = 2.0


async def run(options: Options, announce: Callable[[dict[str, Any]], None]) -> None:
    """Serve until SIGTERM or SIGINT; announce the description once everything listens.

    Raises OSError when a port is taken or the folder cannot be written.
    """
    sockets = _bind_all(options)
    ports = {name: bound.getsockname()[1] for name, bound in sockets.items()}
    credentials = prepare(
        options.folder,
        project=options.fcm_project,
        token_uri=origin_at(ports[ProviderName.FCM]) + oauth.PATH.decode(),
        topic=options.apns_topics[0],
        seed=options.seed,
    )
    live: Live = {name: set() for name in sockets}
    serving = sites(options, credentials, ports=ports, live=live)
    stopped = _stop_signal()
    async with AsyncExitStack() as stack:
        for name, bound in sockets.items():
            server = await _serve(bound, serving[name], credentials=credentials, live=live[name])
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


def _stop_signal() -> asyncio.Event:
    stopped = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopped.set)
    return stopped


async def _serve(
    bound: socket.socket, site: Site, *, credentials: Credentials, live: set[Connection]
) -> asyncio.Server:
    tls = None
    if site.tls:
        tls = tls_context(credentials.certificate_file, credentials.certificate_key_file, site)
    return await listen(bound, site, live=live, tls=tls)


async def _stop(server: asyncio.Server, live: set[Connection]) -> None:
    server.close()
    for connection in list(live):
        connection.close()
    with suppress(TimeoutError):  # a client that does not hang up is left behind
        async with asyncio.timeout(STOP_SECONDS):
            await server.wait_closed()


def _describe(options: Options, credentials: Credentials, ports: Ports) -> dict[str, Any]:
    """All that a client needs."""
    fcm_origin = origin_at(ports[ProviderName.FCM])
    clients = credentials.apns_clients
    return {
        "pid": os.getpid(),
        "admin_url": f"http://{LOOPBACK}:{ports[ADMIN]}",
        "ca_file": str(credentials.ca_file),
        "apns": {
            "origin": origin_at(ports[ProviderName.APNS]),
            "sandbox_origin": origin_at(ports[ProviderName.APNS_SANDBOX]),
            "team_id": TEAM_ID,
            "key_id": KEY_ID,
            "key_file": str(credentials.apns_key_file),
            "other_key_id": OTHER_KEY_ID,
            "other_key_file": str(credentials.apns_other_key_file),
            "sandbox_key_id": SANDBOX_KEY_ID,
            "sandbox_key_file": str(credentials.apns_sandbox_key_file),
            "client_certificate_file": str(clients.certificate),
            "client_key_file": str(clients.key),
            "sandbox_client_certificate_file": str(clients.sandbox),
            "sandbox_client_key_file": str(clients.sandbox_key),
            "wrong_client_certificate_file": str(clients.wrong),
            "wrong_client_key_file": str(clients.wrong_key),
            "topics": list(options.apns_topics),
        },
        "fcm": {
            "origin": fcm_origin,
            "token_uri": fcm_origin + oauth.PATH.decode(),
            "project_id": options.fcm_project,
            "service_account_file": str(credentials.service_account_file),
        },
        "webpush": {
            "origin": origin_at(ports[ProviderName.WEBPUSH]),
            "vapid_private_key_file": str(credentials.vapid_key_file),
            "vapid_public_key": base64url.encode(credentials.vapid_public_key),
            "subject": VAPID_SUBJECT,
        },
    }
