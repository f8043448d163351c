"""ListLanes, CheckCredential and ReloadCredentials over real gRPC, and the commands for them."""

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Sequence
from pathlib import Path

import asyncpg
import pytest

from nuncio.common.v1 import provider_pb2
from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import dispatcher_service_pb2_grpc as rpc
from nuncio.dispatcher.v1 import lane_pb2
from nuncio_dispatcher.api.servicer import DispatcherServicer
from nuncio_dispatcher.domain.browse import Browse
from nuncio_dispatcher.domain.create import Create
from nuncio_dispatcher.domain.direct import Direct
from nuncio_dispatcher.domain.lanes import LaneDesk
from nuncio_dispatcher.domain.model import Environment, Platform, Provider
from nuncio_dispatcher.domain.watch import Changes, Watch
from nuncio_dispatcher.providers.book import FolderBook
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_dispatcher.storage.postgres import PostgresDispatches
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.clock import SYSTEM_CLOCK
from nuncio_runtime.errors import Kind
from nuncio_runtime.serve import Mount
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.calls import Stub
from tests.integration.dispatcher.providers.sending import APP, MESSAGE, plain, rows, soon
from tests.integration.dispatcher.scripted import ScriptedTargeting
from tests.integration.runtime.running import running

APNS, PRODUCTION = provider_pb2.PROVIDER_APNS, provider_pb2.ENVIRONMENT_PRODUCTION


@pytest.fixture
def transport() -> str:
    """These calls are the same over every transport."""
    return "multiplex"


@pytest.fixture
async def target(pool: "asyncpg.Pool[asyncpg.Record]", lanes: FolderLanes) -> AsyncIterator[str]:
    """Where the dispatcher's service listens, with lanes to the simulator and without a runner."""
    dispatches, targeting = PostgresDispatches(pool), ScriptedTargeting(0)
    servicer = DispatcherServicer(
        dispatches,
        Create(dispatches, targeting, lanes, clock=SYSTEM_CLOCK, shards=1, created=lambda _: None),
        Browse(dispatches, targeting),
        Watch(dispatches, Changes(), SYSTEM_CLOCK),
        Direct(lanes, clock=SYSTEM_CLOCK),
        LaneDesk(FolderBook(lanes, clock=SYSTEM_CLOCK)),
    )
    service = pb.DESCRIPTOR.services_by_name["DispatcherService"]
    mount = Mount(rpc.add_DispatcherServiceServicer_to_server, servicer, service)
    async with running([mount]) as address:
        yield address


@pytest.fixture
async def stub(target: str) -> AsyncIterator[Stub]:
    async with connect(target) as channel:
        yield rpc.DispatcherServiceStub(channel)


async def refusal(call: Awaitable[object]) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await call
    return caught.value


async def refuse_apns(simulator: Simulator, lanes: FolderLanes) -> None:
    """The credential is refused from now on, and the lane has noticed."""
    fault = Fault(provider=ProviderName.APNS, kind=FaultKind.CREDENTIAL)
    await simulator.admin.fault(fault)
    minted = await simulator.admin.mint(ProviderName.APNS, 1)
    lane = lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)
    await lane.send(MESSAGE, rows(plain(minted.tokens), Platform.IOS), expires_at=soon())


