"""A page token is what a list has given, or it is refused, whatever bytes it is sealed around."""

import pytest

from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio_runtime.paging import PageTokenMismatch, encode_page_token
from nuncio_targeting.api.convert import name_before

APP = "shop"


def read(cursor: bytes) -> str:
    # The digest of the list's filter, as anybody may read in the source.
    token = encode_page_token(cursor, filter_digest=APP.encode())
    return name_before(pb.ListSegmentsRequest(app_id=APP, page_token=token))


def test_a_name_comes_back() -> None:
    assert read(b"swiss") == "swiss"
    assert name_before(pb.ListSegmentsRequest(app_id=APP)) == ""


@pytest.mark.parametrize("cursor", [b"\xff", b"a\0b", b"a" * 65])
def test_a_forged_token_is_refused(cursor: bytes) -> None:
    with pytest.raises(PageTokenMismatch) as refused:
        read(cursor)
    assert [violation.field for violation in refused.value.violations] == ["page_token"]
