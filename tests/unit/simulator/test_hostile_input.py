"""Whatever a client sends, providers answer it, and no connection fails over it."""

import json
import random
from functools import cache
from typing import TypeVar
from urllib.parse import urlencode

import jwt
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from nuncio_simulator import base64url
from nuncio_simulator.admin import Admin
from nuncio_simulator.aes128gcm import public_point
from nuncio_simulator.contract import Fault, FaultKind, Platform, ProviderName, Shares
from nuncio_simulator.faults import Faults
from nuncio_simulator.front import Front
from nuncio_simulator.h1server import H1Protocol
from nuncio_simulator.h2server import H2Protocol, Profile
from nuncio_simulator.ledger import Ledger
from nuncio_simulator.oauth import GRANT_TYPE
from nuncio_simulator.provider import Provider, V
from nuncio_simulator.tokens import FCM_MARK
from nuncio_simulator.wire import Answer, Reply, Request
from tests.unit.simulator.connections import MemoryTransport, Talk
from tests.unit.simulator.world import MAIL, ORIGIN, TOKEN_URI, TOPICS, World, post

Bytes = st.SearchStrategy[bytes]
T = TypeVar("T")
SCOPE = "https://www.googleapis.com/auth/firebase.messaging"
GREETING = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000 04 00 00000000")

# Making the keys takes long, and so does anything on a busy machine.
patient = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

raw = st.binary(max_size=150)
texts = st.text(st.characters(), max_size=20)  # surrogates too
values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4),
    max_leaves=6,
)
# Around and beyond the depths at which readers and writers of JSON give up.
abysses = st.sampled_from([50, 99, 300, 1_000, 5_000]).map(
    lambda depth: b'{"a":' * depth + b"1" + b"}" * depth
)


@cache
def world() -> World:
    """Keys take long to make."""
    return World()


@cache
def minted(provider: ProviderName, platform: Platform | None = None) -> str:
    return world().mint(provider, platform=platform).text


def victim() -> str:
    """A token that is killed; the one for requests to APNs lives."""
    return minted(ProviderName.APNS, Platform.IOS)


def as_json(value: object) -> bytes:
    return json.dumps(value).encode()


def mostly(good: st.SearchStrategy[T], other: st.SearchStrategy[T]) -> st.SearchStrategy[T]:
    """What gets past a check, and now and then something else, so that all checks are reached."""
    return st.integers(0, 7).flatmap(lambda die: other if die == 7 else good)


def requests(path: Bytes, headers: dict[bytes, Bytes], body: Bytes) -> st.SearchStrategy[Request]:
    """Requests with these headers, of which one or two may be missing or be anything."""

    def build(
        method: bytes, path: bytes, good: dict[bytes, bytes], changes: dict[bytes, bytes | None]
    ) -> Request:
        kept = {name: value for name, value in (good | changes).items() if value is not None}
        return Request(method, path, kept, repeated=b"x" in changes, body=b"")

    altered = st.dictionaries(st.sampled_from([*headers, b"x"]), st.none() | raw, max_size=2)
    changes = mostly(st.just({}), altered)
    drafts = st.builds(
        build,
        mostly(st.just(b"POST"), st.just(b"HEAD") | raw),
        path,
        st.fixed_dictionaries(headers),
        changes,
    )
    return st.builds(lambda draft, body: draft._replace(body=body), drafts, body)


def check(provider: Provider[V], request: Request) -> None:
    """It is answered, and it is not the provider that is wrong."""
    faults = Faults(dice=random.Random(1))  # noqa: S311
    # One that never strikes, so that the addressee is looked for.
    faults.put(Fault(provider=provider.name, kind=FaultKind.CLOSE, share=0), None)
    answer = Front(provider, faults=faults, ledger=Ledger()).answer(request)
    assert answer.reply is not None
    assert 200 <= answer.reply.status < 500


def apns_requests() -> st.SearchStrategy[Request]:
    path = b"/3/device/"
    return requests(
        mostly(st.just(path + minted(ProviderName.APNS).encode()), raw.map(path.__add__) | raw),
        {
            b"authorization": mostly(st.builds(world().bearer), raw.map(b"bearer ".__add__)),
            b"apns-topic": st.just(TOPICS[0].encode()),
            b"apns-push-type": st.just(b"alert"),
            b"apns-priority": st.just(b"5"),
            b"apns-expiration": st.just(b"0"),
            b"apns-id": st.just(b"00000000-0000-0000-0000-000000000000"),
        },
        raw | values.map(as_json) | abysses,
    )


@patient
@given(st.deferred(apns_requests))
def test_apns_answers_anything(request: Request) -> None:
    check(world().apns, request)


