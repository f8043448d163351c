"""What FCM accepts and refuses, and in which shapes."""

import random
from typing import Any
from urllib.parse import urlencode

import jwt
import orjson
import pytest

from nuncio_simulator import fcm_errors
from nuncio_simulator.contract import AnswerCount, Fault, FaultKind, Platform, ProviderName
from nuncio_simulator.faults import Faults
from nuncio_simulator.front import Front
from nuncio_simulator.ledger import VALIDATED, Ledger
from nuncio_simulator.provider import Result
from nuncio_simulator.wire import Request
from tests.unit.simulator.world import DEAD, MAIL, THROTTLED, TOKEN_URI, World, new_rsa_key, post

PATH = "/v1/projects/p1/messages:send"


def request_with(world: World, body: bytes, *, bearer: str | None = None) -> Request:
    bearer = world.access.issue() if bearer is None else bearer
    return post(PATH, {b"authorization": f"Bearer {bearer}".encode()}, body)


def send(world: World, message: dict[str, Any], **options: Any) -> Result:
    body = orjson.dumps({"message": message, **options})
    return world.fcm.answer(request_with(world, body), world.fcm.open())


def error_of(result: Result) -> dict[str, Any]:
    error: dict[str, Any] = orjson.loads(result.reply.body)["error"]
    assert error["code"] == result.reply.status
    return error


def codes_of(error: dict[str, Any]) -> list[str]:
    return [detail["errorCode"] for detail in error.get("details", ()) if "errorCode" in detail]


def test_a_message_to_a_token_is_accepted(world: World) -> None:
    token = world.mint(ProviderName.FCM)
    result = send(world, {"token": token.text, "notification": {"title": "hello"}})
    assert result.reply.status == 200
    assert orjson.loads(result.reply.body) == {"name": result.accepted_id}
    assert result.accepted_id.startswith("projects/p1/messages/0:")
    assert result.token == token.text


@pytest.mark.parametrize(
    "message",
    [
        {"topic": "news"},
        {"condition": "'news' in topics"},
        {"topic": "news", "data": {"a": "1"}, "android": {"ttl": "3.5s", "priority": "HIGH"}},
        {"topic": "news", "android": {"collapseKey": "k", "notification": {"channelId": "c"}}},
        {"topic": "news", "apns": {"headers": {"apns-priority": "5"}, "payload": {"aps": {}}}},
        {"topic": "news", "webpush": {"headers": {"TTL": "5"}, "notification": {"title": "t"}}},
    ],
)
def test_a_message_by_the_schema_is_accepted(world: World, message: dict[str, Any]) -> None:
    assert send(world, message).reason == ""


def test_validate_only_gives_a_fake_id_and_takes_nothing(world: World) -> None:
    token = world.mint(ProviderName.FCM)
    ledger = Ledger()
    front = Front(world.fcm, faults=Faults(dice=random.Random(1)), ledger=ledger)  # noqa: S311
    for options in ({"validate_only": True}, {"validateOnly": True}):
        body = orjson.dumps({"message": {"token": token.text}, **options})
        reply = front.answer(request_with(world, body)).reply
        assert reply is not None
        assert reply.status == 200
        assert orjson.loads(reply.body) == {"name": "projects/p1/messages/fake_message_id"}
    view = ledger.view(ProviderName.FCM, detail=True)
    assert (view.accepted, view.accepted_ids, view.tokens) == (0, {}, {})
    assert view.answers == [AnswerCount(status=200, reason=VALIDATED, count=2)]


def test_validate_only_that_is_false_takes_the_message(world: World) -> None:
    assert send(world, {"topic": "news"}, validate_only=False).accepted_id


def test_validate_only_refuses_what_a_send_would(world: World) -> None:
    token = world.mint(ProviderName.FCM, DEAD)
    assert send(world, {"token": token.text}, validate_only=True).reason == "UNREGISTERED"


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"color": "red"}, 'Unknown name "color": Cannot find field.'),
        ({"token": "a"}, 'Unknown name "token": Cannot find field.'),
        ({"validate_only": "yes"}, "Invalid value at 'validate_only'"),
    ],
)
def test_a_name_beside_the_message_that_fcm_does_not_know_is_refused(
    world: World, options: dict[str, Any], text: str
) -> None:
    error = error_of(send(world, {"topic": "news"}, **options))
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    assert text in error["message"]


