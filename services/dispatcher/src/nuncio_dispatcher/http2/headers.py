"""Hot path: header blocks, written and read. Benchmark: benchmarks/engine.py.

What all requests of a sender share goes into the peer's table once per connection and is a byte
each from then on; what differs per row or is secret is a literal that leaves the table alone.
Nothing is ever evicted from the peer's table to make room: what finds none stays a literal.

Source: RFC 7541; Apple, "Sending notification requests to APNs" (which fields to index).
"""

import re
from collections.abc import Iterable
from typing import Final, NamedTuple, cast

from hpack import Decoder, HPACKError
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hpack.table import HeaderTable

from nuncio_dispatcher.http2.exchange import Field, Requests
from nuncio_dispatcher.http2.frames import Code, ConnectionFault, StreamFault

LARGEST_LIST: Final = 32_768
"""Bytes of an answer's header list, as SETTINGS_MAX_HEADER_LIST_SIZE counts them."""
LARGEST_TABLE: Final = 4_096
"""Bytes that we use of the peer's table, however many it offers."""
ENTRY_OVERHEAD: Final = 32
"""Bytes that an entry counts beyond its name and value (RFC 7541, section 4.1)."""

OK: Final = 0x88
"""The first byte of a block that opens with a status of 200: static entry 8."""

_NO_INDEXING, _INDEXING, _INDEXED, _RESIZE = 0x00, 0x40, 0x80, 0x20
_POST: Final = b"\x83"  # :method POST, static entry 3
_HTTPS: Final = b"\x87"  # :scheme https, static entry 7
_PATH: Final = b"\x04"  # :path, static name 4, literal without indexing
_STATIC: Final = HeaderTable.STATIC_TABLE
_STATIC_NAMES: Final = {
    name: index for index, (name, _) in reversed(list(enumerate(_STATIC, start=1)))
}
_SECRET: Final = frozenset({b"authorization"})
_CONNECTION_SPECIFIC: Final = frozenset(
    {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "upgrade"}
)


def integer(value: int, *, prefix: int, flags: int = 0) -> bytes:
    """An integer with so many bits in its first byte. Source: RFC 7541, section 5.1."""
    most = (1 << prefix) - 1
    if value < most:
        return bytes((flags | value,))
    out, value = bytearray((flags | most,)), value - most
    while value >= 0x80:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def string(value: bytes) -> bytes:
    """A string, not Huffman-coded. Source: RFC 7541, section 5.2."""
    return integer(len(value), prefix=7) + value


LENGTHS: Final = [integer(size, prefix=7) for size in range(4_096)]
"""What stands before a string that is not Huffman-coded, by its length."""
_CONTENT_LENGTH: Final = integer(_STATIC_NAMES[b"content-length"], prefix=4, flags=_NO_INDEXING)
CONTENT_LENGTHS: Final = [_CONTENT_LENGTH + string(str(size).encode()) for size in range(8_192)]
"""The field that tells a body's length, by that length."""


def content_length(size: int) -> bytes:
    """The field that tells a body's length."""
    if size < len(CONTENT_LENGTHS):
        return CONTENT_LENGTHS[size]
    return _CONTENT_LENGTH + string(str(size).encode())


class Form(NamedTuple):
    """The blocks of requests, but for what each row has of its own.

    A block: before | path's length | path | content-length | after | own value.
    """

    before: bytes
    after: bytes
    """Ends with the own field's name and the length of its value, if there is one."""
    list_size: int
    """Bytes of the header list as the peer counts them, without the path."""
    is_lasting: bool
    """Whether it is good for any number of blocks. Else its first one fills the peer's table."""


class _Entry(NamedTuple):
    name: bytes
    value: bytes | None
    """None where only the name is of use."""
    size: int