async def nuncio(*words: str) -> tuple[int | None, str, str]:
    """Run a command; exit code, stdout and stderr."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nuncio_cli", *words),
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate()
    return process.returncode, out.decode(), err.decode()


async def test_lanes_come_with_their_state(
    stub: Stub, simulator: Simulator, lanes: FolderLanes
) -> None:
    await refuse_apns(simulator, lanes)
    found = (await stub.ListLanes(pb.ListLanesRequest(app_id=APP))).lanes
    paused, *others = found
    assert (paused.provider, paused.environment) == (APNS, PRODUCTION)
    assert (paused.state, paused.reason) == (lane_pb2.LANE_STATE_PAUSED, "InvalidProviderToken")
    assert paused.HasField("since_time")
    assert paused.HasField("next_probe_time")
    assert (paused.answers.accepted, paused.answers.refused) == (0, 1)
    assert paused.credential.team_id == simulator.apns.team_id
    assert not paused.HasField("rate")
    assert {lane.state for lane in others} == {lane_pb2.LANE_STATE_READY}
    (fcm,) = (lane for lane in others if lane.provider == provider_pb2.PROVIDER_FCM)
    assert (fcm.rate, fcm.allowed_rate) == (10_000, 10_000)


async def test_lanes_are_listed_in_pages(stub: Stub) -> None:
    request, seen = pb.ListLanesRequest(page_size=3), list[tuple[int, int]]()
    for count in (3, 1):
        page = await stub.ListLanes(request)
        assert len(page.lanes) == count
        seen += [(lane.provider, lane.environment) for lane in page.lanes]
        request.page_token = page.next_page_token
    assert request.page_token == ""
    assert seen == sorted(set(seen))


async def test_a_page_token_belongs_to_its_list(stub: Stub) -> None:
    page = await stub.ListLanes(pb.ListLanesRequest(page_size=1))
    other = pb.ListLanesRequest(app_id=APP, page_token=page.next_page_token)
    assert (await refusal(stub.ListLanes(other))).reason == "PAGE_TOKEN_MISMATCH"


@pytest.mark.parametrize("app_id", ["com.example.other", "../outside"])
async def test_an_app_without_a_file_is_not_found(stub: Stub, app_id: str) -> None:
    for call in (
        stub.ListLanes(pb.ListLanesRequest(app_id=app_id)),
        stub.CheckCredential(pb.CheckCredentialRequest(app_id=app_id)),
    ):
        error = await refusal(call)
        assert (error.kind, error.reason) == (Kind.NOT_FOUND, "CREDENTIAL_NOT_FOUND")
        assert error.metadata == {"appId": app_id}


async def test_a_check_says_every_step(stub: Stub) -> None:
    request = pb.CheckCredentialRequest(app_id=APP, provider=APNS, environment=PRODUCTION)
    (check,) = (await stub.CheckCredential(request)).checks
    assert (check.provider, check.environment) == (APNS, PRODUCTION)
    assert [step.kind for step in check.steps] == [1, 2, 3, 4, 5]
    *others, acceptance = (step.result for step in check.steps)
    assert set(others) == {lane_pb2.CHECK_RESULT_OK}
    assert acceptance == lane_pb2.CHECK_RESULT_SKIPPED, "the simulator's order does not tell"
    assert check.credential.kind == lane_pb2.CREDENTIAL_KIND_PROVIDER_TOKEN


@pytest.mark.parametrize(
    "request_",
    [
        pb.CheckCredentialRequest(),
        pb.CheckCredentialRequest(app_id=APP, provider=provider_pb2.Provider.ValueType(99)),
    ],
    ids=["no app", "no such provider"],
)
async def test_a_wrong_request_is_refused(stub: Stub, request_: pb.CheckCredentialRequest) -> None:
    error = await refusal(stub.CheckCredential(request_))
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "INVALID_FIELD")


async def test_a_reload_names_lanes(stub: Stub, tmp_path: Path) -> None:
    first = await stub.ReloadCredentials(pb.ReloadCredentialsRequest())
    assert f"apns/{APP}/production" in first.made
    (tmp_path / "broken.toml").write_text("[fcm]\n")
    second = await stub.ReloadCredentials(pb.ReloadCredentialsRequest())
    assert (list(second.made), list(second.let_go)) == ([], [])
    assert list(second.unchanged) == sorted(first.made)
    (problem,) = second.problems
    assert problem.startswith("broken.toml: fcm")


async def test_the_commands_show_lanes(
    target: str, simulator: Simulator, lanes: FolderLanes
) -> None:
    await refuse_apns(simulator, lanes)
    code, out, err = await nuncio("lanes", "--dispatcher", target)
    assert (code, err) == (0, "")
    (line,) = (line for line in out.splitlines() if f"apns/{APP}/production" in line)
    assert "paused" in line
    assert "InvalidProviderToken" in line
    code, out, _ = await nuncio("lanes", "--dispatcher", target, "--app", APP, "--json")
    documents: Sequence[dict[str, object]] = [json.loads(line) for line in out.splitlines()]
    assert [each["state"] for each in documents] == ["paused", "ready", "ready", "ready"]
    assert documents[0]["answers"] == {"accepted": 0, "refused": 1, "failed": 0}


async def test_the_command_for_a_check_fails_when_a_step_does(
    target: str, simulator: Simulator
) -> None:
    words = ("credentials", "check", APP, "--dispatcher", target, "--provider")
    code, out, _ = await nuncio(*words, "web-push")
    assert code == 0
    assert "skipped acceptance" in out
    await simulator.admin.fault(Fault(provider=ProviderName.APNS, kind=FaultKind.CREDENTIAL))
    code, out, _ = await nuncio(*words, "apns", "--environment", "production", "--json")
    assert code == 1
    (check,) = json.loads(out)["checks"]
    assert [step["result"] for step in check["steps"]] == ["ok"] * 4 + ["failed"]


async def test_the_command_for_a_check_knows_its_words(target: str) -> None:
    code, _, err = await nuncio(
        "credentials", "check", APP, "--dispatcher", target, "--provider", "gcm"
    )
    assert code == 2
    assert "apns, fcm, web_push" in err


async def test_the_command_for_a_reload_says_what_changed(target: str) -> None:
    code, out, _ = await nuncio("credentials", "reload", "--dispatcher", target)
    assert code == 0
    assert f"made       apns/{APP}/production" in out
    code, out, _ = await nuncio("credentials", "reload", "--dispatcher", target, "--json")
    assert (code, json.loads(out)["made"], len(json.loads(out)["unchanged"])) == (0, [], 4)
