"""WatchInstallations over real gRPC: where it begins, how it goes on, and how it ends.

A registration without facts is one event only.
"""

import asyncio
from contextlib import AsyncExitStack
from datetime import timedelta
from pathlib import Path

import pytest

from nuncio.registry.v1 import app_pb2, event_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.storage.feed import PostgresChangeFeed
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from nuncio_runtime.metrics import REGISTRY
from nuncio_runtime.postgres import open_pool
from tests.integration.registry.running import Registry, running_registry
from tests.integration.registry.watching import Feed, watching
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP, NOW, hex_token, key

# The feed waits for the oldest transaction of the server, and so for those of other tests.
pytestmark = pytest.mark.timeout(60)

WATCHERS = 30  # There are ten connections.


def numbers(events: list[event_pb2.InstallationEvent]) -> list[int]:
    return [int(event.installation_id.replace("-", ""), 16) for event in events]


async def test_a_watch_begins_with_the_oldest_event_and_goes_on(registry: Registry) -> None:
    await registry.register(1, facts=None)
    async with watching(registry) as feed:
        assert numbers(await feed.events(1)) == [1]
        await registry.register(2, facts=None)
        (event,) = await feed.events(1)
    assert event.kind == event_pb2.INSTALLATION_EVENT_KIND_REGISTERED
    assert event.installation_id == event.installation.installation_id == str(key(2))
    assert event.event_time == event.installation.create_time


async def test_a_watch_goes_on_where_another_one_ended(registry: Registry) -> None:
    async with watching(registry) as feed:
        await registry.register(1, facts=None)
        await feed.events(1)
    await registry.register(2, facts=None)
    await registry.register(3, facts=None)
    async with watching(registry, position=feed.position) as again:
        assert numbers(await again.events(2)) == [2, 3]


async def test_from_now_on_leaves_out_what_was_before(registry: Registry) -> None:
    await registry.register(1, facts=None)
    async with watching(registry) as before:
        await before.events(1)
    feed = Feed(registry, from_now=True)
    first = await feed.response()
    assert (list(first.events), first.position) == ([], before.position)
    await registry.register(2, facts=None)
    assert numbers(await feed.events(1)) == [2]
    feed.call.cancel()


async def test_a_silent_feed_gives_a_sign_of_life(registry: Registry) -> None:
    # The clock may go on after the first response was sent, and before it is here.
    began = registry.clock.monotonic()
    async with watching(registry, from_now=True) as feed:
        position = feed.position
        assert list((await feed.response()).events) == []
        assert feed.position == position
        assert registry.clock.monotonic() - began >= 10


@pytest.mark.parametrize(
    ("request_", "field"),
    [
        (pb.WatchInstallationsRequest(app_id=APP, position="now"), "position"),
        (pb.WatchInstallationsRequest(app_id=APP, position="x" * 201), "position"),
        (pb.WatchInstallationsRequest(), "app_id"),
    ],
)
async def test_a_bad_request_is_refused(
    registry: Registry, request_: pb.WatchInstallationsRequest, field: str
) -> None:
    with pytest.raises(RemoteError) as refused:
        await anext(aiter(registry.stub.WatchInstallations(request_)))
    assert refused.value.kind is Kind.INVALID_ARGUMENT
    assert refused.value.violations[0].field == field


async def test_a_position_is_good_in_its_app_only_and_not_with_from_now(
    registry: Registry,
) -> None:
    await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id="other")))
    async with watching(registry, from_now=True) as feed:
        position = feed.position
    for request, field in (
        (pb.WatchInstallationsRequest(app_id="other", position=position), "position"),
        (pb.WatchInstallationsRequest(app_id=APP, position=position, from_now=True), "from_now"),
    ):
        with pytest.raises(RemoteError) as refused:
            await anext(aiter(registry.stub.WatchInstallations(request)))
        assert refused.value.kind is Kind.INVALID_ARGUMENT
        assert refused.value.violations[0].field == field


async def test_an_unknown_app_has_no_feed(registry: Registry) -> None:
    with pytest.raises(RemoteError) as refused:
        await anext(
            aiter(registry.stub.WatchInstallations(pb.WatchInstallationsRequest(app_id="nobody")))
        )
    assert (refused.value.kind, refused.value.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")


async def test_a_position_whose_events_are_deleted_has_expired(tmp_path: Path) -> None:
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        running_registry(database, tmp_path) as registry,
        open_pool(database) as pool,
    ):
        await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
        async with watching(registry, from_now=True) as feed:
            start = feed.position
            await registry.register(1, facts=None)
            await feed.events(1)
        await pool.execute(
            "INSERT INTO bookmark SELECT app_id, 'flow', transaction_id, change_id FROM change"
            " ON CONFLICT (app_id, name) DO UPDATE SET transaction_id = excluded.transaction_id,"
            " change_id = excluded.change_id"
        )
        stored = PostgresChangeFeed(pool)
        assert await stored.delete_before(APP, time=NOW + timedelta(days=1), limit=10) == 1
        with pytest.raises(RemoteError) as ended:
            await Feed(registry, position=start).response()
        async with watching(registry, position=feed.position) as again:
            await registry.register(2, facts=None)
            assert numbers(await again.events(1)) == [2]
    assert (ended.value.kind, ended.value.reason) == (Kind.OUT_OF_RANGE, "POSITION_EXPIRED")
    assert ended.value.metadata == {"appId": APP}


async def test_a_server_that_stops_sends_its_watchers_on_at_once(tmp_path: Path) -> None:
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        running_registry(database, tmp_path) as registry,
    ):
        await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
        watched = pb.WatchInstallationsRequest(app_id=APP)
        responses = aiter(registry.stub.WatchInstallations(watched))
        await anext(responses)
        waiting = asyncio.ensure_future(anext(responses))
        registry.stop.set()
        with pytest.raises(RemoteError) as ended:
            await waiting
    assert ended.value.kind is Kind.UNAVAILABLE
    assert ended.value.retry_after == timedelta(seconds=1)  # Cut calls bring no such advice.


def open_watches() -> float:
    return REGISTRY.get_sample_value("registry_feed_watchers") or 0


async def test_many_watchers_leave_room_for_everybody_and_vanish_with_their_callers(
    registry: Registry,
) -> None:
    before = open_watches()
    async with AsyncExitStack() as stack:
        feeds = [
            await stack.enter_async_context(watching(registry, from_now=True))
            for _ in range(WATCHERS)
        ]
        assert open_watches() - before == WATCHERS
        await registry.register(1, hex_token(), facts=None)
        registry.clock.advance(1)
        seen = await asyncio.gather(*(feed.events(1) for feed in feeds))
    assert [numbers(events) for events in seen] == [[1]] * WATCHERS
    async with asyncio.timeout(5):
        while open_watches() > before:
            await registry.stub.GetApp(pb.GetAppRequest(app_id=APP))
