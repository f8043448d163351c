"""Why no connection can be made, and what becomes of the rows."""

import asyncio
import ssl
from collections.abc import Sequence
from datetime import timedelta

import pytest

from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.exchange import Failure, Origin
from nuncio_dispatcher.http2.network import ADDRESS_WITHIN
from tests.integration.dispatcher.http2.conftest import Certificates
from tests.integration.dispatcher.http2.posting import (
    PATIENT,
    exchange,
    failures,
    post,
    traffic,
    transport,
)
from tests.integration.dispatcher.http2.server import Server, Talk, serving

HASTY = Policy(connect_within=timedelta(milliseconds=500))


async def test_nobody_listens(tls: Certificates) -> None:
    async with serving(tls.server) as gone:
        origin = gone.origin
    async with transport(tls) as multiplex:
        of = await post(multiplex, exchange(origin, 3))
    assert failures(of) == {Failure.CONNECT_FAILED}
    assert of.written_at == [None] * 3


@pytest.mark.parametrize(
    "host", ["no-such-host.invalid", "a" * 64 + ".example", "two..dots", "nul\0host"], ids=ascii
)
async def test_a_host_that_has_no_address(tls: Certificates, host: str) -> None:
    async with transport(tls) as multiplex:
        of = await post(multiplex, exchange(Origin(host, 443)))
    assert failures(of) == {Failure.CONNECT_FAILED}


async def test_a_certificate_of_an_unknown_issuer(tls: Certificates, server: Server) -> None:
    strangers = tls._replace(client=ssl.create_default_context())
    async with transport(strangers) as multiplex:
        of = await post(multiplex, exchange(server.origin))
    assert failures(of) == {Failure.NOT_TRUSTED}
    assert of.written_at == [None]


async def test_a_certificate_of_another_host(tls: Certificates) -> None:
    async with serving(tls.server, host="127.0.0.2") as server, transport(tls) as multiplex:
        of = await post(multiplex, exchange(server.origin))
    assert failures(of) == {Failure.NOT_TRUSTED}


@pytest.mark.parametrize("protocols", [["http/1.1"], None])
async def test_a_peer_that_speaks_no_http2(
    tls: Certificates, certificate_files: tuple[str, str], protocols: list[str] | None
) -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate_files[0])
    if protocols:
        context.set_alpn_protocols(protocols)
    async with serving(context) as server, transport(tls) as multiplex:
        server.greets = False
        of = await post(multiplex, exchange(server.origin))
    assert failures(of) == {Failure.NOT_HTTP2}


async def test_a_peer_that_speaks_no_tls(tls: Certificates) -> None:
    async with serving(None) as server, transport(tls) as multiplex:
        of = await post(multiplex, exchange(server.origin))
    assert failures(of) == {Failure.CONNECT_FAILED}


async def test_addresses_that_may_not_be_connected_to(tls: Certificates, server: Server) -> None:
    asked: list[tuple[Origin, Sequence[str]]] = []

    def vet(origin: Origin, addresses: Sequence[str]) -> Sequence[str]:
        asked.append((origin, addresses))
        return []

    async with transport(tls, vet=vet) as multiplex:
        of = await post(multiplex, exchange(server.origin))
    assert failures(of) == {Failure.PRIVATE_ADDRESS}
    assert asked == [(server.origin, ["127.0.0.1"])]
    assert not server.talks


async def test_only_addresses_that_may_be_are_connected_to(
    tls: Certificates, server: Server
) -> None:
    def vet(_origin: Origin, addresses: Sequence[str]) -> Sequence[str]:
        return ["127.0.0.3", *addresses]

    async with transport(tls, vet=vet) as multiplex:
        of = await post(multiplex, exchange(server.origin))
    assert of.accepted == 1, "the second address is tried when the first does not answer"


async def test_an_address_that_leads_nowhere_leaves_time_for_the_next(
    tls: Certificates, server: Server
) -> None:
    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    def vet(_origin: Origin, addresses: Sequence[str]) -> Sequence[str]:
        return ["127.0.0.3", *addresses]

    port = server.origin.port
    listening = await asyncio.start_server(says_nothing, "127.0.0.3", port)
    policy = Policy(connect_within=timedelta(seconds=ADDRESS_WITHIN + 3))
    async with listening, transport(tls, policy, vet=vet) as multiplex:
        of = await post(multiplex, exchange(server.origin))
    assert of.accepted == 1


