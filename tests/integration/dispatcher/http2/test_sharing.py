"""Who is written first, and on which connection."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from hyperframe.frame import PingFrame

from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.connection import MOST_FRUITLESS
from nuncio_dispatcher.http2.exchange import Exchange, Failure
from nuncio_dispatcher.http2.streams import MOST_STREAMS
from tests.integration.dispatcher.http2.conftest import Certificates
from tests.integration.dispatcher.http2.posting import (
    exchange,
    failures,
    post,
    traffic,
    transport,
    until,
)
from tests.integration.dispatcher.http2.server import Request, Server

STREAMS, WINDOW = 3, 4


async def test_many_rows_share_one_connection(tls: Certificates, server: Server) -> None:
    async with transport(tls, Policy(connections=1)) as multiplex:
        of = await post(multiplex, exchange(server.origin, 2_000))
        assert of.accepted == 2_000
        assert len(server.talks) == 1
        assert traffic(multiplex).in_flight == 0


async def test_refusals_are_heard_with_their_answers(tls: Certificates, server: Server) -> None:
    def answers(request: Request) -> None:
        if request.path.endswith("7"):
            request.answer(410, b'{"reason":"Unregistered"}')
        else:
            request.answer()

    server.answers = answers
    calls: list[Sequence[int]] = []
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 100, calls=calls)
        multiplex.post(of)
        assert not calls, "never from within post"
        await of.ended.wait()
    assert of.accepted == 90
    assert {of.replies[row].body for row in range(7, 100, 10)} == {b'{"reason":"Unregistered"}'}
    assert sorted(row for rows in calls for row in rows) == list(range(7, 100, 10))


async def test_an_exchange_of_no_rows_has_ended(tls: Certificates, server: Server) -> None:
    async with transport(tls) as multiplex:
        assert (await post(multiplex, exchange(server.origin, 0))).open == 0


async def test_what_is_urgent_goes_first(tls: Certificates, server: Server) -> None:
    server.settings = {STREAMS: 1}
    server.holds()
    async with transport(tls, Policy(connections=1)) as multiplex:
        multiplex.post(exchange(server.origin, 3, name="bulk"))
        first = await server.requests.get()
        multiplex.post(exchange(server.origin, 2, name="later"))
        multiplex.post(exchange(server.origin, 1, name="urgent", urgent=True))
        order = [first.path]
        first.answer()
        for _ in range(5):
            request = await server.requests.get()
            order.append(request.path)
            request.answer()
    assert order == ["/bulk/0", "/urgent/0", "/bulk/1", "/bulk/2", "/later/0", "/later/1"]


async def test_a_second_connection_is_opened_when_the_first_is_full_and_proven(
    tls: Certificates, server: Server
) -> None:
    server.settings = {STREAMS: 2}
    server.holds()
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 6)
        multiplex.post(of)
        first, second = await server.requests.get(), await server.requests.get()
        assert len(server.talks) == traffic(multiplex).connections == 1
        first.answer()
        third, fourth, fifth = [await server.requests.get() for _ in range(3)]
        assert {request.talk for request in (second, third, fourth, fifth)} == set(server.talks)
        assert len(server.talks) == 2
        for request in (second, third, fourth, fifth):
            request.answer()
        (await server.requests.get()).answer()
        await of.ended.wait()
        assert len(server.talks) == 2


async def test_a_peer_that_begins_with_one_stream_is_waited_for(
    tls: Certificates, server: Server
) -> None:
    server.settings = {STREAMS: 1}
    server.holds()
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 500)
        multiplex.post(of)
        first = await server.requests.get()
        assert server.requests.empty()
        server.answers = Request.answer
        first.talk.set({STREAMS: 1_000})
        first.answer()
        await of.ended.wait()
        assert of.accepted == 500
        assert len(server.talks) == 1


async def test_origins_do_not_wait_for_each_other(tls: Certificates, server: Server) -> None:
    async with transport(tls) as multiplex:
        elsewhere = exchange(server.origin._replace(host="127.0.0.9"))
        here = exchange(server.origin)
        multiplex.post(elsewhere)
        await post(multiplex, here)
        await elsewhere.ended.wait()
    assert here.accepted == 1
    assert failures(elsewhere) == {Failure.CONNECT_FAILED}


async def test_a_listener_that_raises_does_not_hurt_others(
    tls: Certificates, server: Server
) -> None:
    def raises(*_: object) -> None:
        raise RuntimeError("made up")

    def answers(request: Request) -> None:
        request.answer(400 if request.path.startswith("/bad") else 200)

    server.answers = answers
    good = exchange(server.origin, 3)
    like = exchange(server.origin, 3, name="bad").requests
    bad = Exchange(like, answer_within=5.0, heard=raises)
    async with transport(tls) as multiplex:
        multiplex.post(bad)
        multiplex.post(good)
        await bad.ended.wait()
        await good.ended.wait()
        assert (await post(multiplex, exchange(server.origin))).accepted == 1
    assert (bad.statuses, good.accepted) == ([400] * 3, 3)
    assert len(server.talks) == 1


async def test_bodies_larger_than_any_window_arrive(tls: Certificates, server: Server) -> None:
    server.settings = {WINDOW: 1_000}
    server.holds()
    body = bytes(range(256)) * 1_000
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 2, body=body)
        multiplex.post(of)
        for _ in range(2):
            request = await server.requests.get()
            assert request.body == body
            request.answer()
        await of.ended.wait()
    assert of.accepted == 2


async def test_a_peer_that_does_not_read_is_not_written_to_without_end(
    tls: Certificates, server: Server
) -> None:
    server.settings = {STREAMS: 2**31 - 1, WINDOW: 2**31 - 1}
    server.on_start = lambda talk: talk.socket.pause_reading()
    body = b"x" * 4_000
    async with transport(tls, Policy(ping_after=timedelta(seconds=60))) as multiplex:
        of = exchange(server.origin, 1_500, body=body)
        multiplex.post(of)
        talk = await server.started.get()
        await until(lambda: traffic(multiplex).in_flight)
        assert traffic(multiplex).in_flight <= MOST_STREAMS
        assert of.open == 1_500
        talk.socket.resume_reading()
        await of.ended.wait()
    assert of.accepted == 1_500


async def test_a_peer_that_asks_and_does_not_read_is_no_longer_read(
    tls: Certificates, server: Server
) -> None:
    server.settings = {STREAMS: 2**31 - 1, WINDOW: 2**31 - 1}
    server.on_start = lambda talk: talk.socket.pause_reading()
    pings = PingFrame(0, b"12345678").serialize() * 1_000
    async with transport(tls) as multiplex:
        of = exchange(server.origin, MOST_STREAMS, body=b"x" * 40_000)
        multiplex.post(of)
        talk = await server.started.get()
        await until(lambda: traffic(multiplex).in_flight)
        for _ in range(10_000):
            talk.socket.write(pings)
            if talk.is_full.is_set():
                break
            await asyncio.sleep(0)
        assert talk.is_full.is_set(), "else it could ask for ever"
        assert of.open == MOST_STREAMS, "it is not left, and nothing is lost"
        assert traffic(multiplex).waiting, "nothing is written where nothing is read"


async def test_a_peer_that_keeps_us_busy_is_left(tls: Certificates, server: Server) -> None:
    pings = PingFrame(0, b"12345678").serialize() * (MOST_FRUITLESS + 1)
    async with transport(tls) as multiplex:
        await post(multiplex, exchange(server.origin))
        talk = await server.started.get()
        talk.socket.write(pings)
        await talk.gone.wait()
        assert (await post(multiplex, exchange(server.origin))).accepted == 1
    assert len(server.talks) == 2


async def test_requests_that_cannot_be_written_hold_up_no_others(
    tls: Certificates, server: Server
) -> None:
    async with transport(tls) as multiplex:
        odd = exchange(server.origin, 3)
        odd.requests.paths[1] = "no bytes"  # type: ignore[index]
        good = exchange(server.origin, 3)
        multiplex.post(odd)
        multiplex.post(good)
        await odd.ended.wait()
        await good.ended.wait()
    assert odd.failures == {1: Failure.FAULT, 2: Failure.FAULT}
    assert (odd.accepted, good.accepted) == (1, 3)


async def test_requests_none_of_which_can_be_written_hold_up_no_others(
    tls: Certificates, server: Server
) -> None:
    async with transport(tls) as multiplex:
        odd, good = exchange(server.origin, 2), exchange(server.origin, 2)
        odd.requests.paths[0] = "no bytes"  # type: ignore[index]
        multiplex.post(odd)
        multiplex.post(good)
        await good.ended.wait()
        await odd.ended.wait()
    assert failures(odd) == {Failure.FAULT}
    assert good.accepted == 2


async def test_a_listener_may_post_and_abandon(tls: Certificates, server: Server) -> None:
    server.settings = {STREAMS: 4}
    server.answers = lambda request: (
        request.answer(503) if request.path == "/first/0" else server.requests.put_nowait(request)
    )
    async with transport(tls, Policy(connections=1)) as multiplex:
        victim, late = exchange(server.origin, 8, name="victim"), exchange(server.origin, 2)

        def hears(of: Exchange, _rows: Sequence[int]) -> None:
            multiplex.abandon(victim)
            multiplex.abandon(of)
            multiplex.post(late)

        like = exchange(server.origin, 3, name="first").requests
        first = Exchange(like, answer_within=5.0, heard=hears)
        multiplex.post(first)
        multiplex.post(victim)
        await first.ended.wait()
        assert (first.open, victim.open) == (0, 0)
        assert first.statuses[0] == 503
        server.answers = Request.answer
        await late.ended.wait()
    assert late.accepted == 2
    assert set(victim.failures) == set(range(8))