def test_an_unknown_name_within_the_message_is_named_with_its_place(world: World) -> None:
    error = error_of(send(world, {"topic": "news", "color": "red"}))
    assert "Unknown name \"color\" at 'message': Cannot find field." in error["message"]


@pytest.mark.parametrize("depth", [97, 98, 300, 900, 2_000])
def test_json_may_nest_100_deep(world: World, depth: int) -> None:
    nested = b'{"a":' * depth + b"1" + b"}" * depth
    body = b'{"message":{"topic":"news","apns":{"payload":%s}}}' % nested
    result = world.fcm.answer(request_with(world, body), world.fcm.open())
    assert result.reply.status == (200 if depth <= 97 else 400)


@pytest.mark.parametrize(
    ("message", "field"),
    [
        ({}, "message"),
        ({"token": "a", "topic": "b"}, "message"),
        ({"topic": "/topics/news"}, "message.topic"),
        ({"topic": "a", "data": {"n": 5}}, "message.data.n"),
        ({"topic": "a", "data": {"from": "x"}}, "message.data"),
        ({"topic": "a", "data": {"google.x": "x"}}, "message.data"),
        ({"topic": "a", "data": {"gcm.notification.x": "x"}}, "message.data"),
        ({"topic": "a", "android": {}, "android_v2": {}}, "message.android_v2"),
        ({"topic": "a", "android": {"ttl": 60}}, "message.android.ttl"),
        ({"topic": "a", "android": {"ttl": "60"}}, "message.android.ttl"),
        ({"topic": "a", "android": {"ttl": "2419201s"}}, "message.android.ttl"),
        ({"topic": "a", "android": {"priority": "10"}}, "message.android.priority"),
        ({"topic": "a", "android": {"notification": {"color": "red"}}}, None),
        ({"topic": "a", "apns": {"headers": {"apns-priority": 5}}}, None),
        ({"topic": "a", "fcm_options": {"analytics_label": "a b"}}, None),
        ({"topic": "a", "colour": "red"}, "message"),
    ],
)
def test_a_message_against_the_schema_is_refused(
    world: World, message: dict[str, Any], field: str | None
) -> None:
    error = error_of(send(world, message))
    assert (error["code"], error["status"]) == (400, "INVALID_ARGUMENT")
    fields = [violation["field"] for violation in error["details"][1]["fieldViolations"]]
    assert fields == [field or fields[0]]


@pytest.mark.parametrize(
    ("condition", "good"),
    [
        ("'a' in topics", True),
        ("'a' in topics && ('b' in topics || !('c' in topics))", True),
        ("!'a' in topics||'b' in topics", True),
        (" && ".join(f"'t{number}' in topics" for number in range(5)), True),
        (" && ".join(f"'t{number}' in topics" for number in range(6)), False),
        ("", False),
        ("a in topics", False),
        ("'a' in topic", False),
        ("'a b' in topics", False),
        ("'a' in topics 'b' in topics", False),
        ("'a' in topics &&", False),
        ("('a' in topics", False),
        ("'a' in topics)", False),
        ("()", False),
        ("'a' in topics & 'b' in topics", False),
        ("(" * 40 + "'a' in topics" + ")" * 40, False),
    ],
)
def test_a_condition_names_up_to_five_topics(world: World, condition: str, good: bool) -> None:
    result = send(world, {"condition": condition})
    assert result.reply.status == (200 if good else 400)


def test_a_fid_is_a_target_too(world: World) -> None:
    token = world.mint(ProviderName.FCM)
    assert send(world, {"fid": token.text}).token == token.text
    assert send(world, {"fid": "made-up"}).reason == "INVALID_TOKEN"


def test_the_projects_minute_begins_with_its_first_message_and_counts_refusals() -> None:
    world = World(per_minute=3)
    world.clock.now += 17
    token = world.mint(ProviderName.FCM)
    reasons = [
        send(world, message).reason
        for message in ({"token": token.text}, {}, {"token": "made-up"}, {"token": token.text})
    ]
    assert reasons == ["", "INVALID_ARGUMENT", "INVALID_TOKEN", "QUOTA_EXCEEDED"]
    world.clock.now += 40
    refused = send(world, {"token": token.text})
    assert (refused.reply.status, dict(refused.reply.headers)[b"retry-after"]) == (429, b"21")
    [_, quota] = error_of(refused)["details"]
    assert quota["violations"][0]["subject"] == "project"
    world.clock.now += 20
    assert send(world, {"token": token.text}).reason == ""


