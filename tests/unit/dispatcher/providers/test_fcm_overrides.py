"""What a message says to FCM alone, the targets that FCM has, and what is refused before."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nuncio_dispatcher.domain.model import (
    FcmCondition,
    FcmInstallation,
    FcmTopic,
    Message,
    Platform,
    PushToken,
)
from nuncio_dispatcher.domain.overrides import FcmOverrides
from nuncio_dispatcher.providers.fcm import payload as fcm

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(hours=2)
HOUR_AGO = str(int(NOW.timestamp()) - 3600)
TOPIC = FcmTopic("news")


def message(title: str = "t", /, **patch: Any) -> Message:
    return Message(title=title, fcm=FcmOverrides(message=patch))


def sent(
    message: Message, platform: int = Platform.ANDROID, token: PushToken | None = None
) -> dict[str, Any]:
    form = fcm.render(message, platform, now=NOW, expires_at=EXPIRES)
    parsed: dict[str, Any] = json.loads(form.body(token or PushToken("t:1")))
    return parsed


def wrong(message: Message, **arguments: Any) -> list[str]:
    """The fields that are refused, below message.fcm.message."""
    found = fcm.violations(message, **arguments)
    return [violation.field.removeprefix("message.fcm.message.") for violation in found]


@pytest.mark.parametrize(
    ("token", "name"),
    [
        (PushToken("a:b"), "token"),
        (FcmInstallation("fid-1"), "fid"),
        (TOPIC, "topic"),
        (FcmCondition("'a' in topics || 'b' in topics"), "condition"),
    ],
    ids=lambda each: each if isinstance(each, str) else "",
)
def test_the_kind_of_token_says_which_target_it_is(token: PushToken, name: str) -> None:
    found = sent(Message(title="t"), token=token)["message"]
    assert found[name] == token.reveal()
    assert len({"token", "fid", "topic", "condition"} & set(found)) == 1


def test_without_a_platform_a_message_has_the_parts_of_all() -> None:
    full = Message(title="t", sound="s", link="https://l", collapse_key="c")
    found = sent(full, fcm.EVERY_PLATFORM, TOPIC)["message"]
    assert set(found) == {"topic", "notification", "android", "apns", "webpush", "data"}
    for platform in (Platform.ANDROID, Platform.IOS, Platform.WEB):
        alone = sent(full, platform, TOPIC)["message"]
        assert {name: found[name] for name in alone} == alone


def test_the_overrides_are_laid_over_the_rendered_message() -> None:
    patched = message(
        notification={"body": "b"},
        android={"notification": {"channel_id": "orders"}, "priority": "NORMAL"},
        fcm_options={"analytics_label": "spring-1"},
        data=None,
    )
    assert sent(patched)["message"] == {
        "token": "t:1",
        "notification": {"title": "t", "body": "b"},
        "android": {
            "priority": "NORMAL",
            "ttl": "3600s",
            "notification": {"channel_id": "orders"},
        },
        "fcm_options": {"analytics_label": "spring-1"},
    }
    assert wrong(patched) == []


def test_the_new_android_block_takes_the_place_of_the_old_one() -> None:
    patched = message(android_v2={"remote_notification": {"title": "t"}, "ttl": "60s"})
    found = sent(patched)["message"]
    assert "android" not in found
    assert found["android_v2"] == {"remote_notification": {"title": "t"}, "ttl": "60s"}
    assert wrong(patched) == []


def test_a_message_with_everything_taken_away_is_still_json() -> None:
    bare = message("", android=None, data=None)
    assert sent(bare) == {"message": {"token": "t:1"}}


def test_own_times_end_with_the_dispatch() -> None:
    late = str(int(EXPIRES.timestamp()) + 1)
    patched = message(
        android={"ttl": "7200.5s"},
        webpush={"headers": {"TTL": "7201", "Urgency": "low"}},
        apns={"headers": {"apns-expiration": late}},
    )
    found = sent(patched, fcm.EVERY_PLATFORM)["message"]
    assert found["android"]["ttl"] == "7200s"
    assert found["webpush"]["headers"] == {"TTL": "7200", "Urgency": "low"}
    assert found["apns"]["headers"]["apns-expiration"] == str(int(EXPIRES.timestamp()))
    patched = message(
        android={"ttl": "3.5s"},
        webpush={"headers": {"TTL": "0"}},
        apns={"headers": {"apns-expiration": HOUR_AGO}},
    )
    found = sent(patched, fcm.EVERY_PLATFORM)["message"]
    assert found["android"]["ttl"] == "3.5s"
    assert found["webpush"]["headers"]["TTL"] == "0"
    assert found["apns"]["headers"]["apns-expiration"] == HOUR_AGO


@pytest.mark.parametrize("target", ["token", "fid", "topic", "condition", "name"])
def test_whom_it_goes_to_is_not_for_the_message_to_say(target: str) -> None:
    assert wrong(message(**{target: "x"})) == [target]
    assert wrong(message(**{target: None})) == [target]


@pytest.mark.parametrize(
    ("patch", "field"),
    [
        ({"android": {"priority": "HIGH"}, "android_v2": {"ttl": "1s"}}, "android_v2"),
        ({"data": {"k": 1}}, "data.k"),
        ({"android": {"data": {"k": True}}}, "android.data.k"),
        ({"webpush": {"data": {"k": {}}}}, "webpush.data.k"),
        ({"data": {"from": "x"}}, "data.from"),
        ({"data": {"message_type": "x"}}, "data.message_type"),
        ({"data": {"google.x": "x"}}, "data.google.x"),
        ({"android": {"data": {"gcm.notification.x": "x"}}}, "android.data.gcm.notification.x"),
        ({"android": {"ttl": 60}}, "android.ttl"),
        ({"android": {"ttl": "60"}}, "android.ttl"),
        ({"android": {"ttl": "-1s"}}, "android.ttl"),
        ({"android": {"ttl": "2419200.1s"}}, "android.ttl"),
        ({"android_v2": {"ttl": "x"}}, "android_v2.ttl"),
        ({"fcm_options": {"analytics_label": ""}}, "fcm_options.analytics_label"),
        ({"fcm_options": {"analytics_label": "a b"}}, "fcm_options.analytics_label"),
        ({"android": {"fcm_options": {"analytics_label": 1}}},
         "android.fcm_options.analytics_label"),
        ({"webpush": {"fcm_options": {"analytics_label": "l" * 51}}},
         "webpush.fcm_options.analytics_label"),
        ({"apns": {"headers": {"apns-priority": 5}}}, "apns.headers.apns-priority"),
        ({"apns": {"headers": {"apns-expiration": "soon"}}}, "apns.headers.apns-expiration"),
        ({"webpush": {"headers": {"TTL": "-1"}}}, "webpush.headers.TTL"),
        ({"android": "x"}, "android"),
        ({"data": ["x"]}, "data"),
        ({"apns": {"payload": 3}}, "apns.payload"),
        ({"fcmOptions": {}}, "fcmOptions"),
        ({"android": {"collapseKey": "c"}}, "android.collapseKey"),
        ({"android": {"notification": {"channelId": "c"}}}, "android.notification.channelId"),
    ],
    ids=str,
)  # fmt: skip
def test_what_fcm_would_refuse_is_refused_first(patch: dict[str, Any], field: str) -> None:
    assert wrong(message(**patch)) == [field]


@pytest.mark.parametrize(
    "patch",
    [
        {"android": {"ttl": "2419200s"}},
        {"android": {"ttl": "0s"}},
        {"fcm_options": {"analytics_label": "A-z_.~%9" * 6}},
        {"data": {"gone": None}},
        {"webpush": {"notification": {"requireInteraction": True}}},
        {"apns": {"payload": {"aps": {"thread-id": "t"}, "ownName": 1}}},
    ],
    ids=str,
)
def test_what_fcm_takes_is_not_refused(patch: dict[str, Any]) -> None:
    assert wrong(message(**patch)) == []


def test_data_alone_goes_to_apple_with_priority_5() -> None:
    hasty = message("", apns={"headers": {"apns-priority": "10"}})
    assert wrong(hasty) == ["apns.headers.apns-priority"]
    assert wrong(hasty, platform=Platform.ANDROID) == []
    alert = {"payload": {"aps": {"alert": "a"}}, "headers": {"apns-priority": "10"}}
    assert wrong(message("", apns=alert)) == []
    assert wrong(message("", apns={"payload": {"aps": {"badge": 1}}})) == []
    silenced = message("t", apns={"payload": {"aps": {"alert": None}}})
    assert wrong(silenced) == ["apns.headers.apns-priority"]


@pytest.mark.parametrize(
    ("token", "limit"),
    [(None, 4096), (FcmInstallation("f"), 4096), (TOPIC, 2048), (FcmCondition("c"), 2048)],
    ids=["token", "fid", "topic", "condition"],
)
def test_topics_take_half_as_much(token: PushToken | None, limit: int) -> None:
    def sized(length: int) -> Message:
        return Message(title="t", data={"k": "v" * length})

    room = limit - len("title" + "t" + "k")
    arguments = {"token": token, "platform": Platform.ANDROID}
    assert wrong(sized(room), **arguments) == []
    (found,) = fcm.violations(sized(room + 1), token=token, platform=Platform.ANDROID)
    assert (found.field, str(limit) in found.rule) == ("message", True)


@pytest.mark.parametrize(
    "block",
    [
        {"android": {"data": {"k": "ü" * 2_100}}},
        {"android": {"notification": {"body_loc_args": ["x" * 4_100]}}},
        {"android_v2": {"remote_notification": {"title": "x" * 4_100}}},
        {"webpush": {"notification": {"actions": [{"title": "x" * 4_100}]}}},
        {"apns": {"payload": {"own": "x" * 4_100}}},
        {"notification": {"body": "x" * 4_100}},
    ],
    ids=lambda block: next(iter(block)),
)
def test_what_the_overrides_add_counts_towards_the_limit(block: dict[str, Any]) -> None:
    (found,) = fcm.violations(message(**block))
    assert (found.field, "4096 bytes" in found.rule) == ("message", True)
