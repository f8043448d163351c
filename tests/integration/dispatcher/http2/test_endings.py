"""Connections that end, exchanges that are given up, and what that does to rows under way."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

import pytest
from h2.errors import ErrorCodes

from nuncio_dispatcher.http2.assign import Policy
from nuncio_dispatcher.http2.exchange import Exchange, Failure
from nuncio_dispatcher.http2.pool import MOST_BARREN
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

STREAMS = 3
QUICK = timedelta(milliseconds=50)


async def test_a_server_that_dies_takes_only_what_was_written(
    tls: Certificates, server: Server
) -> None:
    server.settings = {STREAMS: 10}
    server.holds()
    async with transport(tls, Policy(connections=1, longest_back_off=QUICK)) as multiplex:
        of = exchange(server.origin, 25)
        multiplex.post(of)
        under_way = [await server.requests.get() for _ in range(10)]
        server.answers = Request.answer
        under_way[0].answer()
        under_way[0].talk.socket.abort()
        await of.ended.wait()
    assert failures(of) == {Failure.CONNECTION_LOST}
    lost = set(of.failures)
    assert set(range(1, 10)) <= lost <= set(range(1, 11)), "one more may have taken the free stream"
    assert all(of.written_at)
    assert of.accepted == 25 - len(lost)


async def test_rows_do_not_wait_for_ever_for_a_server_that_answers_nothing(
    tls: Certificates, server: Server
) -> None:
    server.settings = {STREAMS: 1}
    server.answers = lambda request: request.talk.socket.abort()
    async with transport(tls, Policy(connections=1, longest_back_off=QUICK)) as multiplex:
        of = await post(multiplex, exchange(server.origin, 10))
    assert len(server.talks) == MOST_BARREN
    assert failures(of) == {Failure.CONNECTION_LOST}
    assert [at is not None for at in of.written_at] == [True] * 3 + [False] * 7


async def test_after_a_goaway_the_rest_goes_to_the_next_connection(
    tls: Certificates, server: Server
) -> None:
    server.settings = {STREAMS: 4}
    server.holds()
    async with transport(tls, Policy(connections=1)) as multiplex:
        of = exchange(server.origin, 6)
        multiplex.post(of)
        first, second, third, fourth = [await server.requests.get() for _ in range(4)]
        first.talk.goaway(last_stream=second.stream)
        again = [await server.requests.get() for _ in range(4)]
        assert {request.path for request in again} == {
            third.path,
            fourth.path,
            "/row/4",
            "/row/5",
        }
        for request in (first, second, *again):
            request.answer()
        await of.ended.wait()
        assert of.accepted == 6
        await first.talk.gone.wait()
        assert len(server.talks) == 2


async def test_a_refused_stream_is_written_again(tls: Certificates, server: Server) -> None:
    refused: set[str] = set()

    def answers(request: Request) -> None:
        if request.path in refused:
            request.answer()
        else:
            refused.add(request.path)
            request.refuse()

    server.answers = answers
    async with transport(tls) as multiplex:
        of = await post(multiplex, exchange(server.origin, 20))
    assert of.accepted == 20
    assert set(of.refusals.values()) == {1}


async def test_a_reset_stream_is_not_written_again(tls: Certificates, server: Server) -> None:
    server.answers = lambda request: request.refuse(ErrorCodes.INTERNAL_ERROR)
    async with transport(tls) as multiplex:
        of = await post(multiplex, exchange(server.origin, 3))
        assert len(server.talks) == 1
    assert failures(of) == {Failure.STREAM_RESET}
    assert all(of.written_at)


async def test_a_silent_peer_is_asked_and_given_up(tls: Certificates, server: Server) -> None:
    server.holds()
    server.answers_pings = False
    policy = Policy(ping_after=QUICK, ping_within=QUICK, longest_back_off=QUICK)
    async with transport(tls, policy) as multiplex:
        of = exchange(server.origin)
        multiplex.post(of)
        request = await server.requests.get()
        await server.pings.get()
        await of.ended.wait()
        await request.talk.gone.wait()
    assert failures(of) == {Failure.CONNECTION_LOST}
    assert of.written_at[0] is not None


async def test_a_peer_that_answers_pings_is_waited_for(tls: Certificates, server: Server) -> None:
    server.holds()
    async with transport(tls, Policy(ping_after=QUICK, ping_within=QUICK)) as multiplex:
        of = exchange(server.origin)
        multiplex.post(of)
        request = await server.requests.get()
        for _ in range(3):
            await server.pings.get()
        request.answer()
        await of.ended.wait()
    assert of.accepted == 1


async def test_an_answer_that_does_not_come_in_time(tls: Certificates, server: Server) -> None:
    server.holds()
    async with transport(tls) as multiplex:
        of = await post(multiplex, exchange(server.origin, 2, answer_within=0.1))
        assert failures(of) == {Failure.NO_ANSWER}
        assert all(of.written_at)
        assert await server.resets.get() == (1, ErrorCodes.CANCEL)
        server.answers = Request.answer
        assert (await post(multiplex, exchange(server.origin))).accepted == 1
        assert len(server.talks) == 1


async def test_an_idle_connection_is_closed(tls: Certificates, server: Server) -> None:
    async with transport(tls, Policy(idle_after=QUICK)) as multiplex:
        await post(multiplex, exchange(server.origin))
        await server.talks[0].gone.wait()
        assert (await post(multiplex, exchange(server.origin))).accepted == 1
        assert len(server.talks) == 2


async def test_a_connection_on_which_only_the_peer_talks_is_idle(
    tls: Certificates, server: Server
) -> None:
    async with transport(tls, Policy(idle_after=4 * QUICK)) as multiplex:
        await post(multiplex, exchange(server.origin))
        talk = server.talks[0]
        async with asyncio.timeout(3):
            while not talk.gone.is_set():
                talk.h2.ping(b"12345678")
                talk.flush()
                await asyncio.sleep(0.01)


async def test_an_old_connection_takes_no_more_and_ends_what_is_under_way(
    tls: Certificates, server: Server
) -> None:
    server.holds()
    async with transport(tls, Policy(age_limit=QUICK)) as multiplex:
        old = exchange(server.origin, name="old")
        multiplex.post(old)
        first = await server.requests.get()
        await until(lambda: not traffic(multiplex).stream_limit)
        new = exchange(server.origin, name="new")
        multiplex.post(new)
        second = await server.requests.get()
        assert second.talk is not first.talk
        first.answer()
        await first.talk.gone.wait()
        second.answer()
        await old.ended.wait()
        await new.ended.wait()
    assert old.accepted == new.accepted == 1


async def test_an_old_connection_that_is_unused_is_closed(
    tls: Certificates, server: Server
) -> None:
    async with transport(tls, Policy(age_limit=QUICK)) as multiplex:
        await post(multiplex, exchange(server.origin))
        await server.talks[0].gone.wait()
        assert traffic(multiplex).connections == 0


async def test_an_exchange_that_is_abandoned_has_ended(tls: Certificates, server: Server) -> None:
    server.settings = {STREAMS: 2}
    server.holds()
    calls: list[Sequence[int]] = []
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 5, calls=calls)
        multiplex.post(of)
        await server.requests.get()
        await server.requests.get()
        multiplex.abandon(of)
        assert of.ended.is_set()
        assert of.failures == {
            **dict.fromkeys((0, 1), Failure.NO_ANSWER),
            **dict.fromkeys((2, 3, 4), Failure.NOT_SENT),
        }
        assert [at is not None for at in of.written_at] == [True] * 2 + [False] * 3
        assert {await server.resets.get(), await server.resets.get()} == {(1, 8), (3, 8)}
        server.answers = Request.answer
        await post(multiplex, exchange(server.origin))
    assert [sorted(rows) for rows in calls] == [[0, 1, 2, 3, 4]], "heard once"


async def test_what_an_abandoned_exchange_held_is_there_for_others(
    tls: Certificates, server: Server
) -> None:
    server.settings = {STREAMS: 1}
    server.holds()
    async with transport(tls, Policy(connections=1)) as multiplex:
        of, other = exchange(server.origin, 1), exchange(server.origin, 1, name="other")
        multiplex.post(of)
        multiplex.post(other)
        await server.requests.get()
        multiplex.abandon(of)
        request = await asyncio.wait_for(server.requests.get(), 2)
        assert request.path == "/other/0"
        request.answer()
        await other.ended.wait()


async def test_abandoning_before_anything_is_written(tls: Certificates, server: Server) -> None:
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 2)
        multiplex.post(of)
        multiplex.abandon(of)
        multiplex.abandon(of)
        assert failures(of) == {Failure.NOT_SENT}
        assert (await post(multiplex, exchange(server.origin))).accepted == 1


async def test_rows_that_wait_can_be_withdrawn(tls: Certificates, server: Server) -> None:
    server.settings = {STREAMS: 2}
    server.holds()
    calls: list[Sequence[int]] = []
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 5, calls=calls)
        multiplex.post(of)
        first, second = await server.requests.get(), await server.requests.get()
        assert of.withdraw() == (2, 3, 4)
        first.answer()
        second.answer(503)
        await of.ended.wait()
        assert of.statuses == [200, 503, 0, 0, 0]
        assert server.requests.empty()
    assert [row for rows in calls for row in rows] == [1]


async def test_closing_ends_everything(tls: Certificates, server: Server) -> None:
    server.settings = {STREAMS: 2}
    server.holds()
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 5)
        multiplex.post(of)
        await server.requests.get()
        await server.requests.get()
        await multiplex.aclose()
        assert of.ended.is_set()
        await server.talks[0].gone.wait()
    assert failures(of) == {Failure.CONNECTION_LOST}
    assert [at is not None for at in of.written_at] == [True] * 2 + [False] * 3


@pytest.mark.parametrize("greets", [True, False])
async def test_closing_while_a_connection_is_being_opened(
    tls: Certificates, server: Server, greets: bool
) -> None:
    server.greets = greets
    async with transport(tls) as multiplex:
        of = exchange(server.origin)
        multiplex.post(of)
        if not greets:
            await server.started.get()
        else:
            await asyncio.sleep(0)
        await multiplex.aclose()
        assert failures(of) == {Failure.CONNECTION_LOST}


async def test_closing_does_not_wait_for_a_peer_that_does_not_read(
    tls: Certificates, server: Server
) -> None:
    server.on_start = lambda talk: talk.socket.pause_reading()
    loop = asyncio.get_running_loop()
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 10, body=b"x" * 6_000)
        multiplex.post(of)
        await server.started.get()
        await until(lambda: traffic(multiplex).in_flight)
        before = loop.time()
        await multiplex.aclose()
        assert loop.time() - before < 5
    assert failures(of) == {Failure.CONNECTION_LOST}


async def test_an_exchange_that_is_abandoned_while_all_closes_has_ended(
    tls: Certificates, server: Server
) -> None:
    server.holds()
    async with transport(tls) as multiplex:
        of = exchange(server.origin, 2)
        multiplex.post(of)
        await server.requests.get()
        await server.requests.get()
        closing = asyncio.create_task(multiplex.aclose())
        await until(lambda: not traffic(multiplex).connections)
        multiplex.abandon(of)
        assert of.ended.is_set()
        assert failures(of) == {Failure.NO_ANSWER}
        await closing


async def test_what_is_posted_while_all_closes_is_not_sent(
    tls: Certificates, server: Server
) -> None:
    server.holds()
    again = exchange(server.origin, 2, name="again")
    calls: list[Sequence[int]] = []
    late = exchange(server.origin, 1, calls=calls)
    async with transport(tls) as multiplex:
        like = exchange(server.origin, 2).requests
        of = Exchange(like, answer_within=5.0, heard=lambda *_: multiplex.post(again))
        multiplex.post(of)
        await server.requests.get()
        await multiplex.aclose()
        await again.ended.wait()
        multiplex.post(late)
        assert not calls, "never from within post"
        await late.ended.wait()
        assert not list(multiplex.traffic())
    assert failures(again) == failures(late) == {Failure.NOT_SENT}
    assert calls == [[0]]
    assert len(server.talks) == 1