@pytest.mark.parametrize("wait", [7, "Fri, 31 Dec 1999 23:59:59 GMT", None])
@pytest.mark.parametrize("subject", ["project", "device", "topic"])
def test_a_quota_failure_may_say_when_to_come_back(
    world: World, subject: str, wait: int | str | None
) -> None:
    name = {"project": "", "device": "DEVICE_", "topic": "TOPIC_"}[subject] + "QUOTA_EXCEEDED"
    fault = Fault(
        provider=ProviderName.FCM, kind=FaultKind.RETRY_AFTER, reason=name, retry_after=wait
    )
    result = world.fcm.refuse(fault, None)
    assert error_of(result)["details"][1]["violations"][0]["subject"] == subject
    expected = None if wait is None else str(wait).encode()
    assert dict(result.reply.headers).get(b"retry-after") == expected


@pytest.mark.parametrize(
    ("reason", "status"), [("APNS_AUTH_ERROR", 401), ("UNSPECIFIED_ERROR", 500)]
)
def test_what_firebase_lists_can_be_scripted_too(world: World, reason: str, status: int) -> None:
    fault = Fault(provider=ProviderName.FCM, kind=FaultKind.ANSWER, reason=reason)
    error = error_of(world.fcm.refuse(fault, None))
    assert (error["code"], codes_of(error)) == (status, [reason])


def test_a_gateway_timeout_has_no_body(world: World) -> None:
    fault = Fault(provider=ProviderName.FCM, kind=FaultKind.ANSWER, reason="GATEWAY_TIMEOUT")
    assert world.fcm.refuse(fault, None).reply == (504, (), b"")


@pytest.mark.parametrize("body", [b"", b"not JSON", b"[]"])
def test_what_is_no_json_object_is_refused(world: World, body: bytes) -> None:
    result = world.fcm.answer(request_with(world, body), world.fcm.open())
    assert error_of(result)["status"] == "INVALID_ARGUMENT"


def test_a_message_of_any_other_type_is_refused(world: World) -> None:
    body = orjson.dumps({"message": ["a"]})
    result = world.fcm.answer(request_with(world, body), world.fcm.open())
    assert error_of(result)["status"] == "INVALID_ARGUMENT"


def test_the_payload_may_have_4096_bytes_and_2048_to_topics(world: World) -> None:
    token = world.mint(ProviderName.FCM)
    assert send(world, {"token": token.text, "data": {"k": "x" * 4_095}}).reason == ""
    too_large = error_of(send(world, {"token": token.text, "data": {"k": "x" * 4_096}}))
    assert "details" not in too_large
    assert send(world, {"topic": "news", "data": {"k": "x" * 2_047}}).reason == ""
    assert send(world, {"topic": "news", "data": {"k": "x" * 2_048}}).reason != ""


def test_a_token_of_another_origin_is_not_valid(world: World) -> None:
    apns = world.mint(ProviderName.APNS)
    for token in ("made-up", apns.text):
        error = error_of(send(world, {"token": token}))
        assert "not a valid FCM registration token" in error["message"]
        assert codes_of(error) == ["INVALID_ARGUMENT"]


def test_a_dead_android_token_is_unregistered(world: World) -> None:
    token = world.mint(ProviderName.FCM, DEAD)
    error = error_of(send(world, {"token": token.text}))
    assert (error["code"], codes_of(error)) == (404, ["UNREGISTERED"])


def test_dead_ios_tokens_are_reported_in_two_ways(world: World) -> None:
    shapes = set()
    for _ in range(30):
        token = world.mint(ProviderName.FCM, DEAD, platform=Platform.IOS)
        error = error_of(send(world, {"token": token.text}))
        shapes.add((error["code"], *codes_of(error), error["details"][1]["statusCode"]))
    assert shapes == {(404, "UNREGISTERED", 410), (400, "INVALID_ARGUMENT", 410)}


def test_data_only_for_apple_needs_priority_5(world: World) -> None:
    token = world.mint(ProviderName.FCM, platform=Platform.IOS)
    message: dict[str, Any] = {"token": token.text, "data": {"a": "b"}}
    assert send(world, message).reason == "INVALID_ARGUMENT"
    assert send(world, message | {"notification": {"title": "hello"}}).reason == ""
    apns = {"headers": {"apns-priority": "5"}, "payload": {"aps": {"content-available": 1}}}
    assert send(world, message | {"apns": apns}).reason == ""


