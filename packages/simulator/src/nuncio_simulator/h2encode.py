"""Hot path: field blocks of replies. Source: RFC 7541."""

from collections.abc import Sequence
from typing import Final

from hpack import Encoder

from nuncio_simulator.h2decode import STATIC, Field

TABLE_LIMIT: Final = 4_096
"""Bytes of the client's table that are used at most, though it may offer more."""
REMEMBERED: Final = 1_024
STATIC_STATUS: Final = {
    int(value): bytes([0x80 | index])
    for index, (name, value) in enumerate(STATIC, start=1)
    if name == b":status"
}


class ReplyEncoder:
    """One connection's encoder. Fields that differ every time stay out of the client's table.

    While the client's table has room, the hpack library fills it and refers to it. A client that
    sets HEADER_TABLE_SIZE to 0 gets blocks that refer to the static table only; these are kept.
    """

    def __init__(self, unindexed: frozenset[bytes]) -> None:
        self._unindexed = unindexed
        self._hpack = Encoder()
        self._table_size = self._hpack.header_table_size
        self._opening = b""
        self._blocks: dict[tuple[int, tuple[Field, ...]], bytes] = {}

    def resize(self, offered: int) -> None:
        """Obey the client's HEADER_TABLE_SIZE; the next block says so. RFC 7541, section 4.2."""
        size = min(offered, TABLE_LIMIT)
        if size != self._table_size:
            self._table_size = self._hpack.header_table_size = size
            self._opening += self._hpack.encode(())

    def encode(self, status: int, fields: tuple[Field, ...]) -> bytes:
        """The block of a reply."""
        indexed: tuple[Field, ...] = ()
        varying = b""
        for field in fields:
            if field[0] in self._unindexed:
                varying += literal(*field)
            else:
                indexed += (field,)
        block = self._constant(status, indexed) + varying
        if self._opening:
            block, self._opening = self._opening + block, b""
        return block

    def trailers(self, fields: Sequence[Field]) -> bytes:
        """The block of trailers."""
        block, self._opening = self._opening, b""
        return block + b"".join(literal(*field) for field in fields)

    def _constant(self, status: int, fields: tuple[Field, ...]) -> bytes:
        if not fields and status in STATIC_STATUS:
            return STATIC_STATUS[status]
        if self._table_size:
            pairs = [(b":status", b"%d" % status), *fields]
            return self._hpack.encode(pairs, huffman=False)
        block = self._blocks.get((status, fields))
        if block is None:
            first = STATIC_STATUS.get(status) or literal(b":status", b"%d" % status)
            block = first + b"".join(literal(*field) for field in fields)
            if len(self._blocks) >= REMEMBERED:
                self._blocks.clear()
            self._blocks[status, fields] = block
        return block


def literal(name: bytes, value: bytes) -> bytes:
    """A literal field without indexing, its name new. Source: RFC 7541, section 6.2.2."""
    return b"\x00" + _string(name) + _string(value)


def _string(text: bytes) -> bytes:
    length = len(text)
    if length < 0x7F:
        return bytes((length,)) + text
    head, length = bytearray((0x7F,)), length - 0x7F
    while length >= 0x80:
        head.append(length & 0x7F | 0x80)
        length >>= 7
    head.append(length)
    return bytes(head) + text
