"""What push services accept and refuse, each in its own words."""

import os

import http_ece
import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric import ec

from nuncio_simulator.aes128gcm import Device
from nuncio_simulator.contract import Fault, FaultKind, Platform, ProviderName
from nuncio_simulator.personalities import VOICES, Problem
from nuncio_simulator.provider import Result
from nuncio_simulator.tokens import Known
from nuncio_simulator.wire import Request
from tests.unit.simulator.world import DEAD, ORIGIN, THROTTLED, World, post


def encrypt(
    world: World, token: Known, message: bytes, key: ec.EllipticCurvePrivateKey | None = None
) -> bytes:
    device = Device.from_secret(world.population.device_secret(token))
    encrypted: bytes = http_ece.encrypt(
        message,
        salt=os.urandom(16),
        private_key=key or ec.generate_private_key(ec.SECP256R1()),
        dh=device.public_key,
        auth_secret=device.auth,
        version="aes128gcm",
    )
    return encrypted


def push(world: World, token: Known, **changes: bytes | None) -> Request:
    """A valid request, with headers changed or, by None, left out."""
    headers: dict[bytes, bytes | None] = {
        b"authorization": world.vapid_header(),
        b"ttl": b"60",
        b"content-encoding": b"aes128gcm",
        **{name.replace("_", "-").encode(): value for name, value in changes.items()},
    }
    kept = {name: value for name, value in headers.items() if value is not None}
    body = encrypt(world, token, b"hello")
    return post(token.text.removeprefix(ORIGIN), kept, body)


def send(world: World, request: Request) -> Result:
    return world.webpush.answer(request, world.webpush.open())


def test_a_message_is_accepted_and_decrypted(world: World) -> None:
    token = world.mint(ProviderName.WEBPUSH)
    result = send(world, push(world, token))
    assert result.reply.status == 201
    assert result.plaintext == b"hello"
    headers = dict(result.reply.headers)
    assert headers[b"ttl"] == b"60"
    assert headers[b"location"].decode() == result.accepted_id
    assert result.accepted_id.startswith(ORIGIN)


def test_a_message_without_a_body_is_accepted(world: World) -> None:
    token = world.mint(ProviderName.WEBPUSH)
    request = push(world, token, content_encoding=None)._replace(body=b"")
    assert send(world, request).reply.status == 201


@pytest.mark.parametrize(
    ("changes", "status", "errno"),
    [
        ({"ttl": None}, 400, 111),
        ({"ttl": b""}, 400, 111),
        ({"ttl": b"1.5"}, 400, 111),
        ({"ttl": b"--1"}, 400, 111),
        ({"ttl": b"-1"}, 400, 114),
        ({"topic": b"x" * 33}, 400, 113),
        ({"topic": b"a b"}, 400, 113),
        ({"urgency": b"urgent"}, 400, None),
        ({"content_encoding": b"aesgcm"}, 400, 110),
        ({"content_encoding": None}, 400, 110),
        ({"authorization": None}, 401, 109),
        ({"authorization": b"vapid t=x, k=y"}, 401, 109),
    ],
)
def test_a_wrong_header_is_refused_by_autopush(
    world: World, changes: dict[str, bytes | None], status: int, errno: int | None
) -> None:
    result = send(world, push(world, world.mint(ProviderName.WEBPUSH), **changes))
    body = orjson.loads(result.reply.body)
    assert (result.reply.status, body["code"], body["errno"]) == (status, status, errno)


@pytest.mark.parametrize(
    "claims",
    [
        {"aud": "https://localhost"},
        {"aud": ORIGIN + "/"},
        {"exp": 1},
        {"exp": 2**40},
        {"exp": None},
        {"sub": None},
        {"sub": "push@example.com"},
    ],
)
def test_a_wrong_vapid_claim_is_refused(world: World, claims: dict[str, object]) -> None:
    token = world.mint(ProviderName.WEBPUSH)
    result = send(world, push(world, token, authorization=world.vapid_header(**claims)))
    assert result.reason == Problem.BAD_CREDENTIAL


def test_a_vapid_header_expires(world: World) -> None:
    request = push(world, world.mint(ProviderName.WEBPUSH))
    assert send(world, request).reason == ""
    world.clock.now += 3_600
    assert send(world, request).reason == Problem.BAD_CREDENTIAL


def test_another_vapid_key_is_a_mismatch(world: World) -> None:
    token = world.mint(ProviderName.WEBPUSH)
    header = World().vapid_header()
    assert send(world, push(world, token, authorization=header)).reason == Problem.KEY_MISMATCH


def test_the_vapid_key_must_not_encrypt(world: World) -> None:
    token = world.mint(ProviderName.WEBPUSH)
    body = encrypt(world, token, b"hello", world.vapid_key)
    assert send(world, push(world, token)._replace(body=body)).reason == Problem.BAD_ENCODING


@pytest.mark.parametrize("platform", [Platform.CHROME, Platform.EDGE, Platform.SAFARI])
@pytest.mark.parametrize("ttl", [None, b"soon", b"-1"])
def test_a_wrong_ttl_is_refused_by_the_other_services(
    world: World, platform: Platform, ttl: bytes | None
) -> None:
    token = world.mint(ProviderName.WEBPUSH, platform=platform)
    assert send(world, push(world, token, ttl=ttl)).reply.status == 400


