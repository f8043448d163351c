"""Web Push encryption: CPU per message, beside the bare curve and beside pywebpush."""

import os
from base64 import urlsafe_b64encode
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Final, NamedTuple

from cryptography.hazmat.primitives.asymmetric.ec import (
    ECDH,
    SECP256R1,
    EllipticCurvePublicKey,
    generate_private_key,
)
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from pywebpush import WebPusher

from benchmarks.harness import Bar, Case, Note, Report, Run, Stopwatch
from nuncio_dispatcher.http2 import frames
from nuncio_dispatcher.http2.connection import Connection
from nuncio_dispatcher.http2.exchange import Exchange, Origin, Requests
from nuncio_dispatcher.providers.webpush.auth import VapidTokens
from nuncio_dispatcher.providers.webpush.encryption import encrypt
from nuncio_runtime.clock import SYSTEM_CLOCK

SUBSCRIPTIONS: Final = 500
ROUNDS: Final = 4
"""Turns that each case takes within a run, so that none has the machine's good moments alone."""
SHORT: Final = os.urandom(200)
LONG: Final = os.urandom(3_000)
MOST: Final = 2.0
"""Times the bare curve."""

_CURVE: Final = SECP256R1()
_ORIGIN: Final = Origin("push.example", 443)
_NOW: Final = datetime.now(UTC)


class Subscription(NamedTuple):
    """What is known of a browser; its own key is not needed for sending."""

    path: bytes
    public_key: EllipticCurvePublicKey
    p256dh: bytes
    auth: bytes
    info: dict[str, object]
    """As pywebpush wants it."""


Work = Callable[[Sequence[Subscription]], None]


async def run(*, repeat: int, note: Note) -> Report:
    """Each run lets the cases take turns, with one message to each subscription per turn."""
    subscriptions = [_subscription() for _ in range(SUBSCRIPTIONS)]
    works = _works()
    runs: dict[str, list[Run]] = {name: [] for name in works}
    _take_turns(works, subscriptions, rounds=1)  # what is made at first use is not counted
    for number in range(1, repeat + 1):
        note(f"run {number} of {repeat}")
        for name, each in _take_turns(works, subscriptions, rounds=ROUNDS).items():
            runs[name].append(each)
    cases = {name: Case(name, each) for name, each in runs.items()}
    bare = cases["bare curve: key pair and ECDH"].cpu_us_per_item
    bars = [
        Bar(f"{name}, times the bare curve", round(case.cpu_us_per_item / bare, 2), MOST, "at most")
        for name, case in cases.items()
        if name.startswith("request")
    ]
    return Report(list(cases.values()), bars)


def _works() -> dict[str, Work]:
    return {
        "bare curve: key pair and ECDH": _bare_curve,
        "encrypt, 200 bytes": lambda page: _encrypt(page, SHORT),
        "encrypt, 3,000 bytes": lambda page: _encrypt(page, LONG),
        "request, 200 bytes": lambda page: _requests(page, SHORT),
        "request, 3,000 bytes": lambda page: _requests(page, LONG),
        "pywebpush, 200 bytes": lambda page: _pywebpush(page, SHORT),
        "pywebpush, 3,000 bytes": lambda page: _pywebpush(page, LONG),
    }


def _take_turns(
    works: dict[str, Work], subscriptions: Sequence[Subscription], *, rounds: int
) -> dict[str, Run]:
    """The sum of each case's turns."""
    turns: dict[str, list[Run]] = {name: [] for name in works}
    for _ in range(rounds):
        for name, work in works.items():
            with Stopwatch().measured() as measurement:
                work(subscriptions)
                measurement.items = len(subscriptions)
            turns[name].append(measurement.run)
    return {name: _sum(runs) for name, runs in turns.items()}


def _sum(runs: Sequence[Run]) -> Run:
    return Run(
        items=sum(run.items for run in runs),
        seconds=sum(run.seconds for run in runs),
        client_cpu=sum(run.client_cpu for run in runs),
    )


def _bare_curve(page: Sequence[Subscription]) -> None:
    """What no implementation on `cryptography` can go below, with the receiver's key at hand."""
    for subscription in page:
        generate_private_key(_CURVE).exchange(ECDH(), subscription.public_key)


def _encrypt(page: Sequence[Subscription], text: bytes) -> None:
    for subscription in page:
        assert encrypt(text, subscription.p256dh, subscription.auth) is not None


def _requests(page: Sequence[Subscription], text: bytes) -> None:
    """Encrypt a page, and make the bytes that go to one push service for it."""
    bodies = []
    for subscription in page:
        body = encrypt(text, subscription.p256dh, subscription.auth)
        assert body is not None
        bodies.append(body)
    paths = [subscription.path for subscription in page]
    requests = Requests(
        origin=_ORIGIN,
        fields=(("content-encoding", "aes128gcm"), ("content-type", "application/octet-stream")),
        passing_fields=(("ttl", "3600"), ("urgency", "high"), ("authorization", _authorization())),
        paths=paths,
        bodies=bodies,
    )
    exchange = Exchange(requests, answer_within=20.0, heard=lambda *_: None)
    connection = _connection()
    assert connection.write(exchange, len(page), at=_NOW, now=0.0) == len(page)
    assert len(connection.take_output()) > len(page) * len(text)


def _authorization() -> str:
    """A token is signed once per hour and push service; here for each page."""
    key = generate_private_key(_CURVE)
    tokens = VapidTokens(key, subject="mailto:push@example.com", clock=SYSTEM_CLOCK)
    return tokens.header(str(_ORIGIN)).reveal()


def _connection() -> Connection:
    """To a push service that takes whole pages at once."""
    connection = Connection(now=0.0)
    settings = frames.settings({frames.MAX_CONCURRENT_STREAMS: SUBSCRIPTIONS})
    window = frames.window_update(0, frames.LARGEST_WINDOW - frames.DEFAULT_WINDOW)
    connection.receive(settings + window, at=_NOW, now=0.0)
    return connection


def _pywebpush(page: Sequence[Subscription], text: bytes) -> None:
    """A WebPusher serves one subscription, so one is made for each message."""
    for subscription in page:
        assert WebPusher(subscription.info).encode(text)["body"]


def _subscription() -> Subscription:
    public_key = generate_private_key(_CURVE).public_key()
    p256dh = public_key.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    auth = os.urandom(16)
    path = b"/wpush/v2/" + _base64url(os.urandom(120))
    info: dict[str, object] = {
        "endpoint": f"{_ORIGIN}{path.decode()}",
        "keys": {"p256dh": _base64url(p256dh).decode(), "auth": _base64url(auth).decode()},
    }
    return Subscription(path, public_key, p256dh, auth, info)


def _base64url(raw: bytes) -> bytes:
    return urlsafe_b64encode(raw).rstrip(b"=")
