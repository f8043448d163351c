"""What APNs accepts and refuses, and what it does to the connection."""

import re
from typing import Any
from uuid import uuid4

import orjson
import pytest

from nuncio_simulator.apns import SUFFIXES
from nuncio_simulator.apns_auth import ApnsVisit
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.provider import Result
from nuncio_simulator.tokens import Known
from nuncio_simulator.wire import GoAway, Request
from tests.unit.simulator.world import (
    DEAD,
    OTHER_KEY_ID,
    SLOW,
    THROTTLED,
    TOPICS,
    World,
    post,
)

BODY = b'{"aps":{"alert":"hello"}}'
UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")


def alert(world: World, token: Known, **changes: bytes | None) -> Request:
    """A valid request, with headers changed or, by None, left out."""
    headers: dict[bytes, bytes | None] = {
        b"authorization": world.bearer(),
        b"apns-topic": TOPICS[0].encode(),
        b"apns-push-type": b"alert",
        **{name.replace("_", "-").encode(): value for name, value in changes.items()},
    }
    kept = {name: value for name, value in headers.items() if value is not None}
    return post(f"/3/device/{token.text}", kept, BODY)


def send(world: World, request: Request, visit: ApnsVisit | None = None) -> Result:
    return world.apns.answer(request, visit or world.apns.open())


def test_a_valid_request_is_accepted_with_an_empty_body(world: World) -> None:
    token = world.mint(ProviderName.APNS)
    apns_id = str(uuid4()).encode()
    result = send(world, alert(world, token, apns_id=apns_id))
    assert result.reply == (200, ((b"apns-id", apns_id),), b"")
    assert (result.accepted_id, result.token) == (apns_id.decode(), token.text)


def test_an_apns_id_is_made_when_there_is_none(world: World) -> None:
    result = send(world, alert(world, world.mint(ProviderName.APNS)))
    [(name, value)] = result.reply.headers
    assert name == b"apns-id"
    assert UUID.fullmatch(value)


@pytest.mark.parametrize(
    ("changes", "status", "reason"),
    [
        ({"apns_id": b"7"}, 400, "BadMessageId"),
        ({"apns_id": b"5C9CF8F1-3C2A-4B8D-8F40-0F5A1D2E3C4B"}, 400, "BadMessageId"),
        ({"apns_topic": None}, 400, "MissingTopic"),
        ({"apns_topic": b" "}, 400, "BadTopic"),
        ({"apns_topic": b"com.example.unknown"}, 400, "TopicDisallowed"),
        ({"apns_topic": TOPICS[1].encode()}, 400, "DeviceTokenNotForTopic"),
        ({"apns_collapse_id": b"x" * 65}, 400, "BadCollapseId"),
        ({"apns_expiration": b"soon"}, 400, "BadExpirationDate"),
        ({"apns_expiration": b"-1"}, 400, "BadExpirationDate"),
        ({"apns_priority": b"9"}, 400, "BadPriority"),
        ({"apns_push_type": b"background"}, 400, "BadPriority"),
        ({"apns_push_type": b"background", "apns_priority": b"10"}, 400, "BadPriority"),
        (
            {
                "apns_push_type": b"location",
                "apns_topic": TOPICS[0].encode() + b".location-query",
                "apns_priority": b"1",
            },
            400,
            "BadPriority",
        ),
        ({"apns_push_type": b"shout"}, 400, "InvalidPushType"),
        ({"apns_push_type": b"voip"}, 400, "InvalidPushType"),
        ({"authorization": None}, 403, "MissingProviderToken"),
        ({"authorization": b"bearer x.y.z"}, 403, "InvalidProviderToken"),
        ({"authorization": b"basic eA"}, 403, "InvalidProviderToken"),
    ],
)
def test_a_wrong_header_is_refused(
    world: World, changes: dict[str, bytes | None], status: int, reason: str
) -> None:
    result = send(world, alert(world, world.mint(ProviderName.APNS), **changes))
    assert result.reply.status == status
    assert orjson.loads(result.reply.body) == {"reason": reason}
    assert result.reason == reason


@pytest.mark.parametrize(
    "changes",
    [
        {"apns_push_type": None},
        {"apns_push_type": b"background", "apns_priority": b"5"},
        {"apns_push_type": b"voip", "apns_topic": TOPICS[0].encode() + b".voip"},
        {"apns_collapse_id": b"x" * 64, "apns_expiration": b"0", "apns_priority": b"1"},
    ],
)
def test_headers_that_agree_are_accepted(world: World, changes: dict[str, bytes | None]) -> None:
    result = send(world, alert(world, world.mint(ProviderName.APNS), **changes))
    assert result.reply.status == 200


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("/3/device/", "MissingDeviceToken"),
        ("/3/device/" + "ab" * 32, "BadDeviceToken"),
        ("/4/elsewhere", "BadPath"),
    ],
)
def test_a_path_without_a_token_of_ours_is_refused(world: World, path: str, reason: str) -> None:
    request = alert(world, world.mint(ProviderName.APNS))._replace(path=path.encode())
    assert send(world, request).reason == reason


