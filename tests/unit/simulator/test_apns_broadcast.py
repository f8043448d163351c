"""One message for all who follow a channel."""

from uuid import uuid4

import orjson
import pytest

from nuncio_simulator.apns import STATUS
from nuncio_simulator.contract import ChannelRequest
from nuncio_simulator.population import CannotMintError
from nuncio_simulator.provider import Result
from nuncio_simulator.wire import Request
from tests.unit.simulator.world import TOPICS, World, post

BODY = b'{"aps":{"event":"update","timestamp":1}}'


def channel(world: World, **options: object) -> bytes:
    [text] = world.channels.mint(ChannelRequest.model_validate(options))
    return text.encode()


def broadcast(world: World, **changes: bytes | None) -> Request:
    """A valid request, with headers changed or, by None, left out."""
    headers: dict[bytes, bytes | None] = {
        b"authorization": world.bearer(),
        b"apns-push-type": b"liveactivity",
        b"apns-expiration": b"0",
        **{name.replace("_", "-").encode(): value for name, value in changes.items()},
    }
    if b"apns-channel-id" not in headers:
        headers[b"apns-channel-id"] = channel(world)
    kept = {name: value for name, value in headers.items() if value is not None}
    return post(f"/4/broadcasts/apps/{TOPICS[0]}", kept, BODY)


def send(world: World, request: Request) -> Result:
    return world.apns.answer(request, world.apns.open())


def test_a_broadcast_is_accepted_under_its_id(world: World) -> None:
    given, to = str(uuid4()).encode(), channel(world)
    result = send(world, broadcast(world, apns_request_id=given, apns_channel_id=to))
    assert result.reply == (200, ((b"apns-request-id", given),), b"")
    assert (result.accepted_id, result.token) == (given.decode(), to.decode())


def test_the_sandbox_adds_its_own_id() -> None:
    world = World(sandbox=True)
    to = channel(world, environment="sandbox")
    reply = send(world, broadcast(world, apns_channel_id=to)).reply
    assert [name for name, _ in reply.headers] == [b"apns-request-id", b"apns-unique-id"]


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"apns_request_id": b"7"}, "BadMessageId"),
        ({"apns_topic": TOPICS[0].encode()}, "BadRequestParams"),
        ({"apns_push_type": None}, "MissingPushType"),
        ({"apns_push_type": b"alert"}, "InvalidPushType"),
        ({"apns_channel_id": None}, "MissingChannelId"),
        ({"apns_channel_id": b"dHN0LXNyY2gtY2hubA=="}, "BadChannelId"),
        ({"apns_channel_id": b"?"}, "BadChannelId"),
        ({"apns_expiration": b"soon"}, "BadExpirationDate"),
        ({"apns_priority": b"2"}, "BadPriority"),
        ({"authorization": None}, "MissingProviderToken"),
    ],
)
def test_a_wrong_header_is_refused(
    world: World, changes: dict[str, bytes | None], reason: str
) -> None:
    result = send(world, broadcast(world, **changes))
    assert orjson.loads(result.reply.body) == {"reason": reason}
    assert result.reply.status == STATUS[reason]


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b"", "PayloadEmpty"),
        (b"{}", "BadRequestPayload"),
        (b"not JSON", "BadRequestPayload"),
        (b'{"aps":{"a":"' + b"x" * 5_107 + b'"}}', "PayloadTooLarge"),
        (b'{"aps":{"a":"' + b"x" * 5_104 + b'"}}', ""),
    ],
)
def test_a_payload_may_have_5120_bytes(world: World, body: bytes, reason: str) -> None:
    assert send(world, broadcast(world)._replace(body=body)).reason == reason


def test_a_channel_belongs_to_an_app_and_an_environment(world: World) -> None:
    other = channel(world, topic=TOPICS[1])
    result = send(world, broadcast(world, apns_channel_id=other))
    assert (result.reply.status, result.reason) == (403, "TopicMismatch")
    sandbox = channel(world, environment="sandbox")
    assert send(world, broadcast(world, apns_channel_id=sandbox)).reason == "BadChannelId"
    unknown = broadcast(world)._replace(path=b"/4/broadcasts/apps/com.example.unknown")
    assert send(world, unknown).reason == "FeatureNotEnabled"


def test_a_deleted_channel_is_not_registered(world: World) -> None:
    gone = channel(world)
    world.channels.delete([gone.decode()])
    assert send(world, broadcast(world, apns_channel_id=gone)).reason == "ChannelNotRegistered"


def test_a_channel_that_stores_nothing_takes_only_what_is_for_now(world: World) -> None:
    fleeting = channel(world, stores=False)
    later = {"apns_channel_id": fleeting, "apns_expiration": b"2000000000"}
    assert send(world, broadcast(world, **later)).reason == "BadExpirationDate"
    assert send(world, broadcast(world, apns_channel_id=fleeting)).reason == ""
    later["apns_channel_id"] = channel(world)
    assert send(world, broadcast(world, **later)).reason == ""


def test_a_channel_that_was_not_minted_is_unknown(world: World) -> None:
    made = channel(world)
    forged = (b"B" if made[:1] == b"A" else b"A") + made[1:]
    assert world.channels.find(made) is not None
    assert world.channels.find(forged) is None


def test_channels_of_an_unknown_app_are_not_made(world: World) -> None:
    with pytest.raises(CannotMintError):
        channel(world, topic="com.example.unknown")
