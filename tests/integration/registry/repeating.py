"""Registrations of which others may change all that they tell, one by one and in pages."""

from collections.abc import AsyncIterator
from typing import Any

from nuncio.registry.v1 import installation_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from tests.integration.registry.running import Registry
from tests.unit.registry.builders import APP

GRANTED = installation_pb2.CONSENT_STATE_GRANTED
Facts = installation_pb2.InstallationFacts
Row = pb.Registration


def said(registry: Registry, number: int = 1, apns: str = "", **fields: Any) -> Row:
    """A row that tells of all that others may change."""
    plain: dict[str, Any] = {
        "user_id": "ada",
        "facts": Facts(permission=installation_pb2.PERMISSION_GRANTED, language="de"),
        "consents": [installation_pb2.ConsentChange(purpose="news", state=GRANTED)],
    }
    return registry.row(number, apns, **(plain | fields))


async def register(registry: Registry, row: Row, app_id: str = APP) -> pb.RegisterTokenResponse:
    request = pb.RegisterTokenRequest(app_id=app_id, registration=row)
    return await registry.stub.RegisterToken(request)


async def exchanged(
    registry: Registry, *pages: list[Row], app_id: str = APP
) -> list[pb.RegisterTokensResponse]:
    async def requests() -> AsyncIterator[pb.RegisterTokensRequest]:
        for rows in pages:
            yield pb.RegisterTokensRequest(app_id=app_id, registrations=rows)

    return [response async for response in registry.stub.RegisterTokens(requests())]


async def outcomes(registry: Registry, *pages: list[Row]) -> list[list[int]]:
    return [list(response.outcomes) for response in await exchanged(registry, *pages)]
