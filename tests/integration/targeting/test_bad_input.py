"""What targeting says of purposes and page tokens that cannot be meant so."""

from collections.abc import Awaitable
from typing import Any

import pytest

from nuncio.targeting.v1 import audience_pb2
from nuncio.targeting.v1 import targeting_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from nuncio_runtime.paging import encode_page_token
from tests.integration.targeting.house import House

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]

EVERYBODY = audience_pb2.Audience(expression="all()")
PURPOSES = ("Marke ting", "Marketing", "n" * 65)


async def names(call: Awaitable[Any], field: str) -> None:
    with pytest.raises(RemoteError) as raised:
        await call
    assert raised.value.kind is Kind.INVALID_ARGUMENT
    assert [violation.field for violation in raised.value.violations] == [field]


@pytest.mark.parametrize("purpose", PURPOSES)
async def test_a_purpose_that_no_consent_can_have_is_refused(
    house: House, app: str, purpose: str
) -> None:
    asked = pb.ExplainAudienceRequest(app_id=app, audience=EVERYBODY, purpose=purpose)
    await names(house.targeting.ExplainAudience(asked), "purpose")
    await names(house.pages(app, EVERYBODY, purpose=purpose), "purpose")


async def test_no_purpose_is_none(house: House, app: str) -> None:
    asked = pb.ExplainAudienceRequest(app_id=app, audience=EVERYBODY)
    assert (await house.targeting.ExplainAudience(asked)).resolved == 0


@pytest.mark.parametrize("cursor", [b"\xff", b"a\0b"])
async def test_a_forged_page_token_is_refused(house: House, app: str, cursor: bytes) -> None:
    token = encode_page_token(cursor, filter_digest=app.encode())
    asked = pb.ListSegmentsRequest(app_id=app, page_token=token)
    await names(house.targeting.ListSegments(asked), "page_token")
