"""The peer's header blocks, with our table of no bytes. RFC 9113, section 4.3.1; RFC 7541."""

import pytest
from hpack import Decoder, Encoder
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hyperframe.frame import HeadersFrame, SettingsFrame

from nuncio_dispatcher.http2.headers import glimpse
from tests.unit.dispatcher.http2.peer import (
    Peer,
    code_of,
    decoded,
    exchange,
    knowing,
    requests,
    started,
)

HUFFMAN = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def answer(stream: int, block: bytes) -> HeadersFrame:
    return HeadersFrame(stream, block, flags=["END_HEADERS", "END_STREAM"])


def unacknowledged(count: int = 3) -> Peer:
    """A peer that has not taken our settings yet, and read some requests."""
    peer = Peer(is_settled=False)
    peer.send(SettingsFrame(0))
    peer.write(exchange(requests(count)))
    peer.frames()
    return peer


def test_before_the_acknowledgement_the_peer_may_use_a_table() -> None:
    peer = unacknowledged()
    of, _, _ = peer.connection._streams.open[1]
    fields = [("x-one", "first"), ("x-two", "second")]
    first = peer.block([(":status", "400"), *fields])
    peer.send(answer(1, first))
    second = peer.block([(":status", "400"), *fields])
    assert len(second) < len(first)
    peer.send(answer(3, second))
    assert [reply.headers for reply in of.replies.values()] == [dict(fields)] * 2
    peer.acknowledge()
    peer.answer(5, status=400, fields=fields)
    assert code_of(peer) is None
    assert of.replies[2].headers == dict(fields)


def test_a_200_is_not_taken_unread_while_there_is_a_table() -> None:
    peer = unacknowledged()
    of, _, _ = peer.connection._streams.open[1]
    peer.send(answer(1, peer.block([(":status", "200")])))
    peer.send(answer(3, peer.block([(":status", "200"), ("x-one", "first")])))
    peer.send(answer(5, peer.block([(":status", "400"), ("x-one", "first")])))
    assert of.statuses == [200, 200, 400]
    assert of.replies[2].headers == {"x-one": "first"}


@pytest.mark.parametrize("status", [200, 204, 400])
def test_the_first_block_after_it_begins_with_the_size_of_the_table(status: int) -> None:
    peer, _ = started()
    block = Encoder().encode([(":status", str(status))])
    peer.send(answer(1, block))
    assert code_of(peer) == "COMPRESSION_ERROR"


def test_a_size_that_is_not_ours_does_not_count() -> None:
    peer, _ = started()
    peer.send(answer(1, b"\x21\x88"))  # one byte
    assert code_of(peer) == "COMPRESSION_ERROR"


def test_a_size_within_a_block_does_not_count() -> None:
    peer, _ = started()
    peer.send(answer(1, b"\x88\x20"))
    assert code_of(peer) == "COMPRESSION_ERROR"


def test_a_size_may_be_said_again() -> None:
    peer, of = knowing()
    peer.send(answer(3, b"\x20\x88"))
    assert of.accepted == 2


@pytest.mark.parametrize(
    "block",
    [b"\xbe", b"\x8d\xbe", b"\x8d\x7e\x01a", b"\x8d\x0f\x2f\x01a"],
    ids=["alone", "field", "name, to be indexed", "name"],
)
def test_nothing_of_a_table_can_be_meant_afterwards(block: bytes) -> None:
    peer, of = knowing()
    peer.send(answer(3, block))
    assert code_of(peer) == "COMPRESSION_ERROR"
    assert of.open == 0


def test_a_field_that_asks_to_be_remembered_is_not() -> None:
    peer, of = started(3)
    peer.answer(1)
    remember = b"\x8d\x40\x01a\x01b"  # 404, a: b
    peer.send(answer(3, remember))
    assert of.replies[1].headers == {"a": "b"}
    peer.send(answer(5, b"\x8d\xbe"))
    assert code_of(peer) == "COMPRESSION_ERROR"


@pytest.mark.parametrize(
    "block",
    [
        b"\x20\x80",
        b"\x20\x08\x03",
        b"\x20\x08\x83\xff\xff\xff",
        b"\x20\xff" + b"\xff" * 400,
        b"\x20\x0f",
        b"",
    ],
    ids=["index 0", "cut short", "Huffman EOS", "endless integer", "half a name", "nothing"],
)
def test_blocks_that_cannot_be_read_end_the_connection(block: bytes) -> None:
    peer, of = started()
    peer.send(answer(1, block))
    assert code_of(peer) == "COMPRESSION_ERROR"
    assert of.open == 0


def test_a_list_longer_than_we_take_ends_the_connection() -> None:
    peer, _ = started()
    peer.answer(1, status=400, fields=[("a", "") for _ in range(1_000)])
    assert code_of(peer) == "COMPRESSION_ERROR"


def test_values_may_hold_bytes_that_are_no_text() -> None:
    peer, of = started(2)
    peer.send(answer(1, b"\x20\x8d\x00\x01a\x02\xe9!"))
    assert of.replies[0].headers["a"].endswith("!")
    assert code_of(peer) is None


def test_a_status_is_read_at_a_glance_in_every_encoding() -> None:
    glimpsed = 0
    for status in range(100, 600):
        digits = str(status).encode()
        coded = HUFFMAN.encode(digits)
        for name in (*range(8, 15), None):
            for flags in (0x00, 0x10, 0x40):
                head = bytes([flags | name]) if name else bytes([flags]) + b"\x07:status"
                for value in (b"\x03" + digits, bytes([0x80 | len(coded)]) + coded):
                    block = head + value + b"\x8f"
                    assert decoded(block, Decoder())[0] == (":status", str(status))
                    assert glimpse(block) in {0, status}
                    glimpsed += glimpse(block) == status
    assert glimpsed == 500 * 3 * 2, "static name 8, each way to write the value"


def test_static_statuses_are_read_at_a_glance() -> None:
    for index in range(1, 62):
        ((name, value),) = decoded(bytes([0x80 | index]), Decoder())
        assert glimpse(bytes([0x80 | index])) == (int(value) if name == ":status" else 0)


def test_what_is_no_status_is_not_taken_for_one() -> None:
    for first in range(256):
        for rest in (b"", b"\x03", b"\x03200", b"\x03abc", b"\x82\x10\x01"):
            block = bytes([first]) + rest
            status = glimpse(block)
            if status:
                read = decoded(block[:1] if first & 0x80 else block, Decoder())
                assert read[0] == (":status", str(status))
    assert glimpse(b"") == 0
