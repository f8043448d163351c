"""One message to one address: a single attempt, whose verdict is the answer."""

import asyncio
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from uuid import UUID

import pytest

from nuncio.common.v1.provider_pb2 import ENVIRONMENT_SANDBOX as SANDBOX
from nuncio.common.v1.provider_pb2 import PLATFORM_ANDROID as ANDROID
from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import message_pb2
from nuncio.feedback.v1 import outcome_pb2
from nuncio_dispatcher.api.direct import direct_answer_to, direct_order_from
from nuncio_dispatcher.domain.direct import Direct, DirectAnswer, DirectOrder
from nuncio_dispatcher.domain.errors import CredentialUnusable, MessageInvalid
from nuncio_dispatcher.domain.model import (
    Answers,
    ApnsChannel,
    Destination,
    Environment,
    FcmCondition,
    FcmInstallation,
    FcmTopic,
    Message,
    Platform,
    Provider,
    PushToken,
    TargetColumns,
    Verdict,
    WebPushToken,
)
from nuncio_dispatcher.domain.overrides import ApnsOverrides
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.errors import FieldViolation, InvalidField
from tests.unit.dispatcher.builders import HOUR, NOW, answers

REQUEST = UUID(int=7)
DEVICE = Destination(provider=Provider.APNS, token=PushToken("00ff"))


@dataclass
class OneLane:
    """Gives one answer to whatever is sent, and remembers it. silent: only when it is stopped."""

    given: Answers
    refusal: MessageInvalid | None = None
    asked: list[object] = field(default_factory=list)
    checked: list[tuple[Message, Destination | None]] = field(default_factory=list)
    sent: list[tuple[Message, TargetColumns, datetime]] = field(default_factory=list)
    silent: bool = False
    name: str = "one"

    def lane(self, app_id: str, provider: Provider, environment: Environment) -> "OneLane":
        self.asked = [app_id, provider, environment]
        return self

    def check(self, message: Message, *, to: Destination | None = None) -> None:
        self.checked.append((message, to))
        if self.refusal:
            raise self.refusal

    async def send(
        self,
        message: Message,
        targets: TargetColumns,
        *,
        expires_at: datetime,
        stop: asyncio.Event | None = None,
        urgent: bool = False,
    ) -> Answers:
        assert stop is not None
        assert urgent
        self.sent.append((message, targets, expires_at))
        if self.silent:
            await stop.wait()
        return self.given

    async def aclose(self) -> None:
        pass


def order(
    address: Destination = DEVICE,
    *,
    message: Message | None = None,
    request_id: UUID | None = REQUEST,
) -> DirectOrder:
    return DirectOrder(
        app_id="shop",
        destination=address,
        message=message or Message(title="t"),
        request_id=request_id,
    )


async def send(lane: OneLane, wanted: DirectOrder) -> DirectAnswer:
    return await Direct(lane, clock=ManualClock(NOW)).send(wanted)


async def test_the_answer_is_that_of_the_one_attempt() -> None:
    given = answers(Verdict.TOKEN_DEAD, reasons=["Unregistered"], retry_after=HOUR)
    lane = OneLane(given)
    sandboxed = Destination(
        provider=Provider.APNS, token=PushToken("00ff"), environment=Environment.SANDBOX, platform=5
    )
    answer = await send(lane, order(sandboxed))
    assert answer == DirectAnswer(
        request_id=REQUEST,
        verdict=Verdict.TOKEN_DEAD,
        reason="Unregistered",
        dead_since=NOW,
        retry_after=HOUR,
    )
    assert lane.asked == ["shop", Provider.APNS, Environment.SANDBOX]
    ((_, targets, _),) = lane.sent
    assert targets == TargetColumns(ids=[REQUEST], tokens=[PushToken("00ff")], platforms=[5])


@pytest.mark.parametrize("verdict", [Verdict.RETRY, Verdict.UNKNOWN, Verdict.MISCONFIGURED])
async def test_nothing_is_tried_twice(verdict: Verdict) -> None:
    lane = OneLane(answers(verdict))
    assert (await send(lane, order())).verdict is verdict
    assert len(lane.sent) == 1


async def test_an_id_is_chosen_where_the_caller_has_none() -> None:
    lane = OneLane(answers(Verdict.ACCEPTED))
    first = await send(lane, order(request_id=None))
    second = await send(lane, order(request_id=None))
    assert [first.request_id, second.request_id] == [each.ids[0] for _, each, _ in lane.sent]
    assert first.request_id != second.request_id


@pytest.mark.parametrize(
    ("message", "life"),
    [
        (Message(title="t", time_to_live=timedelta(0)), HOUR),
        (Message(title="t", time_to_live=timedelta(days=3)), timedelta(days=3)),
        (
            Message(title="t", apns=ApnsOverrides(expiration=timedelta(days=9))),
            timedelta(days=9),
        ),
        (Message(title="t", apns=ApnsOverrides(expiration=NOW + 5 * HOUR)), 5 * HOUR),
        (Message(title="t", apns=ApnsOverrides(expiration=NOW - HOUR)), HOUR),
        (
            Message(title="t", apns=ApnsOverrides(expiration=NOW + timedelta(days=400))),
            timedelta(days=30),
        ),
    ],
)
async def test_the_provider_may_keep_trying_for_as_long_as_the_message_says(
    message: Message, life: timedelta
) -> None:
    lane = OneLane(answers(Verdict.ACCEPTED))
    await send(lane, order(message=message))
    assert lane.sent[0][2] == NOW + life


