"""What the registry says of purposes, methods and apps that cannot be meant so."""

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from google.protobuf.duration_pb2 import Duration

from nuncio.registry.v1 import app_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.registry.running import Registry
from tests.integration.registry.watching import watching
from tests.unit.registry.builders import APP

Answer = Callable[[Registry, str], Awaitable[Any]]

DAY = 86_400
BY_PURPOSE: dict[str, Answer] = {
    "GetUserReachability": lambda r, purpose: r.stub.GetUserReachability(
        pb.GetUserReachabilityRequest(app_id=APP, user_ids=["ada"], purpose=purpose)
    ),
    "CountTargets": lambda r, purpose: r.stub.CountTargets(
        pb.CountTargetsRequest(app_id=APP, purpose=purpose)
    ),
    "SelectTargets": lambda r, purpose: r.pages(purpose=purpose),
}


async def refused(call: Awaitable[Any]) -> RemoteError:
    with pytest.raises(RemoteError) as raised:
        await call
    return raised.value


@pytest.mark.parametrize("name", BY_PURPOSE)
async def test_a_purpose_that_no_consent_can_have_is_refused(registry: Registry, name: str) -> None:
    answer = BY_PURPOSE[name]
    for purpose in ("Marke ting", "Marketing", "-news", "news\n", "n" * 65, "größe"):
        error = await refused(answer(registry, purpose))
        assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "INVALID_FIELD"), purpose
        assert [violation.field for violation in error.violations] == ["purpose"]
    for purpose in ("", "news", "n" * 64, "0-a_b"):
        await answer(registry, purpose)


async def test_a_method_that_is_never_audited_is_refused(registry: Registry) -> None:
    error = await refused(
        registry.stub.ListAuditEvents(pb.ListAuditEventsRequest(method="RegisterToken"))
    )
    assert error.kind is Kind.INVALID_ARGUMENT
    (violation,) = error.violations
    assert violation.field == "method"
    for name in ("EraseUser", "SelectTargets", "rotate-keys"):
        assert name in violation.rule


async def test_every_method_that_the_rule_names_may_be_asked_for(registry: Registry) -> None:
    error = await refused(registry.stub.ListAuditEvents(pb.ListAuditEventsRequest(method="?")))
    named = error.violations[0].rule.removeprefix("must be one of ").removesuffix(", or empty")
    for method in named.split(", "):
        asked = pb.ListAuditEventsRequest(method=method)
        events = (await registry.stub.ListAuditEvents(asked)).events
        assert {event.method for event in events} <= {method}
    assert len(named.split(", ")) > 10


async def test_an_app_that_exists_otherwise_is_told_by_what(registry: Registry) -> None:
    asked = app_pb2.App(
        app_id=APP,
        display_name="Shop",
        stale_after=Duration(seconds=30 * DAY),
        expire_after=Duration(seconds=400 * DAY),
        retention=Duration(seconds=36 * 3_600),
    )
    error = await refused(registry.stub.CreateApp(pb.CreateAppRequest(app=asked)))
    assert (error.kind, error.reason) == (Kind.ALREADY_EXISTS, "APP_EXISTS")
    assert error.metadata == {"appId": APP, "fields": "display_name,expire_after,retention"}
    cause: Any = error.__cause__
    told = cause.details()
    assert 'display_name: there "", asked "Shop"' in told
    assert "expire_after: there 270 days, asked 400 days" in told
    assert "retention: there 90 days, asked 129600 seconds" in told
    assert "stale_after" not in told


@pytest.mark.timeout(60)  # The feed waits for transactions of other tests.
async def test_whoever_read_part_of_a_response_goes_on_with_the_next_event(
    registry: Registry,
) -> None:
    await registry.register(1, facts=None)
    async with watching(registry) as feed:
        await feed.events(1)
        start = feed.position
    for number in range(2, 7):
        await registry.register(number, facts=None)
    async with watching(registry, position=start) as feed:
        events = await feed.events(5)
    assert events[-1].position == feed.position
    for read in range(1, 5):
        async with watching(registry, position=events[read - 1].position) as again:
            assert await again.events(5 - read) == events[read:]
