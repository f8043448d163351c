"""Hot path: which field lists of HTTP/2 requests are well-formed.

Source: RFC 9113, sections 8.1 to 8.3; RFC 9110, section 8.6 for content-length.
"""

import re
from collections.abc import Sequence
from typing import Final

from nuncio_simulator.h2decode import ENTRY_OVERHEAD, Field

PSEUDO: Final = {b":method", b":scheme", b":path", b":authority"}
REQUIRED: Final = {b":method", b":scheme", b":path"}
CONNECTION_SPECIFIC: Final = {
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"transfer-encoding",
    b"upgrade",
}
NAME: Final = re.compile(rb"[!#$%&'*+.^_`|~0-9a-z-]+")
WRONG_BYTES: Final = b"\0\r\n"
BLANKS: Final = (b" ", b"\t")
SEPARATOR: Final = b"\x01"
SUSPICIOUS: Final = (b"\x01 ", b" \x01", b"\x01\t", b"\t\x01")
"""A blank at the end of a value, as they are joined; or a value that holds the separator."""
LENGTH: Final = re.compile(rb"[0-9]{1,18}")
REMEMBERED: Final = 4_096

_good_names: set[bytes] = set()
"""Names seen to be good: a client has a dozen, and sends them with every request."""


def is_well_formed(pairs: Sequence[Field]) -> bool:
    """Whether a server may act on this field list."""
    names = [name for name, _ in pairs]
    pseudo = [name for name in names if name[:1] == b":"]
    count = len(pseudo)
    known = set(pseudo)
    if len(known) != count or not REQUIRED <= known <= PSEUDO or pseudo != names[:count]:
        return False
    fields = dict(pairs)
    return (
        fields[b":path"][:1] in {b"/", b"*"}
        and fields.get(b"te", b"trailers") == b"trailers"
        and _are_good(names[count:])
        and _are_good_values([value for _, value in pairs])
    )


def are_trailers(pairs: Sequence[Field]) -> bool:
    """Whether a list that ends a request is well-formed: no pseudo-fields."""
    return _are_good([name for name, _ in pairs]) and _are_good_values(
        [value for _, value in pairs]
    )


def is_too_long(pairs: Sequence[Field], limit: int) -> bool:
    """Whether the list exceeds MAX_HEADER_LIST_SIZE. Source: RFC 9113, section 6.5.2."""
    total = ENTRY_OVERHEAD * len(pairs)
    for name, value in pairs:
        total += len(name) + len(value)
    return total > limit


def content_length(pairs: Sequence[Field]) -> int | None:
    """The length that the request promises; None when it promises none, -1 when it is none."""
    promised = {value for name, value in pairs if name == b"content-length"}
    if not promised:
        return None
    text = promised.pop()
    return int(text) if not promised and LENGTH.fullmatch(text) else -1


def _are_good(names: list[bytes]) -> bool:
    if _good_names.issuperset(names):
        return True
    for name in names:
        if NAME.fullmatch(name) is None or name in CONNECTION_SPECIFIC:
            return False
    if len(_good_names) >= REMEMBERED:
        _good_names.clear()
    _good_names.update(names)
    return True


def _are_good_values(values: list[bytes]) -> bool:
    joined = SEPARATOR.join((b"", *values, b""))
    if len(joined.translate(None, WRONG_BYTES)) != len(joined):
        return False
    if not any(sign in joined for sign in SUSPICIOUS):
        return True
    return not any(value.startswith(BLANKS) or value.endswith(BLANKS) for value in values)