def fcm_messages() -> st.SearchStrategy[dict[str, object]]:
    """Messages with one target, names of the schema, and anything below them."""
    tokens = [minted(ProviderName.FCM), minted(ProviderName.FCM, Platform.IOS)]
    targets = st.fixed_dictionaries({"token": mostly(st.sampled_from(tokens), texts)})
    costumed = texts.map(lambda text: {"token": text + FCM_MARK + text})
    names = ["ttl", "headers", "payload", "data", "notification", "fcmOptions", "title"]
    platforms = st.dictionaries(
        st.sampled_from(["data", "notification", "android", "apns", "webpush"]),
        mostly(st.dictionaries(st.sampled_from(names), values, max_size=2), values),
        max_size=2,
    )
    return st.builds(dict[str, object].__or__, targets | costumed, platforms)


def fcm_requests() -> st.SearchStrategy[Request]:
    bodies = st.fixed_dictionaries(
        {"message": mostly(fcm_messages(), values)}, optional={"validate_only": st.booleans()}
    )
    deep = abysses.map(lambda abyss: b'{"message":{"topic":"a","apns":{"payload":%s}}}' % abyss)
    access = st.builds(world().access.issue).map(lambda token: b"Bearer " + token.encode())
    return requests(
        mostly(st.just(b"/v1/projects/p1/messages:send"), raw),
        {b"authorization": mostly(access, raw.map(b"Bearer ".__add__))},
        bodies.map(as_json) | deep | raw | values.map(as_json),
    )


@patient
@given(st.deferred(fcm_requests))
def test_fcm_answers_anything(request: Request) -> None:
    check(world().fcm, request)


def assertions() -> st.SearchStrategy[str]:
    """Claims of any kind, rightly signed; and what is no JWT."""
    now = int(world().clock())
    claims = st.fixed_dictionaries(
        {
            "iss": mostly(st.just(MAIL), values),
            "aud": mostly(st.sampled_from([TOKEN_URI, [TOKEN_URI]]), values),
            "iat": mostly(st.just(now), values),
            "exp": mostly(st.just(now + 60), values),
            "scope": mostly(st.just(SCOPE), values),
        }
    )
    key = world().account_key
    signed = claims.map(lambda draft: jwt.api_jws.encode(as_json(draft), key, algorithm="RS256"))
    return mostly(signed, texts | abysses.map(base64url.encode))


def oauth_requests() -> st.SearchStrategy[Request]:
    forms = assertions().map(
        lambda assertion: urlencode(
            {"grant_type": GRANT_TYPE, "assertion": assertion}, errors="replace"
        )
    )
    return requests(st.just(b"/token"), {}, mostly(forms.map(str.encode), raw | abysses))


@patient
@given(st.deferred(oauth_requests))
def test_the_token_endpoint_answers_anything(request: Request) -> None:
    check(world().oauth, request)


def vapid_headers() -> Bytes:
    """Claims of any kind, rightly signed; and what is no VAPID header."""
    own = base64url.encode(public_point(world().vapid_key.public_key()))
    good = {"aud": ORIGIN, "exp": int(world().clock()) + 60, "sub": "mailto:push@example.com"}

    def header(claims: object, key: str) -> bytes:
        token = jwt.api_jws.encode(as_json(claims), world().vapid_key, algorithm="ES256")
        return f"vapid t={token}, k={key}".encode("utf-8", "replace")

    wrong = st.dictionaries(st.sampled_from(list(good)), values, max_size=1)
    claims = mostly(st.just(good), wrong.map(lambda changes: good | changes) | values)
    signed = st.builds(header, claims, mostly(st.just(own), texts))
    return mostly(signed, raw.map(b"vapid ".__add__))


def webpush_requests() -> st.SearchStrategy[Request]:
    browsers = (Platform.FIREFOX, Platform.CHROME, Platform.EDGE, Platform.SAFARI)
    endpoints = [minted(ProviderName.WEBPUSH, platform) for platform in browsers]
    paths = [endpoint.removeprefix(ORIGIN).encode() for endpoint in endpoints]
    sender = public_point(world().apns_key.public_key())
    head = bytes(16) + (4_096).to_bytes(4) + bytes([65])
    records = st.binary(min_size=17, max_size=150)
    return requests(
        mostly(st.sampled_from(paths), raw),
        {
            b"authorization": vapid_headers(),
            b"ttl": st.sampled_from([b"0", b"60", b"9" * 19]),
            b"topic": st.just(b"news"),
            b"urgency": st.just(b"low"),
            b"content-encoding": st.just(b"aes128gcm"),
            b"x-wns-cache-policy": st.just(b"no-cache"),
        },
        raw | records.map((head + sender).__add__) | records.map((head + bytes(65)).__add__),
    )


@patient
@given(st.deferred(webpush_requests))
def test_push_services_answer_anything(request: Request) -> None:
    check(world().webpush, request)