async def test_the_other_family_is_tried_before_many_addresses_of_the_first(
    tls: Certificates, server: Server
) -> None:
    def vet(_origin: Origin, addresses: Sequence[str]) -> Sequence[str]:
        return [f"::ffff:127.0.0.{last}" for last in range(10, 20)] + list(addresses)

    async with transport(tls, vet=vet) as multiplex:
        of = await post(multiplex, exchange(server.origin))
    assert of.accepted == 1


async def test_a_fault_of_ours_while_dialling_ends_the_rows(
    tls: Certificates, server: Server
) -> None:
    def vet(_origin: Origin, _addresses: Sequence[str]) -> Sequence[str]:
        raise RuntimeError("made up")

    async with transport(tls, vet=vet) as multiplex:
        of = await post(multiplex, exchange(server.origin))
    assert failures(of) == {Failure.FAULT}
    assert not server.talks


async def test_a_peer_that_says_nothing_after_tls(tls: Certificates, server: Server) -> None:
    server.greets = False
    async with transport(tls, HASTY) as multiplex:
        of = await post(multiplex, exchange(server.origin))
        await server.talks[0].gone.wait()
    assert failures(of) == {Failure.CONNECT_FAILED}
    assert of.written_at == [None]


async def test_a_peer_that_says_nothing_at_all(tls: Certificates) -> None:
    async def says_nothing(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    listening = await asyncio.start_server(says_nothing, "127.0.0.1", 0)
    async with listening, transport(tls, HASTY) as multiplex:
        port = listening.sockets[0].getsockname()[1]
        of = await post(multiplex, exchange(Origin("127.0.0.1", port)))
    assert failures(of) == {Failure.CONNECT_FAILED}


async def test_a_peer_that_hangs_up_before_its_settings(tls: Certificates, server: Server) -> None:
    server.greets = False
    async with transport(tls) as multiplex:
        of = exchange(server.origin)
        multiplex.post(of)
        (await server.started.get()).socket.close()
        await of.ended.wait()
    assert failures(of) == {Failure.CONNECT_FAILED}
    assert of.written_at == [None]


async def test_a_peer_that_breaks_the_rules_at_once(tls: Certificates, server: Server) -> None:
    server.greets = False
    async with transport(tls) as multiplex:
        of = exchange(server.origin)
        multiplex.post(of)
        (await server.started.get()).socket.write(b"HTTP/1.1 400 Bad Request\r\n\r\n")
        await of.ended.wait()
    assert failures(of) == {Failure.CONNECT_FAILED}
    assert of.written_at == [None]


async def test_a_peer_that_says_goodbye_at_once_is_not_run_after_for_ever(
    tls: Certificates, server: Server
) -> None:
    server.on_start = Talk.goaway
    async with transport(tls) as multiplex, asyncio.timeout(3):
        of = await post(multiplex, exchange(server.origin))
    assert failures(of) == {Failure.CONNECTION_LOST}
    assert of.written_at == [None]
    assert len(server.talks) == 3


async def test_between_connections_that_come_to_nothing_there_is_a_wait(
    tls: Certificates,
) -> None:
    """With full jitter, so a single wait may be short."""
    async with serving(tls.server) as gone:
        origin = gone.origin
    loop = asyncio.get_running_loop()
    async with transport(tls, Policy(longest_back_off=timedelta(milliseconds=300))) as multiplex:
        waits = []
        for _ in range(4):
            before = loop.time()
            of = await post(multiplex, exchange(origin))
            assert failures(of) == {Failure.CONNECT_FAILED}
            waits.append(loop.time() - before)
        assert sum(waits[1:]) > 0.01
        assert traffic(multiplex).connections == 0


async def test_after_a_wait_the_peer_is_tried_again(tls: Certificates, server: Server) -> None:
    server.greets = False
    async with transport(tls, PATIENT) as multiplex:
        first = exchange(server.origin)
        multiplex.post(first)
        (await server.started.get()).socket.abort()
        await first.ended.wait()
        server.greets = True
        assert (await post(multiplex, exchange(server.origin))).accepted == 1
