"""SendDirect over real gRPC, with a scripted lane behind it."""

from collections.abc import AsyncIterator, Sequence
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from nuncio.common.v1 import error_reason_pb2
from nuncio.common.v1.provider_pb2 import ENVIRONMENT_SANDBOX
from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import dispatcher_service_pb2_grpc as rpc
from nuncio.dispatcher.v1 import message_pb2
from nuncio.feedback.v1 import outcome_pb2
from nuncio_dispatcher.api.servicer import DispatcherServicer
from nuncio_dispatcher.domain.browse import Browse
from nuncio_dispatcher.domain.create import Create
from nuncio_dispatcher.domain.direct import Direct
from nuncio_dispatcher.domain.lane_status import CredentialCheck, LaneStatus, Reloaded
from nuncio_dispatcher.domain.lanes import LaneDesk
from nuncio_dispatcher.domain.model import Environment, Provider, Verdict
from nuncio_dispatcher.domain.watch import Changes, Watch
from nuncio_dispatcher.storage.postgres import PostgresDispatches
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.clock import SYSTEM_CLOCK
from nuncio_runtime.errors import Kind
from nuncio_runtime.serve import Mount
from tests.integration.dispatcher.calls import Stub
from tests.integration.dispatcher.scripted import ScriptedLanes, ScriptedTargeting
from tests.integration.runtime.running import running


class NoBook:
    """Stands for lanes that no operator asks about."""

    def lanes(self, _app_id: str = "") -> Sequence[LaneStatus]:
        return ()

    async def check(
        self, _app_id: str, _provider: Provider | None, _environment: Environment | None
    ) -> Sequence[CredentialCheck]:
        return ()

    def reload(self) -> Reloaded:
        raise NotImplementedError


@pytest.fixture
def lanes() -> ScriptedLanes:
    return ScriptedLanes()


@pytest.fixture
async def stub(pool: "asyncpg.Pool[asyncpg.Record]", lanes: ScriptedLanes) -> AsyncIterator[Stub]:
    """The dispatcher's service without its runner: nothing is sent but what is sent directly."""
    dispatches, targeting = PostgresDispatches(pool), ScriptedTargeting(0)
    create = Create(
        dispatches, targeting, lanes, clock=SYSTEM_CLOCK, shards=1, created=lambda _: None
    )
    servicer = DispatcherServicer(
        dispatches,
        create,
        Browse(dispatches, targeting),
        Watch(dispatches, Changes(), SYSTEM_CLOCK),
        Direct(lanes, clock=SYSTEM_CLOCK),
        LaneDesk(NoBook()),
    )
    service = pb.DESCRIPTOR.services_by_name["DispatcherService"]
    mount = Mount(rpc.add_DispatcherServiceServicer_to_server, servicer, service)
    async with running([mount]) as target, connect(target) as channel:
        yield rpc.DispatcherServiceStub(channel)


def request(**fields: Any) -> pb.SendDirectRequest:
    fields.setdefault("destination", pb.Destination(fcm=pb.FcmDestination(fid="installation-7")))
    fields.setdefault("message", message_pb2.Message(title="Hello"))
    return pb.SendDirectRequest(app_id="shop", **fields)


async def refusal(stub: Stub, wanted: pb.SendDirectRequest) -> RemoteError:
    with pytest.raises(RemoteError) as caught:
        await stub.SendDirect(wanted)
    return caught.value


async def test_the_verdict_of_the_attempt_is_the_answer(stub: Stub, lanes: ScriptedLanes) -> None:
    request_id = uuid4()
    lanes.verdict = lambda _number, _before: Verdict.REFUSED
    answer = await stub.SendDirect(request(request_id=str(request_id).upper()))
    assert (answer.verdict, answer.reason) == (outcome_pb2.VERDICT_REFUSED, "REFUSED")
    assert answer.request_id == str(request_id)
    assert not answer.HasField("dead_since")
    assert lanes.ids == {7: [request_id]}


async def test_the_caller_repeats_what_it_wants_repeated(stub: Stub, lanes: ScriptedLanes) -> None:
    lanes.verdict = lambda _number, before: Verdict.ACCEPTED if before else Verdict.RETRY
    first = await stub.SendDirect(request())
    again = await stub.SendDirect(request(request_id=first.request_id))
    assert first.verdict == outcome_pb2.VERDICT_RETRY
    assert again.verdict == outcome_pb2.VERDICT_ACCEPTED
    assert lanes.ids == {7: [UUID(first.request_id)] * 2}