def admin_requests() -> st.SearchStrategy[Request]:
    tokens = st.lists(st.just(victim()) | texts, max_size=2)
    edges = [0, 1, -1, 2**32, 1e300, float("inf"), float("nan")]
    moments = mostly(st.sampled_from(edges), values)
    mint = st.fixed_dictionaries(
        {"provider": st.just("apns"), "count": st.just(5), "around": moments},
        optional={"topic": values},
    )
    kill = st.fixed_dictionaries({"tokens": tokens}, optional={"dead_since": moments})
    optional = ["seconds", "share", "status", "retry_after", "code", "latency_ms", "headers"]
    fault = st.fixed_dictionaries(
        {"provider": st.sampled_from(list(ProviderName)), "kind": st.sampled_from(list(FaultKind))},
        optional={"tokens": tokens | values, **dict.fromkeys(optional, moments)},
    )
    posts = {b"/population/mint": mint, b"/tokens/kill": kill, b"/faults": fault}
    rightly = [st.tuples(st.just(path), body.map(as_json)) for path, body in posts.items()]
    paths = st.sampled_from([*posts, b"/ledger", b"/tokens/revive", b"/state", b"//[", b""])
    queries = st.just(b"") | raw.map(b"?".__add__)
    wrongly = st.tuples(st.builds(bytes.__add__, paths | raw, queries), raw | abysses)
    methods = st.sampled_from([b"POST", b"POST", b"GET", b"DELETE"])
    return st.builds(
        lambda method, call: Request(method, call[0], {}, repeated=False, body=call[1]),
        methods,
        st.one_of(*rightly, wrongly),
    )


@example(Request(b"GET", b"//[", {}, repeated=False, body=b""))
@patient
@given(st.deferred(admin_requests))
def test_the_admin_interface_answers_anything(request: Request) -> None:
    shares = Shares(dead=1, dead_before=0.5, throttled=0, slow=0)
    admin = Admin(
        population=world().population,
        channels=world().channels,
        shares=shares,
        faults=Faults(dice=random.Random(1)),  # noqa: S311
        ledger=Ledger(),
        connections=dict,
    )
    reply = admin.answer(request).reply
    assert reply is not None
    assert 200 <= reply.status < 500
    # What was killed, whenever that was, can be sent to.
    headers = {b"authorization": world().bearer(), b"apns-topic": TOPICS[0].encode()}
    check(world().apns, post(f"/3/device/{victim()}", headers, b'{"aps":{}}'))


heads = st.builds(
    lambda line, headers: line + b"host: x\r\n" + b"".join(headers) + b"\r\n",
    st.sampled_from([b"POST / HTTP/1.1\r\n", b"HEAD / HTTP/1.1\r\n", b"CONNECT / HTTP/1.1\r\n"])
    | st.sampled_from([b"GET / HTTP/1.0\r\n", b"GET * HTTP/1.1\r\n"]),
    st.sets(
        st.sampled_from(
            [
                b"content-length: 5\r\n",
                b"transfer-encoding: chunked\r\n",
                b"expect: 100-continue\r\n",
                b"connection: upgrade\r\nupgrade: h2c\r\n",
                b"connection: close\r\n",
            ]
        ),
        max_size=2,
    ),
)
bodies = st.sampled_from([b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n"])


@patient
@given(st.lists(heads | heads | bodies | raw, max_size=12))
def test_an_http_1_connection_takes_anything(reads: list[bytes]) -> None:
    server = H1Protocol(Talk(Answer(Reply(404, (), b"body"))), set())
    server.connection_made(MemoryTransport())
    for read in filter(None, reads):
        server.data_received(read)


def frame(kind: int, flags: int, stream_id: int, payload: bytes) -> bytes:
    head = len(payload).to_bytes(3) + bytes([kind, flags])
    return head + stream_id.to_bytes(4) + payload


# :method POST, :scheme https, :path /; with content-length 1; with :status 200; too little
blocks = st.sampled_from(
    [bytes.fromhex(text) for text in ("838784", "8387840f0d0131", "83878488", "88", "")]
)
settings_payloads = st.builds(
    lambda name, value: name.to_bytes(2) + value.to_bytes(4),
    st.integers(0, 9),
    st.sampled_from([0, 1, 2**14, 2**31 - 1, 2**32 - 1]),
)
frames = st.builds(
    frame,
    mostly(st.sampled_from([0, 1, 4, 8]), st.integers(0, 11)),
    mostly(st.sampled_from([0, 1, 4, 5]), st.integers(0, 255)),
    st.sampled_from([0, 1, 1, 3, 5, 2]),
    blocks | settings_payloads | st.integers(0, 2**32 - 1).map(lambda n: n.to_bytes(4)) | raw,
)


@patient
@given(st.lists(frames | frames | raw, max_size=20))
def test_an_http_2_connection_takes_anything(reads: list[bytes]) -> None:
    server = H2Protocol(Talk(Answer(Reply(200, (), b"body"))), Profile(split_end=True), set())
    server.connection_made(MemoryTransport())
    for read in (GREETING, *reads):
        server.data_received(read)