class PeerTable:
    """The peer's header table, as our blocks have filled it."""

    def __init__(self) -> None:
        self._entries: list[_Entry] = []  # oldest first
        self._size = 0
        self._limit = LARGEST_TABLE
        self._smallest: int | None = None  # since the last block, where the limit has changed
        self._known: tuple[Requests, Form] | None = None
        self._before_form: tuple[int, int, int | None] = 0, 0, None

    def __repr__(self) -> str:
        return f"PeerTable(entries={len(self._entries)}, size={self._size}/{self._limit})"

    def resize(self, limit: int) -> None:
        """The peer has set SETTINGS_HEADER_TABLE_SIZE; the next block says that we know."""
        limit = min(limit, LARGEST_TABLE)
        if limit == self._limit:
            return
        self._limit = limit
        self._smallest = limit if self._smallest is None else min(self._smallest, limit)
        while self._size > limit:
            self._size -= self._entries.pop(0).size
        self._known = None

    def form(self, requests: Requests) -> Form:
        """How the next blocks of these requests are made; what it adds to the table is added."""
        if self._known is not None and self._known[0] is requests:
            return self._known[1]
        fields = [_encoded(field) for field in requests.fields]
        passing_fields = [_encoded(field) for field in requests.passing_fields]
        authority = requests.origin.authority.encode()
        own = None if requests.own is None else (requests.own[0].encode(), len(requests.own[1][0]))
        list_size = _list_size(requests)
        # From here on nothing raises: what is in the table, the peer gets to know.
        entries = len(self._entries)
        self._before_form = entries, self._size, self._smallest
        update = self._size_update()
        before = update + _POST + _HTTPS
        before += self._steady(b":authority", authority) + _PATH
        after = b"".join(self._steady(*field) for field in fields)
        after += b"".join(self._passing(*field) for field in passing_fields)
        if own is not None:
            after += self._own(*own)
        lasting = len(self._entries) == entries and not update
        form = Form(before, after, list_size, lasting)
        # What was added to the table has moved the indices of every other form.
        self._known = (requests, form) if lasting else None
        return form

    def take_back(self) -> None:
        """The last form, which was not lasting, went into no block: the peer knows none of it."""
        entries, self._size, self._smallest = self._before_form
        del self._entries[entries:]

    def _size_update(self) -> bytes:
        """Source: RFC 7541, section 4.2: the smallest size that was in force, then the present."""
        smallest, self._smallest = self._smallest, None
        if smallest is None:
            return b""
        sizes = (smallest,) if smallest == self._limit else (smallest, self._limit)
        return b"".join(integer(size, prefix=5, flags=_RESIZE) for size in sizes)

    def _steady(self, name: bytes, value: bytes) -> bytes:
        """A field that is found in the table, or put there unless it must not be."""
        if name in _SECRET:
            return self._name(name, _NO_INDEXING) + string(value)
        newest_first = reversed(self._entries)
        for index, entry in enumerate(newest_first, start=len(_STATIC) + 1):
            if (entry.name, entry.value) == (name, value):
                return integer(index, prefix=7, flags=_INDEXED)
        return self._literal(name, value, len(value)) + string(value)

    def _passing(self, name: bytes, value: bytes) -> bytes:
        """A field whose name alone is put into the table, unless the value must not be there."""
        if name in _SECRET or self._index_of(name) is not None:
            return self._name(name, _NO_INDEXING) + string(value)
        return self._literal(name, None, len(value)) + string(value)

    def _own(self, name: bytes, length: int) -> bytes:
        """The beginning of a passing field whose value follows."""
        known = self._index_of(name) is not None
        head = self._name(name, _NO_INDEXING) if known else self._literal(name, None, length)
        return head + integer(length, prefix=7)

    def _literal(self, name: bytes, value: bytes | None, length: int) -> bytes:
        """The name of a literal, which goes into the table if there is room."""
        size = len(name) + length + ENTRY_OVERHEAD
        if self._size + size > self._limit:
            return self._name(name, _NO_INDEXING)
        head = self._name(name, _INDEXING)
        self._entries.append(_Entry(name, value, size))
        self._size += size
        return head

    def _name(self, name: bytes, flags: int) -> bytes:
        """The beginning of a literal: its name's index where there is one, else the name."""
        index = self._index_of(name)
        if index is None:
            return bytes((flags,)) + string(name)
        return integer(index, prefix=6 if flags == _INDEXING else 4, flags=flags)

    def _index_of(self, name: bytes) -> int | None:
        if name in _STATIC_NAMES:
            return _STATIC_NAMES[name]
        for index, entry in enumerate(reversed(self._entries), start=len(_STATIC) + 1):
            if entry.name == name:
                return index
        return None


def _encoded(field: Field) -> tuple[bytes, bytes]:
    return field[0].encode(), field[1].encode()