def test_another_method_and_a_repeated_header_are_refused(world: World) -> None:
    request = alert(world, world.mint(ProviderName.APNS))
    assert send(world, request._replace(method=b"GET")).reason == "MethodNotAllowed"
    assert send(world, request._replace(repeated=True)).reason == "DuplicateHeaders"


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "PayloadEmpty"),
        (b"not JSON", "PayloadEmpty"),
        (b'{"aps":"' + b"x" * 4_087 + b'"}', "PayloadTooLarge"),
    ],
)
def test_a_wrong_payload_is_refused(world: World, body: bytes, reason: str) -> None:
    request = alert(world, world.mint(ProviderName.APNS))._replace(body=body)
    assert send(world, request).reason == reason


def test_a_payload_may_have_4096_bytes_and_5120_for_voip(world: World) -> None:
    request = alert(world, world.mint(ProviderName.APNS))
    assert send(world, request._replace(body=b'{"a":"' + b"x" * 4_088 + b'"}')).reason == ""
    voip = alert(
        world,
        world.mint(ProviderName.APNS),
        apns_push_type=b"voip",
        apns_topic=TOPICS[0].encode() + b".voip",
    )
    assert send(world, voip._replace(body=b'{"a":"' + b"x" * 5_112 + b'"}')).reason == ""


def test_a_dead_token_is_gone_since_a_time_in_milliseconds(world: World) -> None:
    token = world.mint(ProviderName.APNS, DEAD)
    result = send(world, alert(world, token))
    assert result.reply.status == 410
    assert orjson.loads(result.reply.body) == {
        "reason": "Unregistered",
        "timestamp": int(world.clock() * 1_000),
    }


def test_a_throttled_token_is_refused_first(world: World) -> None:
    request = alert(world, world.mint(ProviderName.APNS, THROTTLED))
    assert send(world, request).reason == "TooManyRequests"


def test_a_slow_token_is_accepted_late(world: World) -> None:
    result = send(world, alert(world, world.mint(ProviderName.APNS, SLOW)))
    assert result.reason == ""
    assert result.delay >= 0.2


def test_streams_open_with_the_first_valid_jwt(world: World) -> None:
    visit = world.apns.open()
    token = world.mint(ProviderName.APNS)
    send(world, alert(world, token, authorization=None), visit)
    assert visit.stream_limit == 1
    # The limit rises with the JWT, be the rest of the request as wrong as it may.
    send(world, alert(world, token, apns_topic=None), visit)
    assert visit.stream_limit == 500


def test_streams_may_fall_after_a_refusal_until_the_next_success() -> None:
    world = World(streams_fall=True)
    visit = world.apns.open()
    bearer = world.bearer()
    good = alert(world, world.mint(ProviderName.APNS), authorization=bearer)
    gone = alert(world, world.mint(ProviderName.APNS, DEAD), authorization=bearer)
    limits = []
    for request in (good, gone, good._replace(body=b""), good):
        send(world, request, visit)
        limits.append(visit.stream_limit)
    assert limits == [500, 500, 1, 500]


@pytest.mark.parametrize(
    ("wrong", "reason"),
    [
        ({"team": "OTHERTEAM0"}, "InvalidProviderToken"),
        ({"key_id": "OTHERKEY00"}, "InvalidProviderToken"),
        ({"age": -600}, "InvalidProviderToken"),
        ({"age": 3_601}, "ExpiredProviderToken"),
    ],
)
def test_a_wrong_jwt_is_refused(world: World, wrong: dict[str, Any], reason: str) -> None:
    token = world.mint(ProviderName.APNS)
    result = send(world, alert(world, token, authorization=world.bearer(**wrong)))
    assert (result.reply.status, result.reason) == (403, reason)


def test_a_jwt_by_another_key_is_refused(world: World) -> None:
    token = world.mint(ProviderName.APNS)
    stranger = World()
    result = send(world, alert(world, token, authorization=stranger.bearer()))
    assert result.reason == "InvalidProviderToken"


def test_another_key_of_the_team_needs_another_connection(world: World) -> None:
    token, visit = world.mint(ProviderName.APNS), world.apns.open()
    assert send(world, alert(world, token), visit).reason == ""
    other = alert(world, token, authorization=world.bearer(key_id=OTHER_KEY_ID))
    assert send(world, other, visit).reason == "UnrelatedKeyIdInToken"
    assert send(world, other).reason == ""


def test_a_key_of_the_other_environment_is_named_so() -> None:
    world = World(elsewhere=frozenset({OTHER_KEY_ID}))
    token = world.mint(ProviderName.APNS)
    request = alert(world, token, authorization=world.bearer(key_id=OTHER_KEY_ID))
    result = send(world, request)
    assert (result.reply.status, result.reason) == (403, "BadEnvironmentKeyInToken")


