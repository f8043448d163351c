"""What stands in page tokens: where a page of a list starts.

The seal of a token keeps out mistakes, not attackers: anybody can make one around any bytes. So the
readers raise PageTokenMismatch for sealed bytes, too, where no list gives such ones.
"""

from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any, Final

from nuncio_runtime.paging import PageTokenMismatch, decode_page_token

# Of all times that lists are ordered by.
BEGINNING: Final = datetime(1970, 1, 1, tzinfo=UTC)
END: Final = datetime(9999, 1, 1, tzinfo=UTC)

_MICROSECOND: Final = timedelta(microseconds=1)
_LONGEST: Final = (END - BEGINNING) // _MICROSECOND


def parts_of(token: str, form: Struct, *, filter_digest: bytes) -> tuple[Any, ...] | None:
    """The parts of a cursor of this form; None for the first page. Raises PageTokenMismatch."""
    cursor = decode_page_token(token, filter_digest=filter_digest)
    if cursor is None:
        return None
    if len(cursor) != form.size:
        raise PageTokenMismatch
    return form.unpack(cursor)


def text_of(cursor: bytes, *, most: int) -> str:
    """A text of at most so many characters, as PostgreSQL has them. Raises PageTokenMismatch."""
    text = cursor.decode(errors="replace")
    # Bytes that are no text come back as others. PostgreSQL has no texts with NUL.
    if text.encode() != cursor or "\0" in text or len(text) > most:
        raise PageTokenMismatch
    return text


def sequence_number_of(number: int) -> int:
    """A number that a sequence of the database may have given. Raises PageTokenMismatch."""
    if number < 0:
        raise PageTokenMismatch
    return number


def time_of(microseconds: int) -> datetime:
    """A time from 1970 to 9998. Raises PageTokenMismatch for any other."""
    if not 0 <= microseconds <= _LONGEST:
        raise PageTokenMismatch
    return BEGINNING + microseconds * _MICROSECOND


def microseconds_of(time: datetime) -> int:
    """Since 1970."""
    return (time - BEGINNING) // _MICROSECOND
