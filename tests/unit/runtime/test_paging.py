"""Page tokens belong to one list and filter; page sizes are bounded."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nuncio_runtime.paging import (
    PageTokenMismatch,
    decode_page_token,
    encode_page_token,
    page_size,
)


@settings(database=None)
@given(cursor=st.binary(max_size=200), digest=st.binary(max_size=40))
def test_a_token_gives_its_cursor_back(cursor: bytes, digest: bytes) -> None:
    token = encode_page_token(cursor, filter_digest=digest)
    assert decode_page_token(token, filter_digest=digest) == cursor
    assert token.isascii()
    assert not set(token) & set("+/= ")


def test_no_token_means_the_first_page() -> None:
    assert decode_page_token("", filter_digest=b"x") is None


def test_the_token_of_another_filter_is_refused() -> None:
    token = encode_page_token(b"42", filter_digest=b"red")
    with pytest.raises(PageTokenMismatch):
        decode_page_token(token, filter_digest=b"blue")


@settings(database=None)
@given(token=st.text(min_size=1))
def test_what_is_no_token_is_refused(token: str) -> None:
    with pytest.raises(PageTokenMismatch):
        decode_page_token(token, filter_digest=b"x")


@pytest.mark.parametrize(("requested", "given"), [(0, 100), (1, 1), (1000, 1000), (1001, 1000)])
def test_page_sizes_have_a_default_and_a_bound(requested: int, given: int) -> None:
    assert page_size(requested) == given