def test_a_sender_key_off_the_curve_is_refused(world: World) -> None:
    token = world.mint(ProviderName.WEBPUSH)
    request = push(world, token)
    body = request.body[:21] + b"\4" + bytes(64) + request.body[86:]
    assert send(world, request._replace(body=body)).reason == Problem.UNDECRYPTABLE


def test_a_message_for_another_browser_cannot_be_decrypted(world: World) -> None:
    token, other = world.mint(ProviderName.WEBPUSH), world.mint(ProviderName.WEBPUSH)
    request = push(world, token)._replace(body=encrypt(world, other, b"hello"))
    assert send(world, request).reason == Problem.UNDECRYPTABLE


def test_a_body_may_have_4096_bytes(world: World) -> None:
    token = world.mint(ProviderName.WEBPUSH)
    request = push(world, token)
    largest = encrypt(world, token, b"x" * 3_993)
    assert len(largest) == 4_096
    assert send(world, request._replace(body=largest)).reason == ""
    assert send(world, request._replace(body=largest + b"x")).reply.status == 413


@pytest.mark.parametrize(
    ("platform", "status", "sign"),
    [
        (Platform.FIREFOX, 410, b'"errno":106'),
        (Platform.CHROME, 410, b"unsubscribed or expired"),
        (Platform.EDGE, 410, b""),
        (Platform.SAFARI, 410, b'"reason":"Unregistered"'),
    ],
)
def test_a_dead_subscription_is_gone(
    world: World, platform: Platform, status: int, sign: bytes
) -> None:
    token = world.mint(ProviderName.WEBPUSH, DEAD, platform=platform)
    policy = b"cache" if platform is Platform.EDGE else None
    result = send(world, push(world, token, x_wns_cache_policy=policy))
    assert result.reply.status == status
    assert sign in result.reply.body


def test_an_unknown_endpoint_is_not_found(world: World) -> None:
    request = push(world, world.mint(ProviderName.WEBPUSH))._replace(path=b"/wpush/v2/unknown")
    result = send(world, request)
    assert (result.reply.status, orjson.loads(result.reply.body)["errno"]) == (404, 102)


def test_a_throttled_subscription_is_told_when_to_come_back(world: World) -> None:
    result = send(world, push(world, world.mint(ProviderName.WEBPUSH, THROTTLED)))
    assert result.reply.status == 429
    assert dict(result.reply.headers)[b"retry-after"] == b"1"


@pytest.mark.parametrize(
    ("ttl", "policy", "reason"),
    [
        (b"0", None, Problem.TTL_CONFLICT),
        (b"0", b"cache", Problem.TTL_CONFLICT),
        (b"0", b"no-cache", ""),
        (b"60", b"no-cache", ""),
        (b"60", b"cache", ""),
        (b"60", None, ""),
    ],
)
def test_wns_takes_a_ttl_of_0_with_no_cache_only(
    world: World, ttl: bytes, policy: bytes | None, reason: str
) -> None:
    token = world.mint(ProviderName.WEBPUSH, platform=Platform.EDGE)
    result = send(world, push(world, token, ttl=ttl, x_wns_cache_policy=policy))
    assert result.reason == reason


@pytest.mark.parametrize("platform", list(VOICES))
@pytest.mark.parametrize("problem", list(Problem))
def test_every_service_has_words_for_every_problem(platform: Platform, problem: Problem) -> None:
    assert 400 <= VOICES[platform](problem).status < 600


def test_a_redirect_can_be_scripted(world: World) -> None:
    fault = Fault(
        provider=ProviderName.WEBPUSH,
        kind=FaultKind.ANSWER,
        status=301,
        reason="moved",
        headers={"Location": "https://169.254.1.1/"},
    )
    result = world.webpush.refuse(fault, world.mint(ProviderName.WEBPUSH))
    assert result.reply == (301, ((b"location", b"https://169.254.1.1/"),), b"moved")


def test_a_ttl_may_be_cut_down() -> None:
    world = World(max_ttl=60)
    token = world.mint(ProviderName.WEBPUSH)
    result = send(world, push(world, token, ttl=b"86400"))
    assert dict(result.reply.headers)[b"ttl"] == b"60"


@pytest.mark.parametrize(
    ("platform", "reason", "status", "sign"),
    [
        (Platform.CHROME, "invalid_endpoint", 403, b"invalid push subscription endpoint"),
        (Platform.EDGE, "domain_blocked", 410, b""),
        (Platform.SAFARI, "key_mismatch", 400, b"VapidPkHashMismatch"),
        (Platform.EDGE, "throttled", 406, b""),
    ],
)
def test_what_heals_can_be_scripted(
    world: World, platform: Platform, reason: str, status: int, sign: bytes
) -> None:
    fault = Fault(provider=ProviderName.WEBPUSH, kind=FaultKind.ANSWER, reason=reason)
    reply = world.webpush.refuse(fault, world.mint(ProviderName.WEBPUSH, platform=platform)).reply
    assert reply.status == status
    assert sign in reply.body
    if platform is Platform.EDGE:
        assert b"x-wns-error-description" in dict(reply.headers)
