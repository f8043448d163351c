"""Where the pages of lists start, inside their page tokens.

The readers raise PageTokenMismatch for what no list gives.
"""

import struct
from typing import Final
from uuid import UUID

from nuncio_registry.domain.ports.audit import AuditMark
from nuncio_registry.domain.ports.privacy import ErasureMark
from nuncio_runtime.cursors import (
    microseconds_of,
    parts_of,
    sequence_number_of,
    text_of,
    time_of,
)
from nuncio_runtime.paging import decode_page_token, encode_page_token

_APP_ID_CHARACTERS: Final = 128  # As in the contract.
_KEY: Final = struct.Struct(">16s")
_NUMBER: Final = struct.Struct(">q")
_ERASURE_MARK: Final = struct.Struct(">q16s")  # Microseconds since 1970, UUID.
_AUDIT_MARK: Final = struct.Struct(">qq")  # Microseconds since 1970, number.


def app_id_of(token: str, digest: bytes) -> str:
    """The app after which the page starts, empty for the first page."""
    cursor = decode_page_token(token, filter_digest=digest) or b""
    return text_of(cursor, most=_APP_ID_CHARACTERS)


def app_id_token(app_id: str, digest: bytes) -> str:
    """The token of the page after this app."""
    return encode_page_token(app_id.encode(), filter_digest=digest)


def key_of(token: str, digest: bytes) -> UUID | None:
    """The key after which the page starts, None for the first page."""
    parts = parts_of(token, _KEY, filter_digest=digest)
    return None if parts is None else UUID(bytes=parts[0])


def key_token(key: UUID, digest: bytes) -> str:
    """The token of the page after this key."""
    return encode_page_token(key.bytes, filter_digest=digest)


def number_of(token: str, digest: bytes) -> int | None:
    """The number before which the page starts, None for the first page."""
    parts = parts_of(token, _NUMBER, filter_digest=digest)
    return None if parts is None else sequence_number_of(parts[0])


def number_token(number: int, digest: bytes) -> str:
    """The token of the page before this number."""
    return encode_page_token(_NUMBER.pack(number), filter_digest=digest)


def erasure_mark_of(token: str, digest: bytes) -> ErasureMark | None:
    """The proof before which the page starts, None for the first page."""
    parts = parts_of(token, _ERASURE_MARK, filter_digest=digest)
    if parts is None:
        return None
    microseconds, erasure_id = parts
    return ErasureMark(time_of(microseconds), UUID(bytes=erasure_id))


def erasure_token(mark: ErasureMark, digest: bytes) -> str:
    """The token of the page before this proof."""
    cursor = _ERASURE_MARK.pack(microseconds_of(mark.erased_at), mark.erasure_id.bytes)
    return encode_page_token(cursor, filter_digest=digest)


def audit_mark_of(token: str, digest: bytes) -> AuditMark | None:
    """The event before which the page starts, None for the first page."""
    parts = parts_of(token, _AUDIT_MARK, filter_digest=digest)
    if parts is None:
        return None
    microseconds, event_id = parts
    return AuditMark(time_of(microseconds), sequence_number_of(event_id))


def audit_token(mark: AuditMark, digest: bytes) -> str:
    """The token of the page before this event."""
    cursor = _AUDIT_MARK.pack(microseconds_of(mark.recorded_at), mark.event_id)
    return encode_page_token(cursor, filter_digest=digest)
