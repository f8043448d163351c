"""A page token is what a list has given, or it is refused, whatever bytes it is sealed around."""

import hashlib
import struct
from datetime import UTC, datetime
from uuid import UUID

import pytest

from nuncio_feedback.api.convert import page_token, position
from nuncio_feedback.domain.model import Position, Scope
from nuncio_runtime.paging import PageTokenMismatch, encode_page_token

SCOPE = Scope("shop", "", UUID(int=1))
PLACE = Position(datetime(2026, 3, 31, 12, microsecond=5, tzinfo=UTC), 17)
FORM = struct.Struct(">Qq")


def read(cursor: bytes) -> Position | None:
    # The digest of the list's filter, as anybody may read in the source.
    digest = hashlib.sha256(f"{SCOPE.app_id}\0{SCOPE.dispatch_id}".encode()).digest()
    return position(encode_page_token(cursor, filter_digest=digest), scope=SCOPE)


def test_a_position_comes_back() -> None:
    assert position(page_token(PLACE, scope=SCOPE), scope=SCOPE) == PLACE
    assert position("", scope=SCOPE) is None
    assert read(FORM.pack(0, 1)) == Position(datetime(1970, 1, 1, tzinfo=UTC), 1)


@pytest.mark.parametrize(
    "cursor",
    [b"", bytes(15), bytes(17), b"\xff" * 16, FORM.pack(2**62, 1), FORM.pack(1, -1)],
)
def test_a_forged_token_is_refused(cursor: bytes) -> None:
    with pytest.raises(PageTokenMismatch) as refused:
        read(cursor)
    assert [violation.field for violation in refused.value.violations] == ["page_token"]
