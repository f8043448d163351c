"""SETTINGS, at the beginning and while requests are under way. RFC 9113, section 6.5."""

import pytest
from hyperframe.frame import DataFrame, HeadersFrame, SettingsFrame

from nuncio_dispatcher.http2.exchange import Failure
from nuncio_dispatcher.http2.streams import MOST_STREAMS
from tests.unit.dispatcher.http2.peer import (
    Peer,
    code_of,
    exchange,
    fields_of,
    outcome,
    raw,
    requests,
    started,
)

STREAMS = SettingsFrame.MAX_CONCURRENT_STREAMS
WINDOW = SettingsFrame.INITIAL_WINDOW_SIZE
FRAME = SettingsFrame.MAX_FRAME_SIZE
LIST = SettingsFrame.MAX_HEADER_LIST_SIZE
TABLE = SettingsFrame.HEADER_TABLE_SIZE


def test_the_number_of_streams_follows_the_peer_at_once() -> None:
    peer, of = Peer({STREAMS: 1}), exchange(requests(1_200))
    assert peer.write(of) == 1
    assert peer.connection.room == 0
    peer.set({STREAMS: 1_000})
    assert peer.write(of) == 999
    peer.set({STREAMS: 1})
    assert peer.connection.room == 0
    peer.answer(*peer.streams()[:-1])
    assert peer.connection.room == 0, "one is still open"
    peer.answer(1999)
    assert peer.write(of) == 1
    peer.set({STREAMS: 0})
    peer.answer(*peer.streams())
    assert peer.connection.in_flight == peer.connection.room == 0
    assert of.accepted == 1_001


def test_no_more_streams_are_used_than_we_want_however_many_the_peer_allows() -> None:
    assert Peer({STREAMS: 2**32 - 1}).connection.room == MOST_STREAMS


def test_a_peer_that_names_no_number_of_streams_is_taken_at_ours() -> None:
    assert Peer().connection.room == MOST_STREAMS


def test_of_equal_settings_the_last_one_counts() -> None:
    peer = Peer()
    peer.send(raw(4, 0, 0, bytes.fromhex("0003 00000005 0003 00000002")))
    assert peer.connection.room == 2


def test_unknown_settings_are_passed_over() -> None:
    peer = Peer({0x77: 1})
    assert code_of(peer) is None
    assert peer.write(exchange()) == 1


def test_a_smaller_window_holds_the_rest_of_a_body() -> None:
    peer, of = Peer({WINDOW: 100}), exchange(requests(body=b"x" * 250))
    peer.write(of)
    assert sum(len(frame.data) for frame in peer.only(DataFrame)) == 100
    peer.set({WINDOW: 40})  # the stream's window is -60 now
    peer.widen(1, 60)
    assert not peer.only(DataFrame)
    peer.widen(1, 5)
    assert [len(frame.data) for frame in peer.only(DataFrame)] == [5]
    peer.set({WINDOW: 200})
    assert set(peer.only(DataFrame)[-1].flags) == {"END_STREAM"}
    assert peer.requests[1].body == b"x" * 250


def test_new_streams_begin_with_the_newest_window() -> None:
    peer, of = Peer({WINDOW: 10}), exchange(requests(2, body=b"x" * 30))
    peer.set({WINDOW: 30})
    assert peer.write(of) == 2
    peer.frames()
    assert peer.requests[3].is_whole


def test_windows_that_settings_make_too_large_end_the_connection() -> None:
    peer, of = Peer({WINDOW: 0}), exchange(requests(body=b"x" * 70_000))
    peer.write(of)
    peer.widen(1, 65_535)  # the connection's window is used up, the stream's is 0 again
    peer.widen(1, 2**31 - 1)
    peer.set({WINDOW: 1})
    assert code_of(peer) == "FLOW_CONTROL_ERROR"


def test_a_larger_frame_is_used_once_it_is_allowed() -> None:
    body = b"x" * 40_000
    peer, of = Peer(), exchange(requests(2, body=body))
    peer.write(of, count=1)
    assert [len(frame.data) for frame in peer.only(DataFrame)] == [16_384, 16_384, 7_232]
    peer.answer(1)
    peer.widen(0, 40_000)
    peer.set({FRAME: 32_768})
    peer.write(of)
    assert [len(frame.data) for frame in peer.only(DataFrame)] == [32_768, 7_232]


