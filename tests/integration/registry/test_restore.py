"""RestoreTokens over real gRPC, and what the times of a death are compared with."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import token_pb2
from nuncio_registry.domain.restore import BATCH
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.registry.running import Registry, timestamp
from tests.unit.registry.builders import APP, hex_token

INVALIDATED = token_pb2.INVALIDATION_OUTCOME_INVALIDATED
KEPT_NEWER = token_pb2.INVALIDATION_OUTCOME_KEPT_NEWER
DAY = 86_400


async def kill(registry: Registry, *, died: float = 0, **fields: Any) -> set[int]:
    """Call every target dead since so many seconds from now; the outcomes."""
    outcomes: set[int] = set()
    for response in await registry.pages(page_size=1_000):
        ids, refs = response.page.installation_ids, response.page.token_refs
        tokens = [
            pb.DeadToken(
                installation_id=ids[at : at + 16],
                token_ref=refs[at : at + 16],
                dead_since=timestamp(registry.clock, seconds=died),
                reason="Unregistered",
                **fields,
            )
            for at in range(0, len(ids), 16)
        ]
        request = pb.InvalidateTokensRequest(app_id=APP, tokens=tokens)
        outcomes.update((await registry.stub.InvalidateTokens(request)).outcomes)
    return outcomes


async def restore(registry: Registry, *, ago: float = DAY, **fields: Any) -> dict[str, int]:
    """What restoring gives, counts of 0 left out. ago: seconds since the window's beginning."""
    start = timestamp(registry.clock, seconds=-ago)
    request = pb.RestoreTokensRequest(**{"app_id": APP, "start_time": start, **fields})
    response = await registry.stub.RestoreTokens(request)
    return {field.name: count for field, count in response.ListFields()}


async def pages(registry: Registry, count: int) -> AsyncIterator[pb.RegisterTokensRequest]:
    """So many installations with the numbers from 1 on."""
    rows = [registry.row(number) for number in range(1, count + 1)]
    for at in range(0, count, 1_000):
        yield pb.RegisterTokensRequest(app_id=APP, registrations=rows[at : at + 1_000])


async def test_a_flood_of_wrong_deaths_is_undone(registry: Registry) -> None:
    count = BATCH + 500
    async for answer in registry.stub.RegisterTokens(pages(registry, count)):
        assert not answer.errors
    assert await kill(registry, campaign="spring") == {INVALIDATED}
    registry.clock.advance(60)
    all_of_it = {"matched": count, "restored": count}
    assert await restore(registry, campaign="spring", dry_run=True) == all_of_it
    assert await registry.selected() == []
    assert await restore(registry, campaign="spring") == all_of_it
    assert len(await registry.selected()) == count
    again = {"matched": count, "registered_again": count}
    assert await restore(registry, campaign="spring") == again


async def test_a_window_begins_with_its_start_and_ends_before_its_end(registry: Registry) -> None:
    await registry.register(1)
    await kill(registry)
    died = timestamp(registry.clock)
    assert await restore(registry, ago=0) == {}  # Until now is not now.
    registry.clock.advance(60)
    assert await restore(registry, end_time=died) == {}
    late = timestamp(registry.clock, seconds=3_600)
    window: dict[str, Any] = {"start_time": died, "end_time": late, "dry_run": True}
    assert await restore(registry, **window) == {"matched": 1, "restored": 1}
    assert await restore(registry, ago=400 * DAY) == {"matched": 1, "restored": 1}


@pytest.mark.parametrize(
    ("start", "end", "field"),
    [
        (None, None, "start_time"),
        (1, None, "start_time"),
        (-10, -10, "end_time"),
        (-10, -20, "end_time"),
        (-400 * DAY - 1, None, "start_time"),
        (-10, 400 * DAY, "start_time"),
    ],
)
async def test_a_window_that_is_none_is_refused(
    registry: Registry, start: float | None, end: float | None, field: str
) -> None:
    request = pb.RestoreTokensRequest(app_id=APP)
    if start is not None:
        request.start_time.CopyFrom(timestamp(registry.clock, seconds=start))
    if end is not None:
        request.end_time.CopyFrom(timestamp(registry.clock, seconds=end))
    with pytest.raises(RemoteError) as refused:
        await registry.stub.RestoreTokens(request)
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert [violation.field for violation in refused.value.violations] == [field]


async def test_impossible_times_are_refused(registry: Registry) -> None:
    impossible = Timestamp(seconds=10**12)
    for field in ("start_time", "end_time"):
        times: dict[str, Any] = {field: impossible}
        with pytest.raises(RemoteError) as refused:
            await restore(registry, **times)
        assert refused.value.violations[0].field == field


async def test_tokens_of_an_unknown_app_are_not_restored(registry: Registry) -> None:
    with pytest.raises(RemoteError) as refused:
        await restore(registry, app_id="nobody")
    assert refused.value.reason == "APP_NOT_FOUND"


async def test_an_imported_token_that_died_before_the_import_dies(registry: Registry) -> None:
    await registry.register(1, observed_at=timestamp(registry.clock, seconds=-30 * DAY))
    assert await kill(registry, died=-DAY) == {INVALIDATED}


async def test_a_token_seen_after_its_death_survives(registry: Registry) -> None:
    await registry.register(1, observed_at=timestamp(registry.clock, seconds=-DAY + 1))
    assert await kill(registry, died=-DAY) == {KEPT_NEWER}
    assert await registry.selected() == [1]


async def test_a_dead_token_that_its_app_registers_again_survives_its_old_death(
    registry: Registry,
) -> None:
    token = hex_token()
    await registry.register(1, token)
    await kill(registry)
    registry.clock.advance(1)
    await registry.register(1, token)
    assert await kill(registry, died=-1) == {KEPT_NEWER}
    assert await registry.selected() == [1]


async def test_a_restored_token_that_is_called_dead_again_dies(registry: Registry) -> None:
    await registry.register(1)
    await kill(registry)
    registry.clock.advance(1)
    assert await restore(registry) == {"matched": 1, "restored": 1}
    assert await kill(registry, died=-1) == {INVALIDATED}


async def test_a_death_to_come_is_one_of_now(registry: Registry) -> None:
    token = hex_token()
    await registry.register(1, token)
    assert await kill(registry, died=3_600) == {INVALIDATED}
    assert (await registry.installation(1)).token_death_time == timestamp(registry.clock)
    registry.clock.advance(1)
    assert await restore(registry) == {"matched": 1, "restored": 1}
    stored = await registry.installation(1)
    assert stored.token_state == token_pb2.TOKEN_STATE_ACTIVE
    assert not stored.HasField("token_death_time")


async def test_restoring_twice_at_once_restores_once(registry: Registry) -> None:
    for number in range(1, 21):
        await registry.register(number)
    await kill(registry)
    registry.clock.advance(1)
    answers = await asyncio.gather(*(restore(registry) for _ in range(4)))
    assert sum(answer.get("restored", 0) for answer in answers) == 20
    assert all(answer["matched"] == 20 for answer in answers)
    assert len(await registry.selected()) == 20
