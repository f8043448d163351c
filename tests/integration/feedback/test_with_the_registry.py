"""Feedback and the real registry: which tokens go, and which stay."""

from base64 import b64encode
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from secrets import token_bytes, token_hex
from uuid import UUID, uuid4

import grpc
import pytest

from nuncio.common.v1.provider_pb2 import Platform
from nuncio.feedback.v1 import feedback_service_pb2 as feedback_pb
from nuncio.registry.v1 import app_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio.registry.v1.installation_pb2 import InstallationFacts, Permission
from nuncio.registry.v1.token_pb2 import InvalidationOutcome
from nuncio_feedback.domain.model import Verdict
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.errors import Kind
from tests.integration.feedback.neighbours import Client, running_feedback
from tests.support.postgres import fresh_database
from tests.support.services import running_service, service_process
from tests.unit.feedback.pages import Row, page_of

# Each test starts a process or two.
pytestmark = pytest.mark.timeout(40)

APP = "com.example.app"
INVALIDATED = InvalidationOutcome.INVALIDATION_OUTCOME_INVALIDATED
KEPT_NEWER = InvalidationOutcome.INVALIDATION_OUTCOME_KEPT_NEWER
ALREADY_DEAD = InvalidationOutcome.INVALIDATION_OUTCOME_ALREADY_DEAD
UNKNOWN = InvalidationOutcome.INVALIDATION_OUTCOME_UNKNOWN
PENDING = InvalidationOutcome.INVALIDATION_OUTCOME_UNSPECIFIED


@dataclass(frozen=True)
class Phone:
    """An installation with its token, and the name that the registry gave to the token."""

    installation_id: UUID
    token: str
    registered_at: datetime
    token_ref: bytes = b""

    def dead(self, *, since: datetime | None = None) -> Row:
        return Row(
            verdict=Verdict.TOKEN_DEAD,
            reason="Unregistered",
            installation_id=self.installation_id,
            token_ref=self.token_ref,
            sent_at=datetime.now(UTC),
            dead_since=since,
        )


class Registry:
    """Calls the registry as apps and dispatchers do."""

    def __init__(self, channel: grpc.aio.Channel) -> None:
        self._stub = rpc.RegistryServiceStub(channel)

    async def create_app(self) -> None:
        await self._stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))

    async def register(self, known: Phone | None = None) -> Phone:
        """A new phone, or a known one once more."""
        installation_id = known.installation_id if known else uuid4()
        token = known.token if known else token_hex(32)
        response = await self._stub.RegisterToken(
            pb.RegisterTokenRequest(
                app_id=APP,
                registration=pb.Registration(
                    installation_id=str(installation_id),
                    platform=Platform.PLATFORM_IOS,
                    token=token_pb2.Token(apns=token),
                    facts=InstallationFacts(permission=Permission.PERMISSION_GRANTED),
                ),
            )
        )
        registered_at = response.register_time.ToDatetime(UTC)
        refs = await self.targets()
        return Phone(installation_id, token, registered_at, refs[installation_id])

    async def restore(self, *, lane: str = "", campaign: str = "") -> tuple[int, int]:
        """How many invalidations of the last day there are, and how many were taken back."""
        request = pb.RestoreTokensRequest(app_id=APP, lane=lane, campaign=campaign)
        request.start_time.FromDatetime(datetime.now(UTC) - timedelta(days=1))
        response = await self._stub.RestoreTokens(request)
        return response.matched, response.restored

    async def targets(self) -> dict[UUID, bytes]:
        """The token_ref of each installation that the next dispatch would reach."""
        found: dict[UUID, bytes] = {}
        async for response in self._stub.SelectTargets(pb.SelectTargetsRequest(app_id=APP)):
            page = response.page
            for at in range(0, page.count * 16, 16):
                installation_id = UUID(bytes=page.installation_ids[at : at + 16])
                found[installation_id] = page.token_refs[at : at + 16]
        return found


@pytest.fixture
async def database() -> AsyncIterator[DatabaseSettings]:
    async with fresh_database("nuncio_feedback", "feedback") as settings:
        yield settings


@pytest.fixture
async def registry_database() -> AsyncIterator[DatabaseSettings]:
    async with fresh_database("nuncio_registry", "registry") as settings:
        yield settings


@pytest.fixture
def keys(tmp_path: Path) -> str:
    """The folder with the registry's keys, the same after a restart."""
    for name in ("seal-1.key", "lookup.key"):
        (tmp_path / name).write_bytes(b64encode(token_bytes(32)))
        (tmp_path / name).chmod(0o600)
    return str(tmp_path)


@pytest.fixture
async def target(registry_database: DatabaseSettings, keys: str) -> AsyncIterator[str]:
    async with running_service("registry", database=registry_database, KEYS__FOLDER=keys) as target:
        yield target


@pytest.fixture
async def registry(target: str) -> AsyncIterator[Registry]:
    async with connect(target) as channel:
        registry = Registry(channel)
        await registry.create_app()
        yield registry


