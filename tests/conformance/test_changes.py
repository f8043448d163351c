"""What servers do in the middle: change their mind, refuse, say goodbye, vanish."""

import pytest

from nuncio_dispatcher.http2.exchange import MOST_REFUSALS, Failure
from nuncio_dispatcher.http2.pool import Multiplex
from tests.conformance.nginx import RETIRES_AFTER
from tests.conformance.outside import Running
from tests.conformance.sending import Sending, able_to, assert_all_accepted

# Some of the servers are slow, the more so on a busy machine.
pytestmark = pytest.mark.timeout(60)


@able_to("settings")
async def test_settings_change_while_requests_are_under_way(
    server: Running, transport: Multiplex
) -> None:
    """Streams down to 3, windows to 1,000 bytes, the header table to nothing, and back again."""
    rows = Sending(server=server)
    for size in (10, 900, 3_000, 70_000) * 6:
        rows.add("ok", size=size, times=20)
        rows.add("settings")
    assert_all_accepted(await rows.post(transport))
    await rows.assert_each_came_once()
    assert [traffic.connections for _, traffic in transport.traffic()] == [1]


@able_to("goaway")
async def test_rows_above_goaways_last_stream_go_over_the_next_connection(
    server: Running, transport: Multiplex
) -> None:
    rows = Sending(server=server)
    for _ in range(MOST_REFUSALS):  # so that no row can be refused more often
        rows.add("ok", times=350)
        rows.add("goaway")
    assert_all_accepted(await rows.post(transport))
    await rows.assert_each_came_once()


@able_to("goaway")
async def test_a_half_written_body_above_goaways_last_stream_is_written_anew(
    server: Running, transport: Multiplex
) -> None:
    rows = Sending(server=server)
    for _ in range(MOST_REFUSALS):
        rows.add("goaway")
        rows.add("ok", size=150_000, times=3)
    assert_all_accepted(await rows.post(transport))
    await rows.assert_each_came_once()


@able_to("retire")
async def test_a_server_may_end_each_connection_after_some_requests(
    server: Running, transport: Multiplex
) -> None:
    rows = Sending(server=server, origin=server.retiring)
    rows.add("ok", times=5 * RETIRES_AFTER + 17)
    exchange = await rows.post(transport)
    assert_all_accepted(exchange)
    await rows.assert_each_came_once()


@able_to("refuse")
async def test_refused_streams_are_opened_again(server: Running, transport: Multiplex) -> None:
    rows = Sending(server=server)
    for _ in range(100):
        rows.add("refuse")
        rows.add("ok", times=4)
    exchange = await rows.post(transport)
    assert_all_accepted(exchange)
    assert sorted(exchange.refusals) == list(range(0, 500, 5))
    await rows.assert_each_came_once()


@able_to("reset")
async def test_a_reset_stream_ends_its_row_and_no_other(
    server: Running, transport: Multiplex
) -> None:
    rows = Sending(server=server)
    for _ in range(50):
        rows.add("reset")
        rows.add("ok", times=4)
    exchange = await rows.post(transport)
    assert exchange.failures == dict.fromkeys(range(0, 250, 5), Failure.STREAM_RESET)
    assert exchange.accepted == 200
    assert None not in exchange.written_at
    await rows.assert_each_came_once()


@able_to("cut")
async def test_a_lost_connection_leaves_doubt_only_about_what_was_written(
    server: Running, transport: Multiplex
) -> None:
    rows = Sending(server=server)
    rows.add("ok", times=500)
    rows.add("cut")
    rows.add("ok", times=1_500)
    exchange = await rows.post(transport)
    received = await rows.received()
    assert {len(found) for found in received.values()} == {1}
    assert set(exchange.failures.values()) == {Failure.CONNECTION_LOST}
    assert 500 in exchange.failures
    assert exchange.accepted + len(exchange.failures) == 2_001
    assert exchange.accepted > 1_500
    for row, request_id in enumerate(rows.ids):
        assert exchange.written_at[row] is not None
        assert exchange.statuses[row] == 0 or request_id in received
