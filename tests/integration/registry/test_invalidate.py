"""InvalidateTokens over real gRPC: compare, then retire."""

import pytest

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_runtime.client import RemoteError
from tests.integration.registry.running import Registry, timestamp
from tests.unit.registry.builders import APP, hex_token, key

INVALIDATED = token_pb2.INVALIDATION_OUTCOME_INVALIDATED
KEPT_NEWER = token_pb2.INVALIDATION_OUTCOME_KEPT_NEWER
KEPT_OTHER_TOKEN = token_pb2.INVALIDATION_OUTCOME_KEPT_OTHER_TOKEN
ALREADY_DEAD = token_pb2.INVALIDATION_OUTCOME_ALREADY_DEAD
UNKNOWN = token_pb2.INVALIDATION_OUTCOME_UNKNOWN


async def reported(registry: Registry, *, ago: float = 0) -> list[pb.DeadToken]:
    """Every target as a token that died so many seconds ago."""
    (response,) = await registry.pages()
    ids, refs = response.page.installation_ids, response.page.token_refs
    return [
        pb.DeadToken(
            installation_id=ids[at : at + 16],
            token_ref=refs[at : at + 16],
            dead_since=timestamp(registry.clock, seconds=-ago),
            reason="Unregistered",
        )
        for at in range(0, len(ids), 16)
    ]


async def invalidated(registry: Registry, tokens: list[pb.DeadToken]) -> list[int]:
    request = pb.InvalidateTokensRequest(app_id=APP, tokens=tokens)
    return list((await registry.stub.InvalidateTokens(request)).outcomes)


async def test_a_dead_token_is_retired_with_its_reason(registry: Registry) -> None:
    await registry.register(1)
    tokens = await reported(registry)
    assert await invalidated(registry, tokens) == [INVALIDATED]
    stored = await registry.installation(1)
    assert stored.token_state == token_pb2.TOKEN_STATE_INVALID
    assert stored.token_state_reason == "Unregistered"
    assert await registry.selected() == []
    assert await invalidated(registry, tokens) == [ALREADY_DEAD]


async def test_a_token_registered_after_its_death_survives(registry: Registry) -> None:
    token = hex_token()
    await registry.register(1, token)
    registry.clock.advance(60)
    await registry.register(1, token)
    assert await invalidated(registry, await reported(registry, ago=30)) == [KEPT_NEWER]
    assert await registry.selected() == [1]


async def test_another_token_survives(registry: Registry) -> None:
    await registry.register(1)
    tokens = await reported(registry)
    registry.clock.advance(60)
    await registry.register(1)
    assert await invalidated(registry, tokens) == [KEPT_OTHER_TOKEN]
    assert await registry.selected() == [1]


async def test_a_dead_token_lives_again_when_it_is_registered(registry: Registry) -> None:
    token = hex_token()
    await registry.register(1, token)
    await invalidated(registry, await reported(registry))
    registry.clock.advance(60)
    again = await registry.register(1, token)
    assert again.outcome == token_pb2.REGISTRATION_OUTCOME_REFRESHED
    stored = await registry.installation(1)
    assert stored.token_state == token_pb2.TOKEN_STATE_ACTIVE
    assert stored.token_state_reason == ""


async def test_each_token_of_a_page_has_its_own_outcome(registry: Registry) -> None:
    for number in (1, 2, 3):
        await registry.register(number)
    one, two, three = await reported(registry)
    unknown = pb.DeadToken()
    unknown.CopyFrom(one)
    unknown.installation_id = key(9).bytes
    two.token_ref = one.token_ref
    three.dead_since.CopyFrom(timestamp(registry.clock, seconds=-1))
    outcomes = await invalidated(registry, [unknown, one, two, three, one])
    assert outcomes == [UNKNOWN, INVALIDATED, KEPT_OTHER_TOKEN, KEPT_NEWER, ALREADY_DEAD]


@pytest.mark.parametrize(
    ("change", "field"),
    [
        (pb.DeadToken(reason="\0"), "tokens[0].reason"),
        (pb.DeadToken(installation_id=b"x"), "tokens[0].installation_id"),
        (pb.DeadToken(token_ref=b"x"), "tokens[0].token_ref"),
    ],
)
async def test_bad_reports_are_refused(
    registry: Registry, change: pb.DeadToken, field: str
) -> None:
    await registry.register(1)
    (token,) = await reported(registry)
    token.MergeFrom(change)
    with pytest.raises(RemoteError) as refused:
        await invalidated(registry, [token])
    assert refused.value.violations[0].field == field
    token.Clear()
    with pytest.raises(RemoteError):
        await invalidated(registry, [token])
