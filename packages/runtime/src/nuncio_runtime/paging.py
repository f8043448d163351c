"""Page tokens and page sizes, the same for every list."""

import base64
import binascii
import hashlib
from typing import Final

from nuncio_runtime.errors import FieldViolation, Kind, ServiceError

DEFAULT_PAGE_SIZE: Final = 100
MAX_PAGE_SIZE: Final = 1000

_SEAL_BYTES: Final = 8


class PageTokenMismatch(ServiceError):
    """The page token does not belong to this list and filter."""

    kind = Kind.INVALID_ARGUMENT
    reason = "PAGE_TOKEN_MISMATCH"
    violations = (
        FieldViolation("page_token", "must be the next_page_token of a page of the same list"),
    )


def page_size(requested: int) -> int:
    """How many rows to give: 100 for 0, at most 1 000. Negative numbers never get here."""
    return min(requested or DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE)


def encode_page_token(cursor: bytes, *, filter_digest: bytes) -> str:
    """Make the token of the page that starts after `cursor`, bound to the list's filter."""
    return base64.urlsafe_b64encode(_seal(cursor, filter_digest) + cursor).decode().rstrip("=")


def decode_page_token(token: str, *, filter_digest: bytes) -> bytes | None:
    """Give the cursor back; None for the first page, whose token is empty.

    Raises PageTokenMismatch for the token of another filter, and for what is no token at all.
    The seal keeps out mistakes, not attackers: a cursor grants nothing that the list does not.
    """
    if not token:
        return None
    try:
        raw = base64.b64decode(token + "=" * (-len(token) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raise PageTokenMismatch from None
    seal, cursor = raw[:_SEAL_BYTES], raw[_SEAL_BYTES:]
    if seal != _seal(cursor, filter_digest):
        raise PageTokenMismatch
    return cursor


def digest_of(*parts: bytes) -> bytes:
    """A digest of a list's filter: equal for equal parts, each kept apart from the next one."""
    return hashlib.sha256(b"".join(len(part).to_bytes(4) + part for part in parts)).digest()


def _seal(cursor: bytes, filter_digest: bytes) -> bytes:
    key = hashlib.sha256(filter_digest).digest()
    return hashlib.blake2b(cursor, key=key, digest_size=_SEAL_BYTES).digest()