def test_a_header_list_longer_than_the_peer_takes_is_never_written() -> None:
    paths = [b"/" + b"p" * 200, b"/" + b"p" * 20]
    of = exchange(requests(bodies=[b"{}"] * 2, paths=paths))
    size = sum(len(name) + len(value) + 32 for name, value in fields_of(of.requests, 1))
    peer = Peer({LIST: size + 7})  # we count content-length as eight digits
    peer.write(of)
    assert outcome(of, 0) == (0, Failure.TOO_LARGE, False)
    peer.frames()
    assert [request.fields for request in peer.requests.values()] == [fields_of(of.requests, 1)]
    assert peer.connection.take_touched()


def test_a_path_longer_than_any_we_write_fails_alone() -> None:
    paths = [b"/" + b"p" * 5_000, b"/a", b"/" + b"p" * 5_000, b"/b"]
    peer, of = Peer(), exchange(requests(bodies=[b"{}"] * 4, paths=paths))
    while of.waiting:
        assert peer.write(of)
    peer.frames()
    assert [request.value(":path") for request in peer.requests.values()] == ["/a", "/b"]
    assert set(of.failures) == {0, 2}


def test_a_row_that_is_too_large_leaves_no_trace_in_the_table() -> None:
    of = requests(bodies=[b"{}"] * 2, paths=[b"/" + b"p" * 5_000, b"/a"])
    peer = Peer({TABLE: 2_000})  # the next block has to say that we know
    one = exchange(of)
    while one.waiting:
        peer.write(one)
    peer.frames()
    assert peer.requests[1].fields == fields_of(of, 1)


@pytest.mark.parametrize("sizes", [[0], [0, 4_096], [100], [60, 4_096], [4_096], [70_000], [1, 2]])
def test_the_next_block_begins_with_the_sizes_of_the_table_that_were_in_force(
    sizes: list[int],
) -> None:
    peer, of = started(3)
    more = exchange(requests(3))
    for size in sizes:
        peer.set({TABLE: size})
    peer.decoder.max_allowed_table_size = sizes[-1]
    assert peer.write(more) == 3
    peer.frames()
    assert [peer.requests[stream].fields for stream in (7, 9, 11)] == [
        fields_of(more.requests, row) for row in range(3)
    ]
    assert peer.decoder.header_table.maxsize == min(sizes[-1], 4_096)
    entries = list(peer.decoder.header_table.dynamic_entries)
    assert len(entries) == len(set(entries)), "what a small table has lost is not there twice"
    assert of.open == 3


def test_a_table_that_comes_back_is_filled_again() -> None:
    peer, of = Peer({TABLE: 0}), exchange(requests(9))
    peer.decoder.max_allowed_table_size = 0
    peer.write(of, count=3)
    long = [len(frame.data) for frame in peer.only(HeadersFrame)]
    peer.set({TABLE: 4_096})
    peer.decoder.max_allowed_table_size = 4_096
    peer.write(of)
    short = [len(frame.data) for frame in peer.only(HeadersFrame)]
    assert short[-1] < long[-1]
    assert peer.requests[17].fields == fields_of(of.requests, 8)


@pytest.mark.parametrize(
    ("payload", "code"),
    [
        ("0002 00000001", "PROTOCOL_ERROR"),
        ("0004 80000000", "FLOW_CONTROL_ERROR"),
        ("0005 00003fff", "PROTOCOL_ERROR"),
        ("0005 01000000", "PROTOCOL_ERROR"),
        ("0003 0000", "FRAME_SIZE_ERROR"),
    ],
    ids=["ENABLE_PUSH", "window of 2^31", "frame below 2^14", "frame above 2^24 - 1", "half one"],
)
def test_settings_that_cannot_be_end_the_connection(payload: str, code: str) -> None:
    peer = Peer()
    peer.send(raw(4, 0, 0, bytes.fromhex(payload)))
    assert code_of(peer) == code


def test_an_acknowledgement_is_empty() -> None:
    peer = Peer()
    peer.send(raw(4, 1, 0, bytes.fromhex("0003 00000001")))
    assert code_of(peer) == "FRAME_SIZE_ERROR"


def test_settings_belong_to_no_stream() -> None:
    peer = Peer()
    peer.send(raw(4, 0, 1))
    assert code_of(peer) == "PROTOCOL_ERROR"
