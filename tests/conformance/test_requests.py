"""Requests in all sizes, and answers of all kinds, with servers that no one here wrote."""

import json
import ssl

import pytest

from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.exchange import BODY_KEPT
from nuncio_dispatcher.http2.network import Dialer
from nuncio_dispatcher.http2.pool import Multiplex
from nuncio_runtime.clock import SYSTEM_CLOCK
from tests.conformance.outside import LARGE, Running
from tests.conformance.sending import FIELDS, Sending, able_to, assert_all_accepted

# Some of the servers are slow, the more so on a busy machine.
pytestmark = pytest.mark.timeout(60)


@able_to("ok")
async def test_five_thousand_small_requests_go_over_one_connection(
    server: Running, transport: Multiplex
) -> None:
    rows = Sending(server=server)
    rows.add("ok", times=5_000)
    assert_all_accepted(await rows.post(transport))
    assert [traffic.connections for _, traffic in transport.traffic()] == [1]
    if server.received is not None:
        await rows.assert_each_came_once()


@able_to("ok")
async def test_bodies_of_4_kb_wait_for_the_windows(server: Running, transport: Multiplex) -> None:
    rows = Sending(server=server)
    rows.add("ok", size=4_096, times=600)
    assert_all_accepted(await rows.post(transport))
    if server.received is not None:
        await rows.assert_each_came_once()


@able_to("ok")
async def test_bodies_larger_than_the_windows_arrive_whole(
    server: Running, transport: Multiplex
) -> None:
    rows = Sending(server=server)
    rows.add("ok", size=200_000, times=12)
    rows.add("ok", times=20)
    assert_all_accepted(await rows.post(transport))
    if server.received is not None:
        await rows.assert_each_came_once()


@able_to("ok")
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=str)
async def test_either_version_of_tls_will_do(
    server: Running, tls: ssl.SSLContext, version: ssl.TLSVersion
) -> None:
    tls.minimum_version = tls.maximum_version = version
    transport = Multiplex(dial=Dialer(tls), policy=Policy(connections=1), clock=SYSTEM_CLOCK)
    rows = Sending(server=server)
    rows.add("ok", times=500)
    assert_all_accepted(await rows.post(transport))
    await transport.aclose()


@able_to("answer")
async def test_large_bodies_of_accepted_requests_hold_nothing_up(
    server: Running, transport: Multiplex
) -> None:
    rows = Sending(server=server)
    for _ in range(40):
        rows.add("answer", LARGE)
        rows.add("ok")
    assert_all_accepted(await rows.post(transport))
    assert [traffic.connections for _, traffic in transport.traffic()] == [1]


@able_to("failure")
@pytest.mark.parametrize("size", [1, 1_000, BODY_KEPT, BODY_KEPT + 1, LARGE])
async def test_of_a_long_refusal_the_beginning_is_kept(
    server: Running, transport: Multiplex, size: int
) -> None:
    rows = Sending(server=server)
    rows.add("failure", size, times=10)
    rows.add("ok", times=10)
    exchange = await rows.post(transport)
    assert exchange.statuses == [500] * 10 + [200] * 10
    bodies = [exchange.replies[row].body for row in range(10)]
    assert bodies == [b"a" * min(size, BODY_KEPT)] * 10


@able_to("status")
async def test_refusals_can_be_read(server: Running, transport: Multiplex) -> None:
    statuses = [404] if server.name == "nghttpd" else [404, 413, 500]
    rows = Sending(server=server)
    for status in statuses:
        rows.add("status", status, times=50)
        rows.add("ok", times=50)
    exchange = await rows.post(transport)
    assert exchange.failures == {}
    assert exchange.statuses == [each for status in statuses for each in [status] * 50 + [200] * 50]
    for row, reply in exchange.replies.items():
        assert reply.status == exchange.statuses[row]
        if server.name == "nghttpd":
            assert b"404" in reply.body
        else:
            assert json.loads(reply.body) == {"reason": f"R{reply.status}"}


@able_to("fields")
async def test_many_fields_go_both_ways(server: Running, transport: Multiplex) -> None:
    """More than the table holds, so that entries are refused room here and evicted there."""
    own = tuple((f"x-{number}", "w" * number) for number in range(1, 81))
    rows = Sending(server=server, fields=FIELDS + own)
    rows.add("fields", times=40)
    exchange = await rows.post(transport)
    assert exchange.failures == {}
    assert exchange.statuses == [400] * 40
    for reply in exchange.replies.values():
        assert json.loads(reply.body) == dict(own)
        given = {name: text for name, text in reply.headers.items() if name.startswith("x-")}
        assert given == {f"x-{number}": "v" * number for number in range(1, 81)}


@able_to("hints")
async def test_interim_answers_are_passed_over(server: Running, transport: Multiplex) -> None:
    rows = Sending(server=server)
    rows.add("hints", times=200)
    assert_all_accepted(await rows.post(transport))
    await rows.assert_each_came_once()


@able_to("trailers")
async def test_trailers_end_an_answer(server: Running, transport: Multiplex) -> None:
    rows = Sending(server=server)
    rows.add("trailers", times=200)
    assert_all_accepted(await rows.post(transport))
    await rows.assert_each_came_once()


@able_to("ping")
async def test_pings_are_answered(server: Running, transport: Multiplex) -> None:
    """The server answers these requests when its PING was."""
    rows = Sending(server=server)
    for _ in range(50):
        rows.add("ping")
        rows.add("ok", times=3)
    assert_all_accepted(await rows.post(transport))
    await rows.assert_each_came_once()