@pytest.fixture
async def client(database: DatabaseSettings, target: str) -> AsyncIterator[Client]:
    async with running_feedback(database, registry=target) as channel:
        yield Client(channel)


async def test_a_dead_token_is_no_target_any_more(client: Client, registry: Registry) -> None:
    gone, alive = await registry.register(), await registry.register()
    await client.report(page_of(gone.dead()))
    await client.settled(INVALIDATED)
    assert set(await registry.targets()) == {alive.installation_id}


async def test_a_token_registered_again_after_its_death_survives(
    client: Client, registry: Registry
) -> None:
    phone = await registry.register()
    died = phone.registered_at + timedelta(microseconds=1)
    again = await registry.register(phone)
    assert again.registered_at > died
    await client.report(page_of(again.dead(since=died)))
    await client.settled(KEPT_NEWER)
    assert set(await registry.targets()) == {phone.installation_id}


async def test_what_a_lane_got_wrong_is_restored_by_lane_and_campaign(
    client: Client, registry: Registry
) -> None:
    phones = [await registry.register() for _ in range(3)]
    lanes = ["apns/shop/production", "apns/shop/production", "apns/shop/sandbox"]
    rows = [replace(phone.dead(), lane=lane) for phone, lane in zip(phones, lanes, strict=True)]
    await client.report(
        page_of(rows[0], rows[2], page_id="spring"),
        page_of(rows[1], page_id="summer", campaign="summer"),
    )
    await client.settled(INVALIDATED)
    assert await registry.restore(lane=lanes[0], campaign="spring") == (1, 1)
    assert set(await registry.targets()) == {phones[0].installation_id}
    assert await registry.restore(lane=lanes[0]) == (2, 1)
    assert await registry.restore() == (3, 1)
    assert len(await registry.targets()) == 3


async def test_a_test_never_invalidates(client: Client, registry: Registry) -> None:
    tested, gone = await registry.register(), await registry.register()
    await client.report(
        page_of(tested.dead(), page_id="test", test=True),
        page_of(gone.dead(), page_id="real"),
    )
    report = await client.settled(INVALIDATED)
    assert [kind.count for kind in report.invalidations] == [1]
    assert set(await registry.targets()) == {tested.installation_id}


async def test_a_token_that_two_dispatches_found_dead_dies_once(
    client: Client, registry: Registry
) -> None:
    phone = await registry.register()
    await client.report(page_of(phone.dead(), page_id="first", dispatch_id=UUID(int=1)))
    await client.settled(INVALIDATED)
    await client.report(page_of(phone.dead(), page_id="second", dispatch_id=UUID(int=2)))
    await client.settled(INVALIDATED, ALREADY_DEAD)


async def test_a_token_that_is_dead_twice_in_one_batch_settles(
    client: Client, registry: Registry
) -> None:
    phone = await registry.register()
    await client.report(page_of(phone.dead(), phone.dead()))
    report = await client.settled(INVALIDATED, ALREADY_DEAD)
    assert sum(kind.count for kind in report.invalidations) == 2
    assert await registry.targets() == {}


async def test_an_app_that_is_not_known_settles_as_unknown(
    client: Client, registry: Registry
) -> None:
    phone = await registry.register()
    await client.report(page_of(phone.dead(), app_id="com.example.other"))
    report = await client.settled(UNKNOWN, app_id="com.example.other")
    assert [kind.count for kind in report.invalidations] == [1]
    assert set(await registry.targets()) == {phone.installation_id}


async def test_reports_and_lists_of_an_unknown_app_are_not_found(
    client: Client, registry: Registry
) -> None:
    await registry.register()
    assert await client.campaign("never sent") == feedback_pb.GetCampaignReportResponse()
    for call in (
        client.stub.GetCampaignReport(
            feedback_pb.GetCampaignReportRequest(app_id="nowhere", campaign="spring")
        ),
        client.stub.ListInvalidations(feedback_pb.ListInvalidationsRequest(app_id="nowhere")),
    ):
        with pytest.raises(RemoteError) as refusal:
            await call
        assert (refusal.value.kind, refusal.value.reason) == (Kind.NOT_FOUND, "APP_NOT_FOUND")
        assert refusal.value.metadata == {"appId": "nowhere"}


async def test_an_outage_of_the_registry_loses_nothing(
    database: DatabaseSettings, registry_database: DatabaseSettings, keys: str
) -> None:
    async with service_process(
        "registry", database=registry_database, KEYS__FOLDER=keys
    ) as process:
        target = process.target
        async with connect(target) as channel:
            registry = Registry(channel)
            await registry.create_app()
            phone = await registry.register()
        await process.kill()
    async with running_feedback(database, registry=target) as channel:
        client = Client(channel)
        await client.report(page_of(phone.dead()))
        await client.settled(PENDING)
        async with (
            running_service(
                "registry",
                database=registry_database,
                KEYS__FOLDER=keys,
                SERVER__LISTEN=target,
            ),
            connect(target) as back,
        ):
            await client.settled(INVALIDATED)
            assert await Registry(back).targets() == {}