def test_too_many_bad_tokens_end_the_connection() -> None:
    world = World(bad_tokens=2)
    visit = world.apns.open()
    request = alert(world, world.mint(ProviderName.APNS))
    bad = request._replace(path=b"/3/device/" + b"ab" * 32)
    results = [send(world, bad, visit), send(world, request, visit), send(world, bad, visit)]
    assert [result.goaway for result in results] == [None, None, GoAway()]


def test_a_death_may_be_known_late() -> None:
    world = World(fuzzy_seconds=60)
    token = world.mint(ProviderName.APNS)
    died = world.clock() - 10
    world.population.kill(token, died, fuzzy_seconds=30)
    fated = world.mint(ProviderName.APNS, DEAD)
    assert [send(world, alert(world, t)).reason for t in (token, fated)] == ["", ""]
    world.clock.now += 30
    reply = send(world, alert(world, token)).reply
    assert orjson.loads(reply.body)["timestamp"] == int(died * 1_000)
    assert send(world, alert(world, fated)).reason == ""
    world.clock.now += 30
    assert send(world, alert(world, fated)).reason == "Unregistered"


@pytest.mark.parametrize("push_type", sorted(SUFFIXES))
def test_every_push_type_has_its_topic(world: World, push_type: bytes) -> None:
    topic = TOPICS[0].encode() + SUFFIXES[push_type]
    priority = b"5" if push_type in {b"background", b"location"} else b"10"
    token = world.mint(ProviderName.APNS)
    options = {"apns_push_type": push_type, "apns_priority": priority}
    assert send(world, alert(world, token, apns_topic=topic, **options)).reason == ""
    wrong = TOPICS[0].encode() + (b".voip" if push_type != b"voip" else b".voip-ptt")
    result = send(world, alert(world, token, apns_topic=wrong, **options))
    assert result.reason == "InvalidPushType"


def test_an_expired_jwt_wedges_the_connection(world: World) -> None:
    token, visit = world.mint(ProviderName.APNS), world.apns.open()
    old = alert(world, token, authorization=world.bearer(age=3_601))
    assert send(world, old, visit).reason == "ExpiredProviderToken"
    assert send(world, alert(world, token), visit).reason == "ExpiredProviderToken"
    assert send(world, alert(world, token)).reason == ""


def test_a_jwt_expires_while_the_connection_lives(world: World) -> None:
    token, visit = world.mint(ProviderName.APNS), world.apns.open()
    request = alert(world, token)
    assert send(world, request, visit).reason == ""
    world.clock.now += 3_601
    assert send(world, request, visit).reason == "ExpiredProviderToken"


def test_a_second_jwt_within_20_minutes_is_one_too_many(world: World) -> None:
    token, visit = world.mint(ProviderName.APNS), world.apns.open()
    first, second = alert(world, token), alert(world, token)
    assert first != second  # an ES256 signature is never the same twice
    assert send(world, first, visit).reason == ""
    assert send(world, second, visit).reply.status == 429
    assert send(world, first, visit).reason == "TooManyProviderTokenUpdates"


def test_a_new_jwt_after_20_minutes_is_welcome(world: World) -> None:
    token, visit = world.mint(ProviderName.APNS), world.apns.open()
    assert send(world, alert(world, token), visit).reason == ""
    world.clock.now += 1_201
    assert send(world, alert(world, token), visit).reason == ""


def test_the_sandbox_adds_its_own_id_and_refuses_tokens_of_production() -> None:
    sandbox = World(sandbox=True)
    token = sandbox.mint(ProviderName.APNS, environment="sandbox")
    accepted = send(sandbox, alert(sandbox, token))
    assert accepted.reply.status == 200
    headers = dict(accepted.reply.headers)
    assert headers.keys() == {b"apns-id", b"apns-unique-id"}
    assert UUID.fullmatch(headers[b"apns-unique-id"])
    assert headers[b"apns-unique-id"] != headers[b"apns-id"]
    assert send(sandbox, alert(sandbox, sandbox.mint(ProviderName.APNS))).reason == "BadDeviceToken"


def test_production_refuses_tokens_of_the_sandbox(world: World) -> None:
    token = world.mint(ProviderName.APNS, environment="sandbox")
    assert send(world, alert(world, token)).reason == "BadDeviceToken"


@pytest.mark.parametrize(
    ("fault", "status", "reason"),
    [
        ({"kind": FaultKind.ANSWER, "reason": "Shutdown"}, 503, "Shutdown"),
        ({"kind": FaultKind.ANSWER, "reason": "NewReason", "status": 418}, 418, "NewReason"),
        ({"kind": FaultKind.CREDENTIAL}, 403, "InvalidProviderToken"),
        ({"kind": FaultKind.RETRY_AFTER}, 429, "TooManyRequests"),
    ],
)
def test_a_fault_speaks_in_apples_words(
    world: World, fault: dict[str, object], status: int, reason: str
) -> None:
    spec = Fault.model_validate({"provider": "apns", **fault})
    result = world.apns.refuse(spec, None)
    assert result.reply.status == status
    assert orjson.loads(result.reply.body) == {"reason": reason}
