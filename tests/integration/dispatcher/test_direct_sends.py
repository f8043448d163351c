"""Direct sends through the real service and the simulated providers."""

import asyncio
import base64
import json
import sys
from asyncio.subprocess import PIPE
from collections.abc import AsyncIterator
from uuid import uuid4

import pytest
import pytest_asyncio
from google.protobuf import json_format

from nuncio.common.v1.provider_pb2 import PLATFORM_ANDROID
from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import dispatcher_service_pb2_grpc as rpc
from nuncio.dispatcher.v1 import message_pb2
from nuncio.feedback.v1 import outcome_pb2
from nuncio.registry.v1 import token_pb2
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.errors import Kind
from nuncio_simulator.contract import Mintable, ProviderName, Shares
from tests.integration.dispatcher.calls import Stub
from tests.integration.dispatcher.neighbourhood import APP, DIRECT_APP, PROVIDERS, Neighbourhood
from tests.support.postgres import fresh_database
from tests.support.services import running_service

pytestmark = [pytest.mark.asyncio(loop_scope="package"), pytest.mark.timeout(60)]

ALIVE = Shares(dead=0, dead_before=0, throttled=0, slow=0)
ALL_DEAD = Shares(dead=1, dead_before=0, throttled=0, slow=0)


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def target(around: Neighbourhood) -> AsyncIterator[str]:
    """A dispatcher of its own process, with a new database."""
    async with (
        fresh_database("nuncio_dispatcher", "dispatcher") as database,
        running_service("dispatcher", database=database, **around.settings()) as target,
    ):
        yield target


@pytest_asyncio.fixture(scope="module", loop_scope="package")
async def stub(target: str) -> AsyncIterator[Stub]:
    async with connect(target) as channel:
        yield rpc.DispatcherServiceStub(channel)


def request(
    destination: pb.Destination, message: message_pb2.Message | None = None, *, app_id: str = APP
) -> pb.SendDirectRequest:
    return pb.SendDirectRequest(
        app_id=app_id,
        request_id=str(uuid4()),
        message=message or message_pb2.Message(title="Hello"),
        destination=destination,
    )


async def minted(
    around: Neighbourhood, provider: Mintable, *, shares: Shares = ALIVE
) -> tuple[str, pb.Destination]:
    """A new address that the registry knows nothing of."""
    topic = APP if provider is ProviderName.APNS else None
    found = await around.simulator.admin.mint(provider, 1, shares=shares, topic=topic)
    if provider is ProviderName.WEBPUSH:
        (subscription,) = found.subscriptions
        web_push = pb.WebPushDestination(
            endpoint=subscription.endpoint,
            p256dh=_decoded(subscription.p256dh),
            auth=_decoded(subscription.auth),
        )
        return subscription.endpoint, pb.Destination(web_push=web_push)
    (token,) = found.tokens
    if provider is ProviderName.APNS:
        return token, pb.Destination(apns=pb.ApnsDestination(token=token))
    fcm = pb.FcmDestination(token=token, platform=PLATFORM_ANDROID)
    return token, pb.Destination(fcm=fcm)


def _decoded(text: str) -> bytes:
    return base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))


@pytest.mark.parametrize("provider", PROVIDERS)
async def test_each_provider_takes_a_message_for_one(
    around: Neighbourhood, stub: Stub, provider: Mintable
) -> None:
    address, destination = await minted(around, provider)
    wanted = request(destination)
    answer = await stub.SendDirect(wanted)
    assert (answer.verdict, answer.reason) == (outcome_pb2.VERDICT_ACCEPTED, "")
    assert answer.request_id == wanted.request_id
    assert await around.accepted(provider, [address]) == [1]


async def test_fcm_takes_a_message_without_a_platform(around: Neighbourhood, stub: Stub) -> None:
    address, destination = await minted(around, ProviderName.FCM)
    destination.fcm.ClearField("platform")
    answer = await stub.SendDirect(request(destination))
    assert answer.verdict == outcome_pb2.VERDICT_ACCEPTED
    assert await around.accepted(ProviderName.FCM, [address]) == [1]


async def test_the_request_id_is_the_apns_id(around: Neighbourhood, stub: Stub) -> None:
    _, destination = await minted(around, ProviderName.APNS)
    wanted = request(destination)
    await stub.SendDirect(wanted)
    ledger = await around.simulator.admin.ledger(ProviderName.APNS)
    assert wanted.request_id in ledger.accepted_ids


async def test_a_dead_token_is_told_and_kept(around: Neighbourhood, stub: Stub) -> None:
    (dead,) = await around.install(ProviderName.APNS, 1, app_id=DIRECT_APP, shares=ALL_DEAD)
    destination = pb.Destination(apns=pb.ApnsDestination(token=dead))
    answer = await stub.SendDirect(request(destination, app_id=DIRECT_APP))
    assert (answer.verdict, answer.reason) == (outcome_pb2.VERDICT_TOKEN_DEAD, "Unregistered")
    assert answer.HasField("dead_since")
    states = {each.token_state for each in await around.installations(DIRECT_APP)}
    assert states == {token_pb2.TOKEN_STATE_ACTIVE}


