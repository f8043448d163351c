"""Where the pages of lists start, inside their page tokens.

The seal of a token keeps out mistakes, not attackers: anybody can make one around any bytes. So the
readers raise PageTokenMismatch for sealed bytes, too, where no list gives such ones.
"""

import struct
from datetime import datetime, timedelta
from typing import Final
from uuid import UUID

from nuncio_registry.domain.audit import BEGINNING, END
from nuncio_registry.domain.ports.audit import AuditMark
from nuncio_registry.domain.ports.privacy import ErasureMark
from nuncio_runtime.paging import PageTokenMismatch, decode_page_token, encode_page_token

_APP_ID_CHARACTERS: Final = 128  # As in the contract.
_KEY_BYTES: Final = 16
_NUMBER: Final = struct.Struct(">q")
_ERASURE_MARK: Final = struct.Struct(">q16s")  # Microseconds since 1970, UUID.
_AUDIT_MARK: Final = struct.Struct(">qq")  # Microseconds since 1970, number.
_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST: Final = (END - BEGINNING) // _MICROSECOND


def app_id_of(token: str, digest: bytes) -> str:
    """The app after which the page starts, empty for the first page."""
    cursor = decode_page_token(token, filter_digest=digest) or b""
    app_id = cursor.decode(errors="replace")
    # Bytes that are no text come back as others. PostgreSQL has no texts with NUL.
    if app_id.encode() != cursor or "\0" in app_id or len(app_id) > _APP_ID_CHARACTERS:
        raise PageTokenMismatch
    return app_id


def app_id_token(app_id: str, digest: bytes) -> str:
    """The token of the page after this app."""
    return encode_page_token(app_id.encode(), filter_digest=digest)


def key_of(token: str, digest: bytes) -> UUID | None:
    """The key after which the page starts, None for the first page."""
    cursor = _cursor(token, digest, size=_KEY_BYTES)
    return None if cursor is None else UUID(bytes=cursor)


def key_token(key: UUID, digest: bytes) -> str:
    """The token of the page after this key."""
    return encode_page_token(key.bytes, filter_digest=digest)


def number_of(token: str, digest: bytes) -> int | None:
    """The number before which the page starts, None for the first page."""
    cursor = _cursor(token, digest, size=_NUMBER.size)
    if cursor is None:
        return None
    (number,) = _NUMBER.unpack(cursor)
    return _counted(number)


def number_token(number: int, digest: bytes) -> str:
    """The token of the page before this number."""
    return encode_page_token(_NUMBER.pack(number), filter_digest=digest)


def erasure_mark_of(token: str, digest: bytes) -> ErasureMark | None:
    """The proof before which the page starts, None for the first page."""
    cursor = _cursor(token, digest, size=_ERASURE_MARK.size)
    if cursor is None:
        return None
    microseconds, erasure_id = _ERASURE_MARK.unpack(cursor)
    return ErasureMark(_time(microseconds), UUID(bytes=erasure_id))


def erasure_token(mark: ErasureMark, digest: bytes) -> str:
    """The token of the page before this proof."""
    cursor = _ERASURE_MARK.pack(_microseconds(mark.erased_at), mark.erasure_id.bytes)
    return encode_page_token(cursor, filter_digest=digest)


def audit_mark_of(token: str, digest: bytes) -> AuditMark | None:
    """The event before which the page starts, None for the first page."""
    cursor = _cursor(token, digest, size=_AUDIT_MARK.size)
    if cursor is None:
        return None
    microseconds, event_id = _AUDIT_MARK.unpack(cursor)
    return AuditMark(_time(microseconds), _counted(event_id))


def audit_token(mark: AuditMark, digest: bytes) -> str:
    """The token of the page before this event."""
    cursor = _AUDIT_MARK.pack(_microseconds(mark.recorded_at), mark.event_id)
    return encode_page_token(cursor, filter_digest=digest)


def _cursor(token: str, digest: bytes, *, size: int) -> bytes | None:
    cursor = decode_page_token(token, filter_digest=digest)
    if cursor is not None and len(cursor) != size:
        raise PageTokenMismatch
    return cursor


def _counted(number: int) -> int:
    """A number that a sequence of the database may have given."""
    if number < 0:
        raise PageTokenMismatch
    return number


def _time(microseconds: int) -> datetime:
    if not 0 <= microseconds <= _LONGEST:
        raise PageTokenMismatch
    return BEGINNING + microseconds * _MICROSECOND


def _microseconds(time: datetime) -> int:
    return (time - BEGINNING) // _MICROSECOND
