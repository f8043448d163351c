"""A message is checked by every provider's rules, or by those of one address."""

import pytest

from nuncio_dispatcher.domain.model import Destination, FcmTopic, Message, Provider, PushToken
from nuncio_dispatcher.domain.overrides import (
    ApnsOverrides,
    FcmOverrides,
    PushType,
    WebPushOverrides,
)
from nuncio_dispatcher.providers.checks import violations

APNS = Destination(provider=Provider.APNS, token=PushToken("00ff"))
FCM = Destination(provider=Provider.FCM, token=PushToken("a:b"))
TOPIC = Destination(provider=Provider.FCM, token=FcmTopic("news"))
WEB_PUSH = Destination(provider=Provider.WEB_PUSH, token=PushToken("https://push.example/1"))


def test_without_an_address_every_provider_has_its_say() -> None:
    found = violations(Message(title="t", body="x" * 5_000))
    assert [each.rule.split()[3] for each in found] == ["APNs", "FCM", "Web"]
    assert {each.field for each in found} == {"message"}


@pytest.mark.parametrize(
    ("to", "provider"), [(APNS, "APNs"), (FCM, "FCM"), (TOPIC, "FCM"), (WEB_PUSH, "Web")]
)
def test_with_an_address_only_its_own_provider_has(to: Destination, provider: str) -> None:
    (found,) = violations(Message(title="t", body="x" * 5_000), to=to)
    assert found.rule.split()[3] == provider


def test_the_rules_are_those_of_the_kind_of_address() -> None:
    long = Message(title="t", body="x" * 3_000)
    assert violations(long, to=FCM) == []
    assert "2048" in violations(long, to=TOPIC)[0].rule


def test_one_providers_overrides_are_nothing_to_another() -> None:
    wrong = Message(title="t", apns=ApnsOverrides(push_type=PushType.WIDGETS))
    assert violations(wrong, to=FCM) == []
    assert [each.field for each in violations(wrong, to=APNS)] == ["message.apns.push_type"]


@pytest.mark.parametrize("to", [None, APNS, FCM, WEB_PUSH])
def test_a_message_that_says_nothing_is_refused(to: Destination | None) -> None:
    (found,) = violations(Message(collapse_key="c", category="c", thread="t"), to=to)
    assert found.field == "message"


@pytest.mark.parametrize(
    "message",
    [
        Message(title="t"),
        Message(body="b"),
        Message(image="https://i"),
        Message(sound="s"),
        Message(badge=0),
        Message(link="https://l"),
        Message(data={"k": ""}),
        Message(apns=ApnsOverrides()),
        Message(fcm=FcmOverrides(message={})),
        Message(web_push=WebPushOverrides()),
    ],
)
def test_a_message_that_says_something_is_not(message: Message) -> None:
    assert violations(message) == []
