"""What page tokens hold is read back, and what no list gives is refused."""

import struct
from datetime import UTC, datetime, timedelta

import pytest

from nuncio_runtime.cursors import microseconds_of, parts_of, sequence_number_of, text_of, time_of
from nuncio_runtime.paging import PageTokenMismatch, encode_page_token

FORM = struct.Struct(">qH")
LIST = b"a list"
YEAR_9999 = (datetime(9999, 1, 1, tzinfo=UTC) - datetime(1970, 1, 1, tzinfo=UTC)) / timedelta(
    microseconds=1
)


def sealed(cursor: bytes) -> str:
    return encode_page_token(cursor, filter_digest=LIST)


def test_parts_come_back() -> None:
    assert parts_of(sealed(FORM.pack(-5, 7)), FORM, filter_digest=LIST) == (-5, 7)
    assert parts_of("", FORM, filter_digest=LIST) is None


@pytest.mark.parametrize("length", [0, FORM.size - 1, FORM.size + 1, 100])
def test_a_cursor_of_another_length_is_refused(length: int) -> None:
    with pytest.raises(PageTokenMismatch):
        parts_of(sealed(bytes(length)), FORM, filter_digest=LIST)


@pytest.mark.parametrize("text", ["", "größe", "x" * 9])
def test_a_text_comes_back(text: str) -> None:
    assert text_of(text.encode(), most=9) == text


@pytest.mark.parametrize("cursor", [b"\xff", b"a\0", b"x" * 10, "größe".encode()[:3]])
def test_what_is_no_text_of_a_list_is_refused(cursor: bytes) -> None:
    with pytest.raises(PageTokenMismatch):
        text_of(cursor, most=9)


def test_a_time_comes_back() -> None:
    time = datetime(2026, 3, 31, 12, microsecond=1, tzinfo=UTC)
    assert time_of(microseconds_of(time)) == time


@pytest.mark.parametrize("microseconds", [-1, round(YEAR_9999) + 1, 2**64 - 1])
def test_an_impossible_time_is_refused(microseconds: int) -> None:
    with pytest.raises(PageTokenMismatch):
        time_of(microseconds)


def test_sequences_give_no_negative_numbers() -> None:
    assert sequence_number_of(0) == 0
    with pytest.raises(PageTokenMismatch):
        sequence_number_of(-1)
