"""A page token is what a list has given, or it is refused, whatever bytes it is sealed around."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import TypeVar
from uuid import UUID

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from nuncio_registry.api.cursors import (
    app_id_of,
    app_id_token,
    audit_mark_of,
    audit_token,
    erasure_mark_of,
    erasure_token,
    key_of,
    key_token,
    number_of,
    number_token,
)
from nuncio_registry.domain.feed import position_of, position_text
from nuncio_registry.domain.ports.audit import AuditMark
from nuncio_registry.domain.ports.feed import Position
from nuncio_registry.domain.ports.privacy import ErasureMark
from nuncio_runtime.errors import ServiceError
from nuncio_runtime.paging import PageTokenMismatch, encode_page_token
from tests.unit.registry.builders import APP

T = TypeVar("T")

LIST = b"a list"
TIMES = st.datetimes(datetime(1970, 1, 1), datetime(9998, 12, 31), timezones=st.just(UTC))  # noqa: DTZ001
NUMBERS = st.integers(0, 2**63 - 1)

# Reads a token, and makes the one that reads so again.
ROUND_TRIPS: dict[str, Callable[[str], str]] = {
    "app": lambda token: app_id_token(app_id_of(token, LIST), LIST),
    "key": lambda token: key_token(key_of(token, LIST) or UUID(int=0), LIST),
    "number": lambda token: number_token(number_of(token, LIST) or 0, LIST),
    "erasure": lambda token: erasure_token(_there(erasure_mark_of(token, LIST)), LIST),
    "audit": lambda token: audit_token(_there(audit_mark_of(token, LIST)), LIST),
}
EVERY_READER = pytest.mark.parametrize("again", ROUND_TRIPS.values(), ids=ROUND_TRIPS)


def _there(mark: T | None) -> T:
    assert mark is not None
    return mark


def _position_again(text: str) -> str:
    return position_text(_there(position_of(text, APP)), APP)


def _read(again: Callable[[str], str], token: str) -> str | list[str]:
    """What it reads, as a token, or the fields that it refuses."""
    try:
        return again(token)
    except ServiceError as refusal:
        return [violation.field for violation in refusal.violations]


@EVERY_READER
@settings(database=None)
@given(
    cursor=st.binary(max_size=40)
    | st.binary(min_size=8, max_size=8)
    | st.binary(min_size=16, max_size=16)
    | st.binary(min_size=24, max_size=24)
)
@example(cursor=b"")
@example(cursor=b"a\0b")
@example(cursor=b"a" * 129)
@example(cursor=b"\xff" * 8)
@example(cursor=b"\xff" * 16)
@example(cursor=b"\x7f" + b"\xff" * 23)
@example(cursor=b"\x80" + b"\0" * 15)
def test_sealed_bytes_are_a_place_or_refused(again: Callable[[str], str], cursor: bytes) -> None:
    token = encode_page_token(cursor, filter_digest=LIST)
    assert _read(again, token) in (token, ["page_token"])


@EVERY_READER
@settings(database=None)
@given(token=st.text(min_size=1, max_size=1000))
def test_what_nobody_sealed_is_refused(again: Callable[[str], str], token: str) -> None:
    with pytest.raises(PageTokenMismatch):
        again(token)


@EVERY_READER
def test_the_token_of_another_list_is_refused(again: Callable[[str], str]) -> None:
    with pytest.raises(PageTokenMismatch):
        again(encode_page_token(b"\0" * 16, filter_digest=b"another list"))


@settings(database=None)
@given(
    app_id=st.text(st.characters(codec="utf-8", exclude_characters="\0"), max_size=128),
    key=st.uuids(),
    number=NUMBERS,
    time=TIMES,
)
def test_tokens_give_their_places_back(app_id: str, key: UUID, number: int, time: datetime) -> None:
    erased, recorded = ErasureMark(time, key), AuditMark(time, number)
    assert app_id_of(app_id_token(app_id, LIST), LIST) == app_id
    assert key_of(key_token(key, LIST), LIST) == key
    assert number_of(number_token(number, LIST), LIST) == number
    assert erasure_mark_of(erasure_token(erased, LIST), LIST) == erased
    assert audit_mark_of(audit_token(recorded, LIST), LIST) == recorded


def test_no_token_is_the_first_page() -> None:
    assert app_id_of("", LIST) == ""
    readers = (key_of, number_of, erasure_mark_of, audit_mark_of)
    assert [read("", LIST) for read in readers] == [None] * len(readers)


@settings(database=None)
@given(text=st.text(min_size=1, max_size=200) | st.from_regex(r"[A-Za-z0-9_-]{32}", fullmatch=True))
def test_what_is_no_position_is_refused(text: str) -> None:
    assert _read(_position_again, text) in (text, ["position"])


@settings(database=None)
@given(transaction_id=st.integers(0, 2**64 - 1), change_id=st.integers(-(2**63), 2**63 - 1))
def test_a_position_comes_back_and_belongs_to_its_app(transaction_id: int, change_id: int) -> None:
    position = Position(transaction_id, change_id)
    text = position_text(position, APP)
    assert position_of(text, APP) == position
    with pytest.raises(ServiceError):
        position_of(text, "com.example.other")
