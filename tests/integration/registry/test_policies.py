"""Policies, their preview and their work, and the statistics, over real gRPC."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from google.protobuf.duration_pb2 import Duration

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import app_pb2, installation_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.registry.running import Registry, running_registry, timestamp
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP

# The feed waits for the oldest transaction of the server, and so for those of other tests.
pytestmark = pytest.mark.timeout(60)

DAY = 86_400
GRANTED = installation_pb2.CONSENT_STATE_GRANTED
EXPIRED = token_pb2.TOKEN_STATE_EXPIRED


def days(count: float) -> Duration:
    return Duration(seconds=round(count * DAY))


async def in_time(registry: Registry, done: Callable[[], Awaitable[bool]]) -> None:
    """Let seconds pass, as the leader counts them, until it is so."""
    while not await done():
        registry.clock.advance(6)
        await asyncio.sleep(0.02)


async def stats(registry: Registry, count: int = 0) -> pb.GetRegistryStatsResponse:
    return await registry.stub.GetRegistryStats(pb.GetRegistryStatsRequest(app_id=APP, days=count))


async def register_seen(registry: Registry, number: int, *, days_ago: float) -> None:
    facts = installation_pb2.InstallationFacts(
        permission=installation_pb2.PERMISSION_GRANTED,
        app_version="2.0",
        last_seen=timestamp(registry.clock, seconds=-days_ago * DAY),
    )
    await registry.register(number, facts=facts)


async def test_an_app_has_policies_unless_told(registry: Registry) -> None:
    app = (await registry.stub.GetApp(pb.GetAppRequest(app_id=APP))).app
    assert app.expire_after.ToTimedelta() == timedelta(days=270)
    assert app.retention.ToTimedelta() == timedelta(days=90)


async def test_an_update_changes_what_is_set(registry: Registry) -> None:
    request = pb.UpdateAppRequest(app_id=APP, expire_after=days(60), display_name="Shop")
    first = (await registry.stub.UpdateApp(request)).app
    renamed = await registry.stub.UpdateApp(pb.UpdateAppRequest(app_id=APP, display_name=""))
    assert (first.display_name, renamed.app.display_name) == ("Shop", "")
    assert renamed.app.expire_after == days(60)
    assert renamed.app.stale_after == days(30)
    assert renamed.app == (await registry.stub.GetApp(pb.GetAppRequest(app_id=APP))).app


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.UpdateAppRequest(app_id=APP, stale_after=days(270)), "stale_after"),
        (pb.UpdateAppRequest(app_id=APP, expire_after=days(30)), "expire_after"),
        (pb.UpdateAppRequest(app_id=APP, retention=days(0.5)), "retention"),
        (pb.UpdateAppRequest(app_id=APP, retention=days(36_501)), "retention"),
        (pb.UpdateAppRequest(app_id=APP, retention=Duration(seconds=10**17)), "retention"),
    ],
)
async def test_bad_policies_are_refused(
    registry: Registry, request_: pb.UpdateAppRequest, field: str
) -> None:
    before = (await registry.stub.GetApp(pb.GetAppRequest(app_id=APP))).app
    with pytest.raises(RemoteError) as refused:
        await registry.stub.UpdateApp(request_)
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert refused.value.violations[0].field == field
    assert before == (await registry.stub.GetApp(pb.GetAppRequest(app_id=APP))).app


async def test_an_app_with_installations_stays(registry: Registry) -> None:
    await registry.register()
    with pytest.raises(RemoteError) as refused:
        await registry.stub.DeleteApp(pb.DeleteAppRequest(app_id=APP))
    assert refused.value.kind is Kind.FAILED_PRECONDITION
    assert (refused.value.reason, refused.value.metadata) == ("APP_NOT_EMPTY", {"appId": APP})


async def test_an_empty_app_is_deleted_and_takes_no_registrations(registry: Registry) -> None:
    deleted = [
        (await registry.stub.DeleteApp(pb.DeleteAppRequest(app_id=APP))).deleted for _ in range(2)
    ]
    assert deleted == [True, False]
    with pytest.raises(RemoteError) as refused:
        await registry.register()
    assert refused.value.reason == "APP_NOT_FOUND"
    await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
    await registry.register()


async def test_the_calls_name_an_unknown_app(registry: Registry) -> None:
    for call in (
        registry.stub.UpdateApp(pb.UpdateAppRequest(app_id="nobody")),
        registry.stub.PreviewHygiene(pb.PreviewHygieneRequest(app_id="nobody")),
        registry.stub.GetRegistryStats(pb.GetRegistryStatsRequest(app_id="nobody")),
    ):
        with pytest.raises(RemoteError) as refused:
            await call
        assert refused.value.reason == "APP_NOT_FOUND"


async def test_a_preview_counts_and_the_leader_does_it(registry: Registry) -> None:
    await register_seen(registry, 1, days_ago=1)
    await register_seen(registry, 2, days_ago=40)
    await register_seen(registry, 3, days_ago=80)

    async def preview(**tried: Duration) -> pb.HygieneCount:
        request = pb.PreviewHygieneRequest(app_id=APP, **tried)
        (counts,) = (await registry.stub.PreviewHygiene(request)).counts
        return counts

    ios = provider_pb2.PLATFORM_IOS
    assert await preview() == pb.HygieneCount(platform=ios, active=3, stale=2)
    tried = await preview(stale_after=days(50), expire_after=days(60))
    assert tried == pb.HygieneCount(platform=ios, active=3, stale=1, expiring=1)
    with pytest.raises(RemoteError) as refused:
        await preview(expire_after=days(20))
    assert refused.value.violations[0].field == "expire_after"
    update = pb.UpdateAppRequest(app_id=APP, stale_after=days(50), expire_after=days(60))
    await registry.stub.UpdateApp(update)
    registry.clock.advance(3_600)

    async def expired() -> bool:
        return (await stats(registry)).stock.expired == 1

    await in_time(registry, expired)
    assert (await registry.installation(3)).token_state == EXPIRED
    assert (await registry.installation(3)).token_state_reason == "expired"
    assert await registry.selected() == [1, 2]
    assert (await preview()).expiring == 0


async def test_statistics_tell_what_there_is_and_what_happened(registry: Registry) -> None:
    consent = installation_pb2.ConsentChange(
        purpose="news", state=GRANTED, prompt_strategy="banner"
    )
    await register_seen(registry, 1, days_ago=40)
    await registry.register(2, consents=[consent], user_id="ada")
    denied = installation_pb2.InstallationFacts(permission=installation_pb2.PERMISSION_DENIED)
    await registry.register(3, user_id="ada", facts=denied)

    async def counted() -> bool:
        told = await stats(registry)
        return told.stock.active == 3 and told.days[-1].registered == 3

    await in_time(registry, counted)
    told = await stats(registry, 2)
    stock, (yesterday, today) = told.stock, told.days
    assert (stock.installations, stock.validity_rate, stock.stale) == (3, 1.0, 1)
    assert stock.stale_share == pytest.approx(1 / 3)
    assert [
        (each.app_version, each.active, each.permitted, each.rate) for each in stock.opt_ins
    ] == [
        ("", 2, 1, 0.5),
        ("2.0", 1, 1, 1.0),
    ]
    (prompt,) = stock.prompts
    assert (prompt.purpose, prompt.prompt_strategy, prompt.rate) == ("news", "banner", 1.0)
    assert [(each.installations, each.users) for each in stock.users] == [(2, 1)]
    assert today.day == registry.clock.now().date().isoformat()
    assert (today.active, today.registered, today.consents_granted) == (3, 3, 1)
    # Who came without permission has withdrawn none.
    assert (today.permissions_denied, today.expired) == (0, 0)
    assert (yesterday.active, yesterday.registered) == (0, 0)


async def test_every_day_of_the_period_is_there(registry: Registry) -> None:
    today = registry.clock.now().date()
    for asked, given in ((0, 30), (1, 1), (400, 400)):
        told = [day.day for day in (await stats(registry, asked)).days]
        first = today - timedelta(days=given - 1)
        assert told == [(first + timedelta(days=n)).isoformat() for n in range(given)]
    with pytest.raises(RemoteError) as refused:
        await stats(registry, 401)
    assert refused.value.violations[0].field == "days"


async def test_nothing_counted_is_told_as_such(registry: Registry) -> None:
    assert not (await stats(registry)).stock.HasField("count_time")


async def test_another_replica_takes_the_lead_over(tmp_path: Path) -> None:
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        AsyncExitStack() as first_stack,
    ):
        first = await first_stack.enter_async_context(running_registry(database, tmp_path))
        await first.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
        await first.register(1)
        await in_time(first, partial(has_registered, first, 1))
        async with running_registry(database, tmp_path) as second:
            await first_stack.aclose()
            await second.register(2)
            await in_time(second, partial(has_registered, second, 2))


async def has_registered(registry: Registry, count: int) -> bool:
    return (await stats(registry)).days[-1].registered == count
