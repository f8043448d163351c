"""The contract's messages with all that they may have become the domain's."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from google.protobuf import json_format
from hypothesis import given
from hypothesis import strategies as st

from nuncio.dispatcher.v1 import message_pb2
from nuncio_dispatcher.api.messages import json_object, message_from
from nuncio_dispatcher.domain.model import Message
from nuncio_dispatcher.domain.overrides import (
    ActivityEvent,
    ApnsOverrides,
    FcmOverrides,
    LiveActivity,
    PushType,
    Urgency,
    WebPushOverrides,
)
from nuncio_runtime.errors import InvalidField
from nuncio_runtime.interceptors.validation import violations

NOON = datetime(2026, 11, 21, 12, tzinfo=UTC)


def parsed(document: dict[str, Any]) -> message_pb2.Message:
    return json_format.ParseDict(document, message_pb2.Message())


def refused(message: message_pb2.Message) -> list[str]:
    """The fields whose annotations are broken."""
    return [violation.field for violation in violations(message)]


def test_overrides_arrive_with_every_part() -> None:
    message = parsed(
        {
            "title": "t",
            "apns": {
                "pushType": "APNS_PUSH_TYPE_LIVEACTIVITY",
                "topic": "a.b.push-type.liveactivity",
                "priority": 5,
                "timeToLive": "90s",
                "collapseId": "c",
                "payload": {"aps": {"n": 1, "share": 0.5, "list": [None, True, {"k": "v"}]}},
                "liveActivity": {
                    "event": "LIVE_ACTIVITY_EVENT_START",
                    "contentState": {"score": 3},
                    "staleDate": "2026-11-21T12:00:00Z",
                    "dismissalDate": "2026-11-21T12:00:00.5Z",
                    "relevanceScore": 0,
                    "attributesType": "T",
                    "attributes": {},
                    "inputPushChannel": "ch",
                },
            },
            "fcm": {"message": {"android": {"ttl": "3s"}}},
            "webPush": {
                "urgency": "WEB_PUSH_URGENCY_VERY_LOW",
                "topic": "w",
                "timeToLive": "0s",
                "payload": "AP8=",
            },
        }
    )
    assert refused(message) == []
    found = message_from(message)
    assert found == Message(
        title="t",
        apns=ApnsOverrides(
            push_type=PushType.LIVEACTIVITY,
            topic="a.b.push-type.liveactivity",
            priority=5,
            expiration=timedelta(seconds=90),
            collapse_id="c",
            payload={"aps": {"n": 1, "share": 0.5, "list": [None, True, {"k": "v"}]}},
            live_activity=LiveActivity(
                event=ActivityEvent.START,
                content_state={"score": 3},
                stale_date=NOON,
                dismissal_date=NOON + timedelta(seconds=0.5),
                relevance_score=0.0,
                attributes_type="T",
                attributes={},
                input_push_channel="ch",
            ),
        ),
        fcm=FcmOverrides(message={"android": {"ttl": "3s"}}),
        web_push=WebPushOverrides(
            urgency=Urgency.VERY_LOW,
            topic="w",
            time_to_live=timedelta(0),
            payload=b"\x00\xff",
        ),
    )


def test_what_is_left_out_is_left_to_the_neutral_fields() -> None:
    found = message_from(parsed({"apns": {}, "fcm": {"message": {}}, "webPush": {}}))
    assert found.apns == ApnsOverrides()
    assert found.fcm == FcmOverrides(message={})
    assert found.web_push == WebPushOverrides()
    assert message_from(parsed({})) == Message()


def test_an_expiration_may_be_a_moment_or_now_or_never() -> None:
    moment = message_from(parsed({"apns": {"expireTime": "2026-11-21T12:00:00Z"}})).apns
    never = message_from(parsed({"apns": {"timeToLive": "0s"}})).apns
    assert moment is not None
    assert never is not None
    assert (moment.expiration, never.expiration) == (NOON, timedelta(0))


@pytest.mark.parametrize("kind", list(PushType))
def test_every_push_type_has_the_contracts_number(kind: PushType) -> None:
    message = parsed({"apns": {"pushType": f"APNS_PUSH_TYPE_{kind.name}"}})
    found = message_from(message).apns
    assert found is not None
    assert found.push_type is kind


def test_the_contract_has_no_number_that_the_domain_does_not_know() -> None:
    assert len(message_pb2.ApnsPushType.items()) == len(PushType) + 1
    assert len(message_pb2.LiveActivityEvent.items()) == len(ActivityEvent) + 1
    assert len(message_pb2.WebPushUrgency.items()) == len(Urgency) + 1


@pytest.mark.parametrize(
    ("document", "field"),
    [
        ({"apns": {"pushType": 12}}, "apns.push_type"),
        ({"apns": {"topic": "a b"}}, "apns.topic"),
        ({"apns": {"priority": 0}}, "apns.priority"),
        ({"apns": {"priority": 7}}, "apns.priority"),
        ({"apns": {"timeToLive": "-1s"}}, "apns.time_to_live"),
        ({"apns": {"timeToLive": "2592001s"}}, "apns.time_to_live"),
        ({"apns": {"collapseId": "x" * 65}}, "apns.collapse_id"),
        ({"apns": {"collapseId": "ü"}}, "apns.collapse_id"),
        ({"apns": {"collapseId": "a\r\nb"}}, "apns.collapse_id"),
        ({"apns": {"collapseId": "a\n"}}, "apns.collapse_id"),
        ({"apns": {"topic": "a\n"}}, "apns.topic"),
        ({"webPush": {"topic": "a\n"}}, "web_push.topic"),
        ({"apns": {"liveActivity": {}}}, "apns.live_activity.event"),
        (
            {"apns": {"liveActivity": {"event": 1, "relevanceScore": "Infinity"}}},
            "apns.live_activity.relevance_score",
        ),
        (
            {"apns": {"liveActivity": {"event": 1, "inputPushToken": False}}},
            "apns.live_activity.input_push_token",
        ),
        ({"fcm": {}}, "fcm.message"),
        ({"webPush": {"urgency": 5}}, "web_push.urgency"),
        ({"webPush": {"topic": "x" * 33}}, "web_push.topic"),
        ({"webPush": {"topic": "a b"}}, "web_push.topic"),
        ({"webPush": {"timeToLive": "2419201s"}}, "web_push.time_to_live"),
        ({"webPush": {"payload": "A" * 5_328}}, "web_push.payload"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_a_field_beyond_its_limit_is_refused(document: dict[str, Any], field: str) -> None:
    assert refused(parsed(document)) == [field]


def test_the_largest_of_each_is_taken() -> None:
    document = {
        "apns": {"collapseId": "~" * 64, "timeToLive": "2592000s", "topic": "a" * 255},
        "webPush": {"topic": "_" * 32, "payload": "A" * 5_324},
    }
    assert refused(parsed(document)) == []


@pytest.mark.parametrize(
    ("number", "text"),
    [(3.0, "3"), (-0.0, "0"), (2.0**53, "9007199254740992"), (0.1, "0.1"), (1e300, "1e+300")],
)
def test_a_whole_number_comes_out_as_an_integer(number: float, text: str) -> None:
    message = message_pb2.FcmOverrides()
    message.message["n"] = number
    assert json.dumps(json_object(message.message, field="f")) == f'{{"n": {text}}}'


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
def test_numbers_that_json_has_not_are_refused_with_their_place(number: float) -> None:
    message = message_pb2.Message()
    message.apns.payload["aps"] = {"list": ["x", number]}
    with pytest.raises(InvalidField, match=r"message\.apns\.payload\.aps\.list\[1\]"):
        message_from(message)


def test_a_value_that_is_none_at_all_is_refused() -> None:
    message = message_pb2.Message()
    message.fcm.message.fields["data"].struct_value.fields["k"].SetInParent()
    with pytest.raises(InvalidField, match=r"message\.fcm\.message\.data\.k"):
        message_from(message)


def test_moments_beyond_the_calendar_are_refused_with_their_place() -> None:
    message = message_pb2.Message()
    message.apns.live_activity.event = message_pb2.LIVE_ACTIVITY_EVENT_END
    message.apns.live_activity.stale_date.seconds = -1
    with pytest.raises(InvalidField, match=r"message\.apns\.live_activity\.stale_date"):
        message_from(message)


texts = st.text(st.characters(codec="utf-8"))
leaves = st.none() | st.booleans() | texts | st.integers(
    -(2**53), 2**53
)  # fmt: skip
values = st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3)
)


@given(st.dictionaries(texts, values, max_size=4))
def test_json_arrives_as_it_was_sent(document: dict[str, Any]) -> None:
    message = message_pb2.FcmOverrides()
    json_format.ParseDict(document, message.message)
    assert json_object(message.message, field="f") == document