def _list_size(requests: Requests) -> int:
    """Source: RFC 9113, section 6.5.2."""
    fields = [
        (":method", "POST"),
        (":scheme", "https"),
        (":authority", requests.origin.authority),
        (":path", ""),
        ("content-length", "00000000"),
        *requests.fields,
        *requests.passing_fields,
    ]
    size = sum(len(name) + len(value.encode()) + ENTRY_OVERHEAD for name, value in fields)
    if requests.own is not None:
        size += len(requests.own[0]) + len(requests.own[1][0]) + ENTRY_OVERHEAD
    return size


def _statuses() -> dict[bytes, int]:
    """Each way to begin a block with a status that leaves the table alone, by its first bytes.

    Four bytes where the status is a literal of two Huffman-coded ones or longer, else one.
    """
    huffman = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)
    found: dict[bytes, int] = {}
    for status in range(100, 600):
        digits = str(status).encode()
        for literal in (b"\x08", b"\x18", b"\x48"):  # :status is static name 8
            found[literal + string(digits)] = status
            coded = huffman.encode(digits)
            found[literal + integer(len(coded), prefix=7, flags=0x80) + coded] = status
    return found


_STATUSES: Final = _statuses()
_STATUS_SIZES: Final = (4, 5)  # of two Huffman-coded bytes; of three bytes, coded or not
_INDEXED_STATUSES: Final = {0x80 | index: int(_STATIC[index - 1][1]) for index in range(8, 15)}


def glimpse(block: bytes) -> int:
    """The status that a block opens with; 0 when it has to be decoded to know.

    Only for blocks that cannot change the table: the peer has none.
    """
    status = _INDEXED_STATUSES.get(block[0]) if block else None
    if status is not None:
        return status
    for size in _STATUS_SIZES:
        status = _STATUSES.get(block[:size])
        if status is not None:
            return status
    return 0


class AnswerDecoder:
    """Reads the blocks of answers, with `hpack`, strictly."""

    def __init__(self) -> None:
        self._decoder = Decoder(max_header_list_size=LARGEST_LIST)

    def forget_table(self) -> None:
        """The peer knows that we want no table: the next block has to begin with saying so."""
        self._decoder.max_allowed_table_size = 0

    def decode(self, block: bytes) -> list[Field]:
        """The fields of a block, in order. Raises ConnectionFault."""
        try:
            fields = self._decoder.decode(block, raw=True)
        # Besides its own errors, hpack lets through what indexing and slicing raise.
        except (HPACKError, IndexError, ValueError) as error:
            rule = f"a header block can be decoded ({type(error).__name__})"
            raise ConnectionFault(Code.COMPRESSION_ERROR, rule) from error
        # HTTP lets values hold any bytes above 0x7F: they must not end the connection.
        return [(_text(name), _text(value)) for name, value in fields]


def _text(field_part: str | bytes) -> str:
    return cast("bytes", field_part).decode(errors="replace")


def read_answer(fields: Iterable[Field]) -> tuple[int, dict[str, str]]:
    """The status and the other fields; of a repeated field the last value.

    Raises StreamFault for a malformed answer. Source: RFC 9113, sections 8.2 and 8.3.2.
    """
    status = 0
    headers: dict[str, str] = {}
    for name, value in fields:
        if name == ":status" and not status and not headers:
            if len(value) != len("200") or not value.isascii() or not value.isdigit():
                raise StreamFault(Code.PROTOCOL_ERROR, "a status is three digits")
            status = int(value)
        else:
            _check(name, value)
            headers[name] = value
    if not 100 <= status < 600:
        raise StreamFault(Code.PROTOCOL_ERROR, "an answer has one status, before all else")
    return status, headers


def check_trailers(fields: Iterable[Field]) -> None:
    """Raises StreamFault for malformed ones. Source: RFC 9113, sections 8.1 and 8.2."""
    for name, value in fields:
        _check(name, value)


def _check(name: str, value: str) -> None:
    if _NAME.fullmatch(name) is None or name in _CONNECTION_SPECIFIC:
        raise StreamFault(Code.PROTOCOL_ERROR, "field names are in lower case, and end to end")
    if value != value.strip(" \t") or not _FORBIDDEN.isdisjoint(value):
        raise StreamFault(Code.PROTOCOL_ERROR, "a value has no line breaks and no outer blanks")


_NAME: Final = re.compile(r"[!-9;-@\[-~]+")  # visible ASCII but for colon and upper case
_FORBIDDEN: Final = frozenset("\0\r\n")