@pytest.mark.parametrize("within", [0.0, 0.1, 1.6])
async def test_the_caller_gets_the_answer_before_its_deadline(within: float) -> None:
    lane = OneLane(answers(Verdict.UNKNOWN, reasons=["NO_ANSWER"]), silent=True)
    direct = Direct(lane, clock=ManualClock(NOW))
    async with asyncio.timeout(within + 1):
        answer = await direct.send(order(), within=within)
    assert (answer.verdict, answer.reason) == (Verdict.UNKNOWN, "NO_ANSWER")


async def test_what_the_provider_would_refuse_is_not_sent() -> None:
    refusal = MessageInvalid(FieldViolation("message.apns.topic", "must be given for MDM"))
    lane = OneLane(answers(Verdict.ACCEPTED), refusal)
    with pytest.raises(MessageInvalid):
        await send(lane, order())
    assert lane.sent == []
    assert lane.checked == [(Message(title="t"), DEVICE)]


@pytest.mark.parametrize("cause", ["NO_CREDENTIAL", "BAD_CREDENTIAL"])
async def test_an_app_without_a_credential_is_told_so(cause: str) -> None:
    lane = OneLane(answers(Verdict.MISCONFIGURED, reasons=[cause], unsent=[0]))
    with pytest.raises(CredentialUnusable) as caught:
        await send(lane, order())
    assert caught.value.metadata == {
        "appId": "shop",
        "provider": "apns",
        "environment": "production",
        "cause": cause,
    }


@pytest.mark.parametrize(
    ("condition", "is_right"),
    [
        ("'a' in topics", True),
        ("'a' in topics && ('b' in topics || !('c' in topics))", True),
        (" || ".join(f"'{each}' in topics" for each in "abcde"), True),
        (" || ".join(f"'{each}' in topics" for each in "abcdef"), False),
        ("a", False),
    ],
)
async def test_a_condition_names_one_to_five_topics(condition: str, *, is_right: bool) -> None:
    lane = OneLane(answers(Verdict.ACCEPTED))
    wanted = order(Destination(provider=Provider.FCM, token=FcmCondition(condition)))
    if is_right:
        await send(lane, wanted)
        return
    with pytest.raises(InvalidField, match=r"destination\.fcm\.condition"):
        await send(lane, wanted)
    assert lane.sent == []


@pytest.mark.parametrize(
    ("destination", "address"),
    [
        (pb.Destination(apns=pb.ApnsDestination(token="00ff")), DEVICE),
        (
            pb.Destination(apns=pb.ApnsDestination(channel_id="c=", environment=SANDBOX)),
            Destination(
                provider=Provider.APNS, token=ApnsChannel("c="), environment=Environment.SANDBOX
            ),
        ),
        (
            pb.Destination(fcm=pb.FcmDestination(token="a:b", platform=ANDROID)),
            Destination(
                provider=Provider.FCM, token=PushToken("a:b"), platform=Platform.ANDROID
            ),
        ),
        (
            pb.Destination(fcm=pb.FcmDestination(fid="f")),
            Destination(provider=Provider.FCM, token=FcmInstallation("f")),
        ),
        (
            pb.Destination(fcm=pb.FcmDestination(topic="news")),
            Destination(provider=Provider.FCM, token=FcmTopic("news")),
        ),
        (
            pb.Destination(fcm=pb.FcmDestination(condition="'a' in topics")),
            Destination(provider=Provider.FCM, token=FcmCondition("'a' in topics")),
        ),
    ],
    ids=["token", "channel", "fcm token", "fid", "topic", "condition"],
)  # fmt: skip
def test_each_destination_becomes_its_kind_of_address(
    destination: pb.Destination, address: Destination
) -> None:
    request = pb.SendDirectRequest(
        app_id="shop", message=message_pb2.Message(title="t"), destination=destination
    )
    assert direct_order_from(request) == order(address, request_id=None)


def test_a_subscription_keeps_its_keys() -> None:
    web_push = pb.WebPushDestination(
        endpoint="https://p", p256dh=b"\x04" * 65, auth=b"a" * 16, vapid_key_id="k"
    )
    request = pb.SendDirectRequest(
        request_id=str(REQUEST), destination=pb.Destination(web_push=web_push)
    )
    found = direct_order_from(request)
    token = found.destination.token
    assert isinstance(token, WebPushToken)
    assert (token.reveal(), token.p256dh, token.auth, token.vapid_key_id) == (
        "https://p", b"\x04" * 65, b"a" * 16, "k",
    )  # fmt: skip
    assert (found.request_id, found.destination.provider) == (REQUEST, Provider.WEB_PUSH)
    assert found.destination.platform == Platform.WEB


def test_an_answer_says_what_the_provider_said_and_no_more() -> None:
    bare = DirectAnswer(
        request_id=REQUEST, verdict=Verdict.ACCEPTED, reason="", dead_since=None, retry_after=None
    )
    told = direct_answer_to(bare)
    accepted = outcome_pb2.VERDICT_ACCEPTED
    assert told == pb.SendDirectResponse(verdict=accepted, request_id=str(REQUEST))
    full = DirectAnswer(
        request_id=REQUEST, verdict=Verdict.RETRY, reason="r", dead_since=NOW, retry_after=HOUR
    )
    told = direct_answer_to(full)
    assert (told.verdict, told.reason) == (outcome_pb2.VERDICT_RETRY, "r")
    assert told.dead_since.seconds == int(NOW.timestamp())
    assert told.retry_after.seconds == 3600


def test_no_address_is_shown() -> None:
    shown = repr(order(Destination(provider=Provider.FCM, token=FcmTopic("secret-topic"))))
    assert "secret" not in shown
