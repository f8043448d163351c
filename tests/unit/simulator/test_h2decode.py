"""Field blocks: our decoder says what the hpack library says, and our blocks are read by it."""

import pytest
from hpack import Decoder, Encoder, HPACKError
from hypothesis import given
from hypothesis import strategies as st

from nuncio_simulator.h2decode import BrokenBlockError, Field, FieldDecoder
from nuncio_simulator.h2encode import ReplyEncoder, literal

names = st.sampled_from([b":path", b"apns-id", b"x", b"authorization"]) | st.binary(max_size=200)
fields = st.tuples(names, st.binary(max_size=200) | st.sampled_from([b"/x", b"POST", b""]))
blocks = st.lists(st.tuples(st.lists(fields, max_size=8), st.booleans()), max_size=5)


def theirs(decoder: Decoder, block: bytes) -> list[Field] | None:
    """What the library reads, or None when it cannot."""
    try:
        return [(bytes(name), bytes(value)) for name, value in decoder.decode(block, raw=True)]
    except HPACKError:
        return None


def ours(decoder: FieldDecoder, block: bytes) -> list[Field] | None:
    try:
        return decoder.decode(block)
    except BrokenBlockError:
        return None


@given(blocks, st.sampled_from([4_096, 100, 0]))
def test_blocks_of_the_library_are_read_as_it_reads_them(
    lists: list[tuple[list[Field], bool]], table_size: int
) -> None:
    encoder, decoder = Encoder(), FieldDecoder(4_096)
    encoder.header_table_size = table_size
    for pairs, huffman in lists:
        assert decoder.decode(encoder.encode(pairs, huffman=huffman)) == pairs


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_random_blocks_are_read_or_refused_alike(given_blocks: list[bytes]) -> None:
    library, own = Decoder(max_header_list_size=1 << 30), FieldDecoder(4_096)
    for block in given_blocks:
        expected = theirs(library, block)
        assert ours(own, block) == expected
        if expected is None:
            break


@pytest.mark.parametrize(
    "block",
    [
        "80",  # there is no index 0
        "be",  # nothing is in the table yet
        "82 20",  # a size update behind a field
        "3f e2 1f",  # 4,097 bytes of table
        "00 05 61",  # a string that ends beyond the block
        "7f ff ff ff ff ff 7f",  # an integer without end
        "00 01 61 81 00",  # Huffman padding that is none
    ],
)
def test_broken_blocks_are_refused(block: str) -> None:
    with pytest.raises(BrokenBlockError):
        FieldDecoder(4_096).decode(bytes.fromhex(block))


def test_what_fell_out_of_the_table_cannot_be_referred_to() -> None:
    decoder, encoder = FieldDecoder(4_096), Encoder()
    for number in range(50):  # 135 bytes each: 30 have room
        decoder.decode(encoder.encode([(b"n%d" % number, b"x" * 101)], huffman=False))
    assert decoder.decode(bytes([0x80 | 62])) == [(b"n49", b"x" * 101)]
    assert decoder.decode(bytes([0x80 | 91])) == [(b"n20", b"x" * 101)]
    with pytest.raises(BrokenBlockError):
        decoder.decode(bytes([0x80 | 92]))


def test_huffman_strings_are_remembered_and_forgotten() -> None:
    decoder, encoder = FieldDecoder(0), Encoder()
    encoder.header_table_size = 0
    for number in range(5_000):
        pairs = [(b"apns-id", b"%036d" % number)]
        assert decoder.decode(encoder.encode(pairs)) == pairs
    assert len(decoder._huffman) <= 4_096


replies = st.tuples(
    st.sampled_from([200, 201, 204, 400, 404, 410, 429, 503]),
    st.lists(st.tuples(st.sampled_from([b"a", b"apns-id", b"b"]), st.binary(max_size=300))),
)


@given(st.lists(replies, max_size=6), st.lists(st.sampled_from([0, 30, 200, 4_096, 10_000])))
def test_replies_are_read_back_whatever_the_clients_table(
    given_replies: list[tuple[int, list[Field]]], sizes: list[int]
) -> None:
    encoder, decoder = ReplyEncoder(frozenset({b"apns-id"})), Decoder(1 << 30)
    decoder.max_allowed_table_size = 10_000
    for status, pairs in given_replies:
        if sizes:
            encoder.resize(sizes.pop())
        found = theirs(decoder, encoder.encode(status, tuple(pairs)))
        assert found is not None
        assert found[0] == (b":status", b"%d" % status)
        assert sorted(found[1:]) == sorted(pairs)


def test_a_client_without_a_table_gets_no_references_to_one() -> None:
    encoder = ReplyEncoder(frozenset({b"apns-id"}))
    encoder.resize(0)
    varying = literal(b"apns-id", b"1")
    assert encoder.encode(200, ((b"apns-id", b"1"),)) == b"\x20\x88" + varying
    json = ((b"content-type", b"application/json"), (b"apns-id", b"1"))
    for _ in range(2):
        block = encoder.encode(410, json)
        assert block == b"".join(literal(*p) for p in [(b":status", b"410"), *json])
    assert encoder.encode(200, ()) == b"\x88"


def test_what_differs_every_time_stays_out_of_the_table() -> None:
    encoder, decoder = ReplyEncoder(frozenset({b"apns-id"})), Decoder()
    for number in range(3):
        decoder.decode(encoder.encode(200, ((b"apns-id", b"%d" % number), (b"a", b"b"))), raw=True)
    assert [name for name, _ in decoder.header_table.dynamic_entries] == [b"a"]
