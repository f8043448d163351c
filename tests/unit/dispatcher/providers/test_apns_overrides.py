"""What a message says to APNs alone: headers, body, address, and what is refused before."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nuncio_dispatcher.domain.model import ApnsChannel, Message, Priority, PushToken
from nuncio_dispatcher.domain.overrides import (
    ActivityEvent,
    ApnsOverrides,
    LiveActivity,
    PushType,
)
from nuncio_dispatcher.providers.apns import payload as apns

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(days=2)
BUNDLE = "com.example.app"
CHANNEL = ApnsChannel("dHN0LXNyY2gtY2hubA==")
UPDATE = LiveActivity(event=ActivityEvent.UPDATE, content_state={"score": 3})
SILENT_TYPES = [kind for kind in PushType if kind not in {1, 6, 10}]


def form(message: Message, token: PushToken | None = None) -> apns.Form:
    return apns.render(message, topic=BUNDLE, now=NOW, expires_at=EXPIRES, token=token)


def headers(message: Message, token: PushToken | None = None) -> dict[str, str]:
    return dict(form(message, token).headers)


def body(message: Message) -> dict[str, Any]:
    parsed: dict[str, Any] = json.loads(form(message).body)
    return parsed


def wrong(message: Message, token: PushToken | None = None) -> list[str]:
    """The fields that are refused."""
    return [violation.field for violation in apns.violations(message, token=token)]


@pytest.mark.parametrize(
    ("kind", "suffix"),
    [
        (PushType.ALERT, ""),
        (PushType.BACKGROUND, ""),
        (PushType.COMPLICATION, ".complication"),
        (PushType.CONTROLS, ".push-type.controls"),
        (PushType.FILEPROVIDER, ".pushkit.fileprovider"),
        (PushType.LIVEACTIVITY, ".push-type.liveactivity"),
        (PushType.LOCATION, ".location-query"),
        (PushType.PUSHTOTALK, ".voip-ptt"),
        (PushType.VOIP, ".voip"),
        (PushType.WIDGETS, ".push-type.widgets"),
    ],
)
def test_each_push_type_has_its_name_and_its_topic(kind: PushType, suffix: str) -> None:
    found = headers(Message(apns=ApnsOverrides(push_type=kind)))
    assert found["apns-push-type"] == kind.name.lower()
    assert found["apns-topic"] == BUNDLE + suffix


def test_mdm_takes_its_topic_and_its_magic_from_the_caller() -> None:
    topic = "com.apple.mgmt.External.4711"
    overrides = ApnsOverrides(push_type=PushType.MDM, topic=topic, payload={"mdm": "magic"})
    message = Message(apns=overrides)
    assert headers(message)["apns-topic"] == topic
    assert body(message) == {"mdm": "magic"}
    assert wrong(message) == []
    bare = Message(apns=ApnsOverrides(push_type=PushType.MDM))
    assert wrong(bare) == ["message.apns.payload", "message.apns.topic"]


def test_headers_given_go_before_the_neutral_ones() -> None:
    message = Message(
        title="t",
        collapse_key="neutral",
        priority=Priority.NORMAL,
        apns=ApnsOverrides(collapse_id="order:4711", priority=1, expiration=timedelta(days=1)),
    )
    found = headers(message)
    assert found["apns-collapse-id"] == "order:4711"
    assert found["apns-priority"] == "1"
    assert found["apns-expiration"] == str(int((NOW + timedelta(days=1)).timestamp()))


@pytest.mark.parametrize(
    ("expiration", "expected"),
    [
        (timedelta(0), 0),
        (timedelta(minutes=5), int(NOW.timestamp()) + 300),
        (timedelta(days=30), int(EXPIRES.timestamp())),
        (NOW + timedelta(hours=3), int(NOW.timestamp()) + 3 * 3600),
        (EXPIRES + timedelta(days=1), int(EXPIRES.timestamp())),
    ],
)
def test_apns_tries_for_as_long_as_is_said_but_not_after_the_dispatch(
    expiration: datetime | timedelta, expected: int
) -> None:
    message = Message(title="t", apns=ApnsOverrides(expiration=expiration))
    assert headers(message)["apns-expiration"] == str(expected)


def test_the_payload_is_laid_over_the_rendered_body() -> None:
    patch = {"aps": {"interruption-level": "time-sensitive", "sound": None}, "link": "x:y", "n": 3}
    message = Message(
        title="t", sound="s", link="https://l", apns=ApnsOverrides(payload=patch), data={"k": "v"}
    )
    assert body(message) == {
        "aps": {"alert": {"title": "t"}, "interruption-level": "time-sensitive"},
        "link": "x:y",
        "n": 3,
        "k": "v",
    }


def test_the_payload_decides_what_the_push_is() -> None:
    loud = Message(data={"k": "v"}, apns=ApnsOverrides(payload={"aps": {"sound": "s"}}))
    assert headers(loud)["apns-push-type"] == "alert"
    assert body(loud)["aps"] == {"sound": "s"}
    quiet = Message(title="t", apns=ApnsOverrides(payload={"aps": {"alert": None}}))
    assert headers(quiet)["apns-push-type"] == "background"
    assert headers(quiet)["apns-priority"] == "5"
    assert body(quiet)["aps"] == {"content-available": 1}


@pytest.mark.parametrize("kind", SILENT_TYPES)
def test_what_shows_nothing_must_have_nothing_to_show(kind: PushType) -> None:
    loud = Message(title="t", apns=ApnsOverrides(push_type=kind))
    assert "message.apns.push_type" in wrong(loud)
    quiet = Message(data={"k": "v"}, apns=ApnsOverrides(push_type=kind))
    assert "message.apns.push_type" not in wrong(quiet)


def test_an_alert_must_show_something() -> None:
    message = Message(data={"k": "v"}, apns=ApnsOverrides(push_type=PushType.ALERT))
    assert wrong(message) == ["message.apns.push_type"]


@pytest.mark.parametrize("priority", [1, 10])
def test_a_background_push_has_priority_5_only(priority: int) -> None:
    message = Message(data={"k": "v"}, apns=ApnsOverrides(priority=priority))
    assert wrong(message) == ["message.apns.priority"]
    assert wrong(Message(data={"k": "v"}, apns=ApnsOverrides(priority=5))) == []


def test_a_background_push_keeps_content_available() -> None:
    patch = {"aps": {"content-available": None}}
    message = Message(data={"k": "v"}, apns=ApnsOverrides(payload=patch))
    assert wrong(message) == ["message.apns.payload"]


def test_a_location_push_has_no_priority_1() -> None:
    asked = {priority: ApnsOverrides(push_type=PushType.LOCATION, priority=priority)
             for priority in (1, 5, 10)}  # fmt: skip
    assert wrong(Message(apns=asked[1])) == ["message.apns.priority"]
    assert wrong(Message(apns=asked[5])) == wrong(Message(apns=asked[10])) == []


def test_a_given_topic_must_fit_the_push_type() -> None:
    foreign = ApnsOverrides(push_type=PushType.VOIP, topic=BUNDLE)
    assert wrong(Message(data={"k": "v"}, apns=foreign)) == ["message.apns.topic"]
    fitting = ApnsOverrides(push_type=PushType.VOIP, topic="com.example.other.voip")
    message = Message(data={"k": "v"}, apns=fitting)
    assert wrong(message) == []
    assert headers(message)["apns-topic"] == "com.example.other.voip"


def test_aps_must_be_an_object() -> None:
    overrides = ApnsOverrides(push_type=PushType.VOIP, payload={"aps": [1]})
    assert wrong(Message(apns=overrides)) == ["message.apns.payload"]


@pytest.mark.parametrize(
    ("overrides", "token", "limit"),
    [
        (None, None, 4096),
        (ApnsOverrides(push_type=PushType.VOIP), None, 5120),
        (ApnsOverrides(live_activity=UPDATE), None, 4096),
        (ApnsOverrides(live_activity=UPDATE), CHANNEL, 5120),
    ],
    ids=["alert", "voip", "activity", "broadcast"],
)
def test_the_limit_is_that_of_the_kind(
    overrides: ApnsOverrides | None, token: PushToken | None, limit: int
) -> None:
    def message(length: int) -> Message:
        return Message(title="x" * length, apns=overrides)

    room = limit - len(form(message(1), token).body) + 1
    assert wrong(message(room), token) == []
    (found,) = apns.violations(message(room + 1), token=token)
    assert (found.field, str(limit) in found.rule) == ("message", True)


def test_a_live_activity_starts_with_all_that_it_needs() -> None:
    activity = LiveActivity(
        event=ActivityEvent.START,
        content_state={"score": 0, "share": 0.5},
        stale_date=NOW + timedelta(hours=1),
        relevance_score=75.5,
        attributes_type="MatchAttributes",
        attributes={"home": "A"},
        input_push_channel=CHANNEL.reveal(),
    )
    message = Message(
        title="Match", body="starts", sound="s", badge=1, data={"k": "v"},
        apns=ApnsOverrides(live_activity=activity),
    )  # fmt: skip
    assert body(message) == {
        "aps": {
            "timestamp": int(NOW.timestamp()),
            "event": "start",
            "content-state": {"score": 0, "share": 0.5},
            "stale-date": int(NOW.timestamp()) + 3600,
            "relevance-score": 75.5,
            "attributes-type": "MatchAttributes",
            "attributes": {"home": "A"},
            "input-push-channel": CHANNEL.reveal(),
            "alert": {"title": "Match", "body": "starts", "sound": "s"},
        }
    }
    found = headers(message)
    assert found["apns-topic"] == f"{BUNDLE}.push-type.liveactivity"
    assert (found["apns-push-type"], found["apns-priority"]) == ("liveactivity", "10")
    assert wrong(message) == []


def test_a_live_activity_ends_when_it_is_told_to() -> None:
    activity = LiveActivity(event=ActivityEvent.END, dismissal_date=NOW)
    message = Message(apns=ApnsOverrides(live_activity=activity))
    now = int(NOW.timestamp())
    assert body(message) == {"aps": {"timestamp": now, "event": "end", "dismissal-date": now}}
    assert wrong(message) == []


def test_a_new_activity_may_ask_for_a_token_of_its_own() -> None:
    activity = LiveActivity(
        event=ActivityEvent.START, content_state={}, attributes_type="T", attributes={},
        input_push_token=True,
    )  # fmt: skip
    message = Message(apns=ApnsOverrides(live_activity=activity))
    assert body(message)["aps"]["input-push-token"] == 1
    assert wrong(message) == []


ACTIVITY = "message.apns.live_activity"


@pytest.mark.parametrize(
    ("activity", "fields"),
    [
        (
            LiveActivity(event=ActivityEvent.START),
            [f"{ACTIVITY}.content_state", f"{ACTIVITY}.attributes_type", f"{ACTIVITY}.attributes"],
        ),
        (LiveActivity(event=ActivityEvent.UPDATE), [f"{ACTIVITY}.content_state"]),
        (
            LiveActivity(event=ActivityEvent.UPDATE, content_state={}, dismissal_date=NOW),
            [f"{ACTIVITY}.dismissal_date"],
        ),
        (
            LiveActivity(
                event=ActivityEvent.END, attributes_type="T", attributes={}, input_push_token=True
            ),
            [
                f"{ACTIVITY}.attributes_type",
                f"{ACTIVITY}.attributes",
                f"{ACTIVITY}.input_push_token",
            ],
        ),
        (
            LiveActivity(event=ActivityEvent.END, input_push_channel="c"),
            [f"{ACTIVITY}.input_push_channel"],
        ),
    ],
)
def test_parts_of_an_activity_belong_to_their_event(
    activity: LiveActivity, fields: list[str]
) -> None:
    found = wrong(Message(apns=ApnsOverrides(live_activity=activity)))
    assert [field for field in found if field != ACTIVITY] == fields


def test_a_live_activity_is_no_other_push_type() -> None:
    overrides = ApnsOverrides(push_type=PushType.VOIP, live_activity=UPDATE)
    assert wrong(Message(apns=overrides)) == ["message.apns.push_type"]
    bare = ApnsOverrides(push_type=PushType.LIVEACTIVITY)
    assert wrong(Message(title="t", apns=bare)) == [ACTIVITY]
    by_hand = {"aps": {"event": "update", "timestamp": 1, "content-state": {}}}
    written = ApnsOverrides(push_type=PushType.LIVEACTIVITY, payload=by_hand)
    assert wrong(Message(title="t", apns=written)) == []
    for name in by_hand["aps"]:
        rest = {key: part for key, part in by_hand["aps"].items() if key != name}
        partial = ApnsOverrides(push_type=PushType.LIVEACTIVITY, payload={"aps": rest})
        assert wrong(Message(title="t", apns=partial)) == [ACTIVITY]


def test_a_broadcast_goes_to_a_channel_and_has_no_topic() -> None:
    message = Message(collapse_key="c", apns=ApnsOverrides(live_activity=UPDATE))
    found = form(message, CHANNEL)
    assert dict(found.headers) == {
        "apns-channel-id": CHANNEL.reveal(),
        "apns-push-type": "liveactivity",
        "apns-priority": "10",
        "apns-expiration": str(int(NOW.timestamp()) + 3600),
    }
    assert found.path(CHANNEL) == f"/4/broadcasts/apps/{BUNDLE}"
    assert wrong(message, CHANNEL) == []


def test_a_broadcast_is_a_live_activity_and_names_nothing_else() -> None:
    assert wrong(Message(title="t"), CHANNEL) == ["message.apns.push_type"]
    named = ApnsOverrides(
        live_activity=UPDATE, topic=f"{BUNDLE}.push-type.liveactivity", collapse_id="c"
    )
    found = wrong(Message(apns=named), CHANNEL)
    assert found == ["message.apns.topic", "message.apns.collapse_id"]


def test_a_broadcast_starts_no_activity() -> None:
    start = LiveActivity(
        event=ActivityEvent.START, content_state={}, attributes_type="T", attributes={}
    )
    message = Message(apns=ApnsOverrides(live_activity=start))
    assert wrong(message, CHANNEL) == [f"{ACTIVITY}.event"]
    assert wrong(message) == []


def test_a_device_has_a_path_of_its_own_whatever_its_token_is_made_of() -> None:
    found = form(Message(title="t"))
    assert found.path(PushToken("00ffA1")) == "/3/device/00ffA1"
    assert found.path(PushToken("a/../b?c")) == "/3/device/a%2F..%2Fb%3Fc"
    assert found.path(PushToken("\u0661\ud800")) == "/3/device/%D9%A1%3F"


def test_nothing_of_the_overrides_is_shown() -> None:
    overrides = ApnsOverrides(topic="secret-topic", live_activity=UPDATE, payload={"secret": 1})
    shown = repr(Message(title="secret", apns=overrides)) + repr(overrides) + repr(UPDATE)
    assert "secret" not in shown
    assert "score" not in shown
