"""RestoreTokens over real gRPC, when a device changed hands between two deaths of its token."""

from collections.abc import Awaitable, Callable
from typing import TypeAlias

import pytest

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from tests.integration.registry.running import Registry, timestamp
from tests.unit.registry.builders import APP, hex_token, key

FORMER, OWNER = 2, 1

Losing: TypeAlias = Callable[[Registry], Awaitable[object]]


async def die(registry: Registry, reason: str) -> None:
    """The one that is live dies."""
    (response,) = await registry.pages()
    page = response.page
    token = pb.DeadToken(
        installation_id=page.installation_ids,
        token_ref=page.token_refs,
        dead_since=timestamp(registry.clock),
        reason=reason,
    )
    answer = await registry.stub.InvalidateTokens(
        pb.InvalidateTokensRequest(app_id=APP, tokens=[token])
    )
    assert answer.outcomes == [token_pb2.INVALIDATION_OUTCOME_INVALIDATED]
    registry.clock.advance(60)


async def restore(registry: Registry, *reasons: str) -> dict[str, int]:
    """What restoring gives, counts of 0 left out."""
    start = timestamp(registry.clock, seconds=-3_600)
    request = pb.RestoreTokensRequest(app_id=APP, start_time=start, reasons=reasons)
    response = await registry.stub.RestoreTokens(request)
    return {field.name: count for field, count in response.ListFields()}


async def dies_too(registry: Registry) -> None:
    await die(registry, "BadDeviceToken")


async def rotates(registry: Registry) -> None:
    await registry.register(OWNER, hex_token())


async def user_is_erased(registry: Registry) -> None:
    await registry.stub.EraseUser(pb.EraseUserRequest(app_id=APP, user_id="eve"))


async def installation_is_erased(registry: Registry) -> None:
    request = pb.EraseInstallationRequest(app_id=APP, installation_id=str(key(OWNER)))
    await registry.stub.EraseInstallation(request)


@pytest.mark.parametrize("lose", [dies_too, rotates, user_is_erased, installation_is_erased])
async def test_nobody_gets_a_device_that_another_had_since(
    registry: Registry, lose: Losing
) -> None:
    token = hex_token()
    await registry.register(FORMER, token, user_id="carla")
    await die(registry, "Unregistered")
    await registry.register(OWNER, token, user_id="eve")
    await lose(registry)
    assert await restore(registry, "Unregistered") == {"matched": 1, "owned_by_another": 1}
    assert FORMER not in await registry.selected()


async def test_the_last_one_that_had_the_device_gets_it_back(registry: Registry) -> None:
    token = hex_token()
    for number, reason in ((FORMER, "Unregistered"), (OWNER, "BadDeviceToken")):
        await registry.register(number, token)
        await die(registry, reason)
    assert await restore(registry) == {"matched": 2, "restored": 1, "owned_by_another": 1}
    assert await registry.selected() == [OWNER]
