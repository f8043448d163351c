"""Web Push: POST to an endpoint, checked as four push services check it, and decrypted.

Sources: RFC 8030, RFC 8291, RFC 8292.
"""

import re
from typing import Final
from uuid import uuid4

from nuncio_simulator.aes128gcm import CannotDecryptError, Device, decrypt, sender_key
from nuncio_simulator.contract import Fault, FaultKind, Platform, ProviderName
from nuncio_simulator.personalities import QUIRKS, VOICES, Problem
from nuncio_simulator.population import Population, fingerprint
from nuncio_simulator.provider import (
    THROTTLE_SECONDS,
    Result,
    Visit,
    extra_headers,
    retry_after,
)
from nuncio_simulator.tokens import ENDPOINT_PATHS, Known
from nuncio_simulator.vapid import VapidChecks, Voucher
from nuncio_simulator.wire import Reply, Request

STREAMS: Final = 100
DEFAULT_REASONS: Final = {
    FaultKind.CREDENTIAL: Problem.BAD_CREDENTIAL,
    FaultKind.SHUTDOWN: Problem.UNAVAILABLE,
}
BODY_LIMIT: Final = 4_096
TTL: Final = re.compile(rb"[0-9]{1,19}")
MAX_TTL: Final = 30 * 86_400  # what autopush keeps a message for, at most
URGENCIES: Final = {b"very-low", b"low", b"normal", b"high"}
TOPIC: Final = re.compile(rb"[A-Za-z0-9_-]{1,32}")


class WebPush:
    """Four push services on one origin, told apart by path; a Provider."""

    name = ProviderName.WEBPUSH

    def __init__(
        self,
        origin: str,
        *,
        vapid: VapidChecks,
        population: Population,
        max_ttl: int = MAX_TTL,
    ) -> None:
        """max_ttl: seconds for which a message is kept at most, whatever TTL asks for."""
        self._max_ttl = max_ttl
        self._origin = origin
        self._vapid = vapid
        self._population = population

    def open(self) -> Visit:
        """Nothing is remembered about a connection."""
        return Visit(STREAMS)

    def addressee(self, request: Request) -> Known | None:
        """The subscription in the path."""
        known = self._population.find(request.path.decode("latin-1"))
        return known if known is not None and known.label.provider is self.name else None

    def answer(self, request: Request, visit: Visit) -> Result:  # noqa: ARG002 - a Provider's
        """Validate, then let the subscription's fate decide."""
        token = self.addressee(request)
        service = _service_at(request.path.decode("latin-1"))
        problem = _wrong_form(request, service) or self._wrong_sender(request, token)
        if problem is None and token is not None:
            problem = self._fate(token)
        if problem is not None:
            return _refusal(problem, service, token)
        return self._deliver(request, token)

    def refuse(self, fault: Fault, token: Known | None) -> Result:
        """A refusal by a Problem's name, or plain text with the fault's status."""
        reason = fault.reason or DEFAULT_REASONS.get(fault.kind, Problem.THROTTLED)
        if reason in set(Problem):
            service = Platform.FIREFOX if token is None else token.label.platform
            reply = VOICES[service](Problem(reason))
        else:
            reply = QUIRKS.get(reason, Reply(400, (), reason.encode()))
        status = fault.status or reply.status
        headers = reply.headers + extra_headers(fault)
        text = None if token is None else token.text
        return Result(reply._replace(status=status, headers=headers), reason, token=text)

    def _wrong_sender(self, request: Request, token: Known | None) -> Problem | None:
        header = request.headers.get(b"authorization")
        if header is None:
            return Problem.NO_CREDENTIAL
        voucher = self._vapid.judge(header)
        if voucher is None:
            return Problem.BAD_CREDENTIAL
        if token is None:
            return Problem.UNKNOWN
        return _wrong_key(voucher, token, request.body)

    def _fate(self, token: Known) -> Problem | None:
        if self._population.dead_since(token) is not None:
            return Problem.GONE
        return Problem.THROTTLED if self._population.throttles(token) else None

    def _deliver(self, request: Request, token: Known | None) -> Result:
        assert token is not None, "a request without a subscription was refused"
        plaintext = None
        if request.body:
            device = Device.from_secret(self._population.device_secret(token))
            try:
                plaintext = decrypt(request.body, device)
            except CannotDecryptError:
                return _refusal(Problem.UNDECRYPTABLE, token.label.platform, token)
        location = f"{self._origin}/m/{uuid4()}"
        ttl = min(int(request.headers[b"ttl"]), self._max_ttl)
        topic = request.headers.get(b"topic")
        slot = None if topic is None else topic.decode()
        self._population.mailbox.store(token.core, location, slot=slot, lasts=ttl > 0)
        headers = ((b"location", location.encode()), (b"ttl", b"%d" % ttl))
        return Result(
            Reply(201, headers),
            accepted_id=location,
            token=token.text,
            delay=self._population.delay(token),
            plaintext=plaintext,
        )


def _service_at(path: str) -> Platform:
    """Who speaks at this path; where nobody does, autopush answers."""
    for platform, prefix in ENDPOINT_PATHS.items():
        if path.startswith(prefix):
            return platform
    return Platform.FIREFOX


def _wrong_form(request: Request, service: Platform) -> Problem | None:
    headers = request.headers
    if request.method != b"POST":
        return Problem.BAD_METHOD
    wrong_ttl = _wrong_ttl(headers, service)
    if wrong_ttl is not None:
        return wrong_ttl
    if headers.get(b"urgency", b"normal") not in URGENCIES:
        return Problem.BAD_URGENCY
    if TOPIC.fullmatch(headers.get(b"topic", b"topic")) is None:
        return Problem.BAD_TOPIC
    return _wrong_body(request)


def _wrong_ttl(headers: dict[bytes, bytes], service: Platform) -> Problem | None:
    ttl = headers.get(b"ttl")
    if ttl is None:
        return Problem.MISSING_TTL
    if TTL.fullmatch(ttl) is None:
        negative = ttl.startswith(b"-") and TTL.fullmatch(ttl[1:]) is not None
        return Problem.NEGATIVE_TTL if negative else Problem.BAD_TTL
    if service is not Platform.EDGE or int(ttl) > 0:
        return None
    # A policy beside another TTL is not documented to matter.
    no_cache = headers.get(b"x-wns-cache-policy") == b"no-cache"
    return None if no_cache else Problem.TTL_CONFLICT


def _wrong_body(request: Request) -> Problem | None:
    if len(request.body) > BODY_LIMIT:
        return Problem.TOO_LARGE
    encoding = request.headers.get(b"content-encoding")
    expected = b"aes128gcm" if request.body else None
    return None if encoding == expected else Problem.BAD_ENCODING


def _wrong_key(voucher: Voucher, token: Known, body: bytes) -> Problem | None:
    if fingerprint(voucher.key) != token.label.vapid_key:
        return Problem.KEY_MISMATCH
    # RFC 8292, section 4.2: the key that signs has to differ from the one that encrypts.
    return Problem.BAD_ENCODING if sender_key(body) == voucher.key else None


def _refusal(problem: Problem, service: Platform, token: Known | None) -> Result:
    reply = VOICES[service](problem)
    if problem is Problem.THROTTLED:
        reply = reply._replace(headers=reply.headers + retry_after(THROTTLE_SECONDS))
    return Result(reply, problem, token=None if token is None else token.text)
