"""Our header blocks, read by hpack: the fields that were asked for, in order. RFC 7541."""

from collections.abc import Sequence

from hyperframe.frame import HeadersFrame, SettingsFrame
from hypothesis import given
from hypothesis import strategies as st

from nuncio_dispatcher.http2.exchange import Field, Requests
from tests.unit.dispatcher.http2.peer import Peer, exchange, fields_of, requests

SECRET = "bearer made-up"

visible = st.text(st.characters(min_codepoint=33, max_codepoint=126), min_size=1, max_size=60)
names = st.sampled_from(
    ["apns-topic", "apns-expiration", "content-type", "ttl", "topic", "urgency", "x", "accept"]
)
field_lists = st.lists(st.tuples(names, visible), max_size=5, unique_by=lambda field: field[0])
paths = visible.map(lambda text: b"/" + text.encode())


@st.composite
def any_requests(draw: st.DrawFn) -> Requests:
    """Requests of a sender: one to four rows."""
    count = draw(st.integers(1, 4))
    size = draw(st.integers(0, 200))
    own = draw(st.sampled_from([None, "apns-id", "authorization", "ttl"]))
    values = st.binary(min_size=size, max_size=size).map(lambda some: some.hex().encode())
    passing = draw(field_lists)
    if draw(st.booleans()):
        passing.append(("authorization", SECRET))
    return requests(
        bodies=draw(st.lists(st.binary(max_size=50), min_size=count, max_size=count)),
        paths=draw(st.lists(paths, min_size=count, max_size=count)),
        fields=tuple(draw(field_lists)),
        passing_fields=tuple(passing),
        own=None if own is None else (own, draw(st.lists(values, min_size=count, max_size=count))),
    )


def table(peer: Peer) -> list[Field]:
    """What the peer remembers."""
    return [
        (name.decode(), value.decode()) for name, value in peer.decoder.header_table.dynamic_entries
    ]


def sent(peer: Peer, all_of: Sequence[Requests], order: Sequence[int]) -> list[list[Field]]:
    """Write a row of each in turn; what they were to say."""
    exchanges = [exchange(of) for of in all_of]
    expected = []
    for number in order:
        one = exchanges[number % len(exchanges)]
        if one.waiting:
            expected.append(fields_of(one.requests, one.waiting[0]))
            assert peer.write(one, count=1) == 1
    return expected


@given(
    all_of=st.lists(any_requests(), min_size=1, max_size=3),
    order=st.lists(st.integers(0, 2), min_size=1, max_size=12),
    sizes=st.lists(st.integers(0, 5_000), max_size=2),
)
def test_a_peer_reads_the_fields_that_were_asked_for(
    all_of: list[Requests], order: list[int], sizes: list[int]
) -> None:
    peer = Peer()
    for size in sizes:
        peer.set({SettingsFrame.HEADER_TABLE_SIZE: size})
        peer.decoder.max_allowed_table_size = size
    peer.frames()
    expected = sent(peer, all_of, order)
    peer.frames()
    assert [request.fields for request in peer.requests.values()] == expected
    names = {name for name, _ in table(peer)}
    assert not names & {":path", "content-length", "authorization"}
    assert peer.decoder.header_table._current_size <= peer.decoder.header_table.maxsize <= 4_096


@given(any_requests(), st.integers(0, 5_000), st.integers(0, 5_000))
def test_a_table_that_changes_between_the_rows_changes_no_field(
    of: Requests, first: int, second: int
) -> None:
    peer, one = Peer(), exchange(of)
    peer.write(one, count=1)
    peer.frames()
    peer.set({SettingsFrame.HEADER_TABLE_SIZE: first})
    peer.set({SettingsFrame.HEADER_TABLE_SIZE: second})
    peer.decoder.max_allowed_table_size = second
    while one.waiting:
        assert peer.write(one)
    peer.frames()
    assert [request.fields for request in peer.requests.values()] == [
        fields_of(of, row) for row in range(len(of))
    ]


def test_senders_that_take_turns_do_not_mix_their_fields() -> None:
    peer = Peer()
    topics = [(("apns-topic", name), ("apns-push-type", "alert")) for name in ("a", "b", "c")]
    all_of = [requests(3, fields=fields) for fields in topics]
    expected = sent(peer, all_of, [0, 0, 1, 0, 2, 1, 1, 2, 2])
    peer.frames()
    assert [request.fields for request in peer.requests.values()] == expected


def test_what_a_secret_says_is_in_no_table_wherever_it_is_given() -> None:
    peer = Peer()
    secret = ("authorization", SECRET)
    peer.write(exchange(requests(2, fields=(secret,))))
    peer.write(exchange(requests(2, passing_fields=(secret,))))
    peer.write(exchange(requests(2, own=("authorization", [SECRET.encode()] * 2))))
    peer.frames()
    assert len(peer.requests) == 6
    assert all(request.value("authorization") == SECRET for request in peer.requests.values())
    assert "authorization" not in dict(table(peer))


def test_what_all_rows_share_is_a_byte_each_from_the_second_row_on() -> None:
    fields = (("apns-topic", "t" * 100), ("apns-push-type", "alert"))
    peer = Peer()
    peer.write(exchange(requests(3, fields=fields, passing_fields=())))
    first, second, third = (len(frame.data) for frame in peer.only(HeadersFrame))
    path_and_length = 2 + len("/3/device/0") + 3 + len("2")
    assert first > 100
    assert second == third == path_and_length + len((":method", ":scheme", ":authority", *fields))


def test_the_own_value_is_said_in_full_and_its_name_is_not() -> None:
    ids = [b"id-%d" % row for row in range(3)]
    peer = Peer()
    peer.write(exchange(requests(3, own=("apns-id", ids))))
    first, second, third = (len(frame.data) for frame in peer.only(HeadersFrame))
    assert second == third < first - len("apns-id")
    assert [peer.requests[stream].value("apns-id") for stream in (1, 3, 5)] == [
        "id-0",
        "id-1",
        "id-2",
    ]


def test_a_field_that_finds_no_room_in_the_table_is_written_out_each_time() -> None:
    fields = tuple((f"x-{number}", "v" * 900) for number in range(6))
    of = requests(3, fields=fields)
    peer = Peer()
    peer.write(exchange(of))
    peer.frames()
    assert [request.fields for request in peer.requests.values()] == [
        fields_of(of, row) for row in range(3)
    ]
    assert len([name for name, _ in table(peer) if name.startswith("x-")]) == 4


def test_a_block_longer_than_a_frame_goes_on_in_the_next() -> None:
    fields = tuple((f"x-{number}", "v" * 9_000) for number in range(4))
    of = requests(2, fields=fields)
    peer, one = Peer(), exchange(of)
    while one.waiting:
        assert peer.write(one)
    frames = peer.frames()
    assert max(len(frame.serialize()) for frame in frames) == 9 + 16_384
    assert peer.requests[3].fields == fields_of(of, 1)
    assert peer.requests[3].is_whole