def test_a_throttled_token_is_told_when_to_come_back(world: World) -> None:
    token = world.mint(ProviderName.FCM, THROTTLED)
    result = send(world, {"token": token.text})
    assert result.reply.status == 429
    assert dict(result.reply.headers)[b"retry-after"] == b"1"
    assert codes_of(error_of(result)) == ["QUOTA_EXCEEDED"]


def test_the_access_token_is_checked(world: World) -> None:
    body = orjson.dumps({"message": {"topic": "news"}})
    good = world.access.issue()
    for bearer, reason in (("", "CREDENTIALS_MISSING"), (good[:-1], "ACCESS_TOKEN_INVALID")):
        request = request_with(world, body, bearer=bearer)
        assert world.fcm.answer(request, world.fcm.open()).reason == reason
    world.clock.now += 3_600
    request = request_with(world, body, bearer=good)
    result = world.fcm.answer(request, world.fcm.open())
    assert (result.reply.status, result.reason) == (401, "ACCESS_TOKEN_EXPIRED")


def test_another_project_is_not_found_and_says_nothing_of_the_token(world: World) -> None:
    request = request_with(world, b"{}")._replace(path=b"/v1/projects/p2/messages:send")
    error = error_of(world.fcm.answer(request, world.fcm.open()))
    assert (error["code"], codes_of(error)) == (404, [])


@pytest.mark.parametrize("reason", sorted(fcm_errors.REFUSALS))
def test_every_shape_can_be_scripted(world: World, reason: str) -> None:
    fault = Fault(provider=ProviderName.FCM, kind=FaultKind.ANSWER, reason=reason)
    result = world.fcm.refuse(fault, None)
    assert error_of(result)["status"] in fcm_errors.STATUS.values()


def test_a_bad_gateway_is_a_page_of_html(world: World) -> None:
    fault = Fault(provider=ProviderName.FCM, kind=FaultKind.ANSWER, reason="BAD_GATEWAY")
    result = world.fcm.refuse(fault, None)
    assert result.reply.status == 502
    assert result.reply.body.startswith(b"<!DOCTYPE html>")


class TestTokenEndpoint:
    """OAuth."""

    def ask(self, world: World, **changes: Any) -> Result:
        now = int(world.clock())
        claims = {
            "iss": MAIL,
            "aud": TOKEN_URI,
            "scope": "https://www.googleapis.com/auth/firebase.messaging",
            "iat": now,
            "exp": now + 3_600,
            **changes,
        }
        form = {
            "grant_type": "urn:ietf:params:oauth:grant-type:jwt-bearer",
            "assertion": jwt.encode(claims, world.account_key, algorithm="RS256"),
        }
        request = post("/token", {}, urlencode(form).encode())
        return world.oauth.answer(request, world.oauth.open())

    def test_a_good_assertion_gives_a_token_that_fcm_takes(self, world: World) -> None:
        answer = orjson.loads(self.ask(world).reply.body)
        assert (answer["expires_in"], answer["token_type"]) == (3_600, "Bearer")
        assert world.access.refusal(answer["access_token"]) == ""

    @pytest.mark.parametrize(
        ("changes", "error"),
        [
            ({"iss": "someone"}, "invalid_grant"),
            ({"aud": "https://example.com/token"}, "invalid_grant"),
            ({"aud": [TOKEN_URI]}, "invalid_grant"),
            ({"aud": {"url": TOKEN_URI}}, "invalid_grant"),
            ({"scope": "https://example.com/none"}, "invalid_scope"),
            ({"exp": 2**40}, "invalid_grant"),
            ({"exp": 1}, "invalid_grant"),
            ({"iat": "now"}, "invalid_grant"),
        ],
    )
    def test_a_wrong_claim_is_refused(
        self, world: World, changes: dict[str, Any], error: str
    ) -> None:
        result = self.ask(world, **changes)
        assert result.reply.status == 400
        assert orjson.loads(result.reply.body)["error"] == error

    def test_an_assertion_by_another_key_is_refused(self, world: World) -> None:
        world.account_key = new_rsa_key("stranger")
        assert self.ask(world).reason == "invalid_grant"

    def test_another_grant_type_is_refused(self, world: World) -> None:
        request = post("/token", {}, b"grant_type=password")
        result = world.oauth.answer(request, world.oauth.open())
        assert result.reason == "unsupported_grant_type"