async def test_a_deadline_ends_in_an_answer(stub: Stub, lanes: ScriptedLanes) -> None:
    lanes.may_answer.clear()
    answer = await stub.SendDirect(request(), timeout=3)
    assert (answer.verdict, answer.reason) == (outcome_pb2.VERDICT_UNKNOWN, "CUT")


async def test_rules_are_named_by_the_callers_own_path_on_a_stream(stub: Stub) -> None:
    wanted = pb.CreateDispatchRequest(app_id="shop", client_ref="r")
    wanted.message.apns.expire_time.seconds = -1
    wanted.audience.expression = "all()"
    with pytest.raises(RemoteError) as caught:
        await stub.CreateDispatch(wanted)
    field = "message.apns.expire_time"
    assert [broken.field for broken in caught.value.violations] == [field]
    commands = [pb.DispatchRequest(command_id="c", create=wanted)]
    (event,) = [event async for event in stub.Dispatch(iter(commands))]
    assert event.refused.reason == error_reason_pb2.ERROR_REASON_INVALID_FIELD
    assert event.refused.metadata["field"] == f"create.{field}"


async def test_nothing_of_it_is_kept(
    stub: Stub, lanes: ScriptedLanes, pool: "asyncpg.Pool[asyncpg.Record]"
) -> None:
    lanes.verdict = lambda _number, _before: Verdict.TOKEN_DEAD
    assert (await stub.SendDirect(request())).verdict == outcome_pb2.VERDICT_TOKEN_DEAD
    for table in ("dispatch", "shard", "page", "tally"):
        assert await pool.fetchval(f"SELECT count(*) FROM {table}") == 0  # noqa: S608


@pytest.mark.parametrize(
    ("wanted", "field"),
    [
        (request(request_id="7"), "request_id"),
        (request(destination=pb.Destination()), "destination.provider"),
        (request(destination=None), "destination"),
        (request(message=None), "message"),
        (
            request(destination=pb.Destination(apns=pb.ApnsDestination(token="0f0"))),
            "destination.apns.token",
        ),
        (
            request(destination=pb.Destination(apns=pb.ApnsDestination(environment=ENVIRONMENT_SANDBOX))),
            "destination.apns.address",
        ),
        (
            request(destination=pb.Destination(fcm=pb.FcmDestination(topic="/topics/news"))),
            "destination.fcm.topic",
        ),
        (
            request(destination=pb.Destination(fcm=pb.FcmDestination(condition="true"))),
            "destination.fcm.condition",
        ),
        (
            request(
                destination=pb.Destination(
                    web_push=pb.WebPushDestination(
                        endpoint="http://p", p256dh=b"\x04" * 65, auth=b"a" * 16
                    )
                )
            ),
            "destination.web_push.endpoint",
        ),
        (
            request(message=message_pb2.Message(apns=message_pb2.ApnsOverrides(priority=7))),
            "message.apns.priority",
        ),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)  # fmt: skip
async def test_a_wrong_request_is_refused_with_field_and_rule(
    stub: Stub, lanes: ScriptedLanes, wanted: pb.SendDirectRequest, field: str
) -> None:
    error = await refusal(stub, wanted)
    assert (error.kind, error.reason) == (Kind.INVALID_ARGUMENT, "INVALID_FIELD")
    assert [violation.field for violation in error.violations] == [field]
    assert lanes.ids == {}


@pytest.mark.parametrize("cause", ["NO_CREDENTIAL", "BAD_CREDENTIAL"])
async def test_without_a_credential_the_call_fails(
    stub: Stub, lanes: ScriptedLanes, cause: str
) -> None:
    lanes.verdict = lambda _number, _before: Verdict.MISCONFIGURED
    lanes.reason = cause
    error = await refusal(stub, request())
    assert (error.kind, error.reason) == (Kind.FAILED_PRECONDITION, "CREDENTIAL_UNUSABLE")
    assert error.metadata == {
        "appId": "shop",
        "provider": "fcm",
        "environment": "production",
        "cause": cause,
    }