async def test_an_app_without_a_credential_is_told_so(around: Neighbourhood, stub: Stub) -> None:
    _, destination = await minted(around, ProviderName.FCM)
    with pytest.raises(RemoteError) as caught:
        await stub.SendDirect(request(destination, app_id="nobody"))
    error = caught.value
    assert (error.kind, error.reason) == (Kind.FAILED_PRECONDITION, "CREDENTIAL_UNUSABLE")
    assert error.metadata["cause"] == "NO_CREDENTIAL"


async def nuncio(*arguments: str, stdin: str = "") -> tuple[int, str]:
    """Exit code and stdout of a command."""
    command = [sys.executable, "-m", "nuncio_cli", *arguments]
    process = await asyncio.create_subprocess_exec(*command, stdin=PIPE, stdout=PIPE, stderr=PIPE)
    out, _ = await process.communicate(stdin.encode())
    assert process.returncode is not None
    return process.returncode, out.decode()


async def test_the_command_line_prints_the_verdict(around: Neighbourhood, target: str) -> None:
    _, destination = await minted(around, ProviderName.APNS)
    to, here = json_format.MessageToJson(destination), ("--app", APP, "--dispatcher", target)
    arguments = ("send-direct", *here, "--to", "-", "--title", "Hello")
    code, out = await nuncio(*arguments, stdin=to)
    assert (code, out.startswith("accepted  request ")) == (0, True)
    destination.apns.token = "00ff"
    to = json_format.MessageToJson(destination)
    code, out = await nuncio(*arguments, "--json", stdin=to)
    document = json.loads(out)
    assert (code, document["verdict"], document["reason"]) == (
        1,
        "token_doubtful",
        "BadDeviceToken",
    )


async def test_what_the_provider_would_refuse_is_named_before(
    around: Neighbourhood, stub: Stub
) -> None:
    _, destination = await minted(around, ProviderName.APNS)
    message = message_pb2.Message(title="t")
    message.apns.push_type = message_pb2.APNS_PUSH_TYPE_BACKGROUND
    with pytest.raises(RemoteError) as caught:
        await stub.SendDirect(request(destination, message))
    assert caught.value.reason == "MESSAGE_INVALID"
    assert [each.field for each in caught.value.violations] == ["message.apns.push_type"]


def activity(event: str, **parts: object) -> message_pb2.Message:
    wanted = {"event": f"LIVE_ACTIVITY_EVENT_{event}", "contentState": {"score": 3}, **parts}
    return json_format.ParseDict({"apns": {"liveActivity": wanted}}, message_pb2.Message())


def pushed(push_type: str, **overrides: object) -> message_pb2.Message:
    wanted = {"pushType": f"APNS_PUSH_TYPE_{push_type}", **overrides}
    document = {"data": {"k": "v"}, "apns": wanted}
    return json_format.ParseDict(document, message_pb2.Message())


@pytest.mark.parametrize(
    "message",
    [
        pushed("BACKGROUND"),
        pushed("COMPLICATION"),
        pushed("CONTROLS", priority=5),
        pushed("FILEPROVIDER", payload={"container-identifier": "root"}),
        pushed("LOCATION", priority=5),
        pushed("PUSHTOTALK", priority=10, timeToLive="0s"),
        pushed("VOIP", payload={"long": "x" * 5_000}),
        pushed("WIDGETS", collapseId="c" * 64),
        activity("UPDATE"),
        activity("END", dismissalDate="2026-11-21T12:00:00Z"),
        activity("START", attributesType="T", attributes={}, inputPushToken=True),
    ],
    ids=lambda each: str(each.apns.push_type or each.apns.live_activity.event),
)
async def test_apns_takes_every_push_type_as_it_is_rendered(
    around: Neighbourhood, stub: Stub, message: message_pb2.Message
) -> None:
    _, destination = await minted(around, ProviderName.APNS)
    answer = await stub.SendDirect(request(destination, message))
    assert (answer.verdict, answer.reason) == (outcome_pb2.VERDICT_ACCEPTED, "")


async def test_a_broadcast_reaches_its_channel(around: Neighbourhood, stub: Stub) -> None:
    (channel,) = await around.simulator.admin.mint_channels(1, topic=APP)
    destination = pb.Destination(apns=pb.ApnsDestination(channel_id=channel))
    message = activity("UPDATE", contentState={"text": "x" * 4_500})
    answer = await stub.SendDirect(request(destination, message))
    assert (answer.verdict, answer.reason) == (outcome_pb2.VERDICT_ACCEPTED, "")
    assert await around.accepted(ProviderName.APNS, [channel]) == [1]


@pytest.mark.parametrize(
    "fcm",
    [
        pb.FcmDestination(topic="news"),
        pb.FcmDestination(condition="'news' in topics && !('mute' in topics)"),
    ],
    ids=["topic", "condition"],
)
async def test_fcm_takes_a_message_to_topics(stub: Stub, fcm: pb.FcmDestination) -> None:
    message = message_pb2.Message(title="t", sound="default", link="https://l", collapse_key="c")
    answer = await stub.SendDirect(request(pb.Destination(fcm=fcm), message))
    assert (answer.verdict, answer.reason) == (outcome_pb2.VERDICT_ACCEPTED, "")
