"""APNs: POST /3/device/<token>, checked as Apple checks it.

Sources: Apple, "Sending notification requests to APNs", "Handling notification responses from
APNs", "Establishing a token-based connection to APNs". The order of the checks is that of pushy's
mock server.
"""

from dataclasses import dataclass
from typing import Final
from uuid import uuid4

import orjson

from nuncio_simulator import apns_broadcast
from nuncio_simulator.apns_auth import BEARER_REFUSALS, ApnsVisit, BearerChecks
from nuncio_simulator.apns_broadcast import BROADCAST_REFUSALS, EXPIRATION, UUID, Broadcasts
from nuncio_simulator.certificates import ClientCertificate, read_certificate
from nuncio_simulator.channels import Channels
from nuncio_simulator.contract import Fault, FaultKind, ProviderName
from nuncio_simulator.population import Population
from nuncio_simulator.provider import Clock, Result, extra_headers
from nuncio_simulator.tokens import Known
from nuncio_simulator.wire import GoAway, Reply, Request

PATH: Final = b"/3/device/"
STATUS: Final = {
    "BadCollapseId": 400,
    "BadDeviceToken": 400,
    "BadExpirationDate": 400,
    "BadMessageId": 400,
    "BadPriority": 400,
    "BadTopic": 400,
    "DeviceTokenNotForTopic": 400,
    "DuplicateHeaders": 400,
    "IdleTimeout": 400,
    "InvalidPushType": 400,
    "MissingDeviceToken": 400,
    "MissingTopic": 400,
    "PayloadEmpty": 400,
    "TopicDisallowed": 400,
    "BadCertificate": 403,
    "BadCertificateEnvironment": 403,
    "Forbidden": 403,
    **BEARER_REFUSALS,
    **BROADCAST_REFUSALS,
    "BadPath": 404,
    "MethodNotAllowed": 405,
    "ExpiredToken": 410,
    "Unregistered": 410,
    "PayloadTooLarge": 413,
    "TooManyRequests": 429,
    "InternalServerError": 500,
    "ServiceUnavailable": 503,
    "Shutdown": 503,
}
SUFFIXES: Final = {
    b"alert": b"",
    b"background": b"",
    b"complication": b".complication",
    b"controls": b".push-type.controls",
    b"fileprovider": b".pushkit.fileprovider",
    b"liveactivity": b".push-type.liveactivity",
    b"location": b".location-query",
    b"mdm": b"",
    b"pushtotalk": b".voip-ptt",
    b"voip": b".voip",
    b"widgets": b".push-type.widgets",
}
DEFAULT_REASONS: Final = {
    FaultKind.CREDENTIAL: "InvalidProviderToken",
    FaultKind.SHUTDOWN: "Shutdown",
}
PAYLOAD_LIMIT: Final = 4_096
VOIP_PAYLOAD_LIMIT: Final = 5_120
COLLAPSE_ID_LIMIT: Final = 64
PRIORITIES: Final = {
    # A background push has to be 5, and 10 is the default. Apple names no reason for it.
    b"background": {b"5"},
    b"location": {b"5", b"10"},
}
ANY_PRIORITY: Final = {b"1", b"5", b"10"}


@dataclass(frozen=True, kw_only=True, slots=True)
class ApnsRules:
    """What one environment of APNs goes by."""

    sandbox: bool
    topics: tuple[str, ...]
    streams: int
    """How many, once a valid JWT was seen."""
    streams_fall: bool
    """Whether a refused notification brings the limit down to 1 until the next accepted one."""
    bad_tokens: int = 0
    """How many BadDeviceToken end a connection; 0: any number is borne."""


class Apns:
    """One environment of APNs; a Provider."""

    def __init__(
        self,
        rules: ApnsRules,
        *,
        bearer: BearerChecks,
        population: Population,
        channels: Channels,
        clock: Clock,
    ) -> None:
        self.name = ProviderName.APNS_SANDBOX if rules.sandbox else ProviderName.APNS
        self._rules = rules
        self._bearer = bearer
        self._population = population
        self._clock = clock
        self._broadcasts = Broadcasts(channels, topics=rules.topics, sandbox=rules.sandbox)
        self._topics = {
            topic.encode() + suffix: (index, suffix)
            for index, topic in enumerate(rules.topics)
            for suffix in SUFFIXES.values()
        }

    def open(self, certificate: bytes = b"") -> ApnsVisit:
        """A connection starts with one stream, unless the client showed a certificate, in DER."""
        if not certificate:
            return ApnsVisit(stream_limit=1)
        return ApnsVisit(self._rules.streams, read_certificate(certificate))

    def addressee(self, request: Request) -> Known | None:
        """The token in the path."""
        return self._population.find(request.path.removeprefix(PATH).decode("latin-1"))

    def answer(self, request: Request, visit: ApnsVisit) -> Result:
        """Validate, then let the token's fate decide."""
        request = _with_topic(request, visit)
        # Judged first, for what it does to the connection; reported in its turn.
        sender = self._wrong_sender(request, visit)
        if not sender:
            visit.stream_limit = self._rules.streams
        if request.path.startswith(apns_broadcast.PATH):
            reason = self._broadcasts.refusal(request, sender)
            if reason:
                return self._refusal(request, visit, reason=reason, token=None)
            return self._broadcasts.acceptance(request)
        token = self.addressee(request)
        reason = (
            self._wrong_form(request, visit)
            or self._wrong_target(request, token)
            or sender
            or _wrong_payload(request)
        )
        if not reason and token is not None and self._population.throttles(token):
            reason = "TooManyRequests"
        if reason:
            return self._refusal(request, visit, reason=reason, token=token)
        return self._acceptance(request, token)

    def _wrong_sender(self, request: Request, visit: ApnsVisit) -> str:
        certificate = visit.certificate
        if certificate is None:
            return self._bearer.judge(request.headers.get(b"authorization"), visit)
        if not certificate.topics:
            return "BadCertificate"
        fits = certificate.sandbox if self._rules.sandbox else certificate.production
        return "" if fits else "BadCertificateEnvironment"

    def refuse(self, fault: Fault, token: Known | None) -> Result:
        """Any of Apple's reasons; credential defaults to InvalidProviderToken."""
        reason = fault.reason or DEFAULT_REASONS.get(fault.kind, "TooManyRequests")
        status = fault.status or STATUS.get(reason, 400)
        body = self._refusal_body(reason, status, token)
        headers = ((b"apns-id", str(uuid4()).encode()), *extra_headers(fault))
        return Result(Reply(status, headers, body), reason, token=_text(token))

    def _wrong_form(self, request: Request, visit: ApnsVisit) -> str:
        headers = request.headers
        apns_id = headers.get(b"apns-id")
        if apns_id is not None and UUID.fullmatch(apns_id) is None:
            return "BadMessageId"
        if request.repeated:
            return "DuplicateHeaders"
        if request.method != b"POST":
            return "MethodNotAllowed"
        return self._wrong_topic(headers, visit.certificate) or _wrong_options(headers)

    def _wrong_topic(
        self, headers: dict[bytes, bytes], certificate: ClientCertificate | None
    ) -> str:
        topic = headers.get(b"apns-topic")
        if topic is None:
            return "MissingTopic"
        if not topic.strip():
            return "BadTopic"
        known = topic in self._topics
        # A certificate of no topic is refused in its turn, as a certificate.
        covered = certificate is None or not certificate.topics or topic in certificate.topics
        return "" if known and covered else "TopicDisallowed"

    def _wrong_target(self, request: Request, token: Known | None) -> str:
        headers = request.headers
        index, suffix = self._topics[headers[b"apns-topic"]]
        push_type = headers.get(b"apns-push-type")
        if push_type is not None and SUFFIXES.get(push_type) != suffix:
            return "InvalidPushType"
        if not request.path.startswith(PATH):
            return "BadPath"
        if request.path == PATH:
            return "MissingDeviceToken"
        if (
            token is None
            or token.label.provider is not ProviderName.APNS
            or token.label.sandbox is not self._rules.sandbox
        ):
            return "BadDeviceToken"
        if self._population.dead_since(token) is not None:
            return "Unregistered"
        return "" if token.label.topic == index else "DeviceTokenNotForTopic"

    def _refusal(
        self, request: Request, visit: ApnsVisit, *, reason: str, token: Known | None
    ) -> Result:
        status = STATUS[reason]
        if self._rules.streams_fall and status != 410:  # 410 does not count as an error
            visit.stream_limit = 1
        goaway = None
        if reason == "BadDeviceToken":
            visit.bad_tokens += 1
            goaway = GoAway() if visit.bad_tokens == self._rules.bad_tokens else None
        body = self._refusal_body(reason, status, token)
        reply = Reply(status, (self._id(request),), body)
        return Result(reply, reason, token=_text(token), goaway=goaway)

    def _refusal_body(self, reason: str, status: int, token: Known | None) -> bytes:
        if status != 410:
            return orjson.dumps({"reason": reason})
        died = self._population.dead_since(token) if token is not None else None
        moment = self._clock() if died is None else died
        return orjson.dumps({"reason": reason, "timestamp": int(moment * 1_000)})

    def _acceptance(self, request: Request, token: Known | None) -> Result:
        assert token is not None, "a request without a token was refused"
        apns_id = self._id(request)
        if self._population.mailbox:
            self._store(request.headers, token, apns_id[1].decode())
        unique = ((b"apns-unique-id", str(uuid4()).encode()),) if self._rules.sandbox else ()
        delay = self._population.delay(token)
        return Result(
            Reply(200, (apns_id, *unique)),
            accepted_id=apns_id[1].decode(),
            token=token.text,
            delay=delay,
        )

    def _store(self, headers: dict[bytes, bytes], token: Known, accepted_id: str) -> None:
        """One notification waits for a device and app. Without an expiration it may."""
        expires = int(headers.get(b"apns-expiration", b"9" * 19))
        topic = headers[b"apns-topic"].decode("latin-1")
        mailbox = self._population.mailbox
        mailbox.store(token.core, accepted_id, slot=topic, lasts=expires > self._clock())

    @staticmethod
    def _id(request: Request) -> tuple[bytes, bytes]:
        """The request's apns-id, or a new one when it has none that is valid."""
        apns_id = request.headers.get(b"apns-id")
        if apns_id is None or UUID.fullmatch(apns_id) is None:
            apns_id = str(uuid4()).encode()
        return b"apns-id", apns_id


def _with_topic(request: Request, visit: ApnsVisit) -> Request:
    """The request with its certificate's topic, if it names none and there is one only."""
    certificate = visit.certificate
    if certificate is None or len(certificate.topics) != 1 or b"apns-topic" in request.headers:
        return request
    if request.path.startswith(apns_broadcast.PATH):
        return request
    [topic] = certificate.topics
    return request._replace(headers={**request.headers, b"apns-topic": topic})


def _wrong_options(headers: dict[bytes, bytes]) -> str:
    if len(headers.get(b"apns-collapse-id", b"")) > COLLAPSE_ID_LIMIT:
        return "BadCollapseId"
    if EXPIRATION.fullmatch(headers.get(b"apns-expiration", b"0")) is None:
        return "BadExpirationDate"
    push_type = headers.get(b"apns-push-type", b"alert")
    if headers.get(b"apns-priority", b"10") not in PRIORITIES.get(push_type, ANY_PRIORITY):
        return "BadPriority"
    return "" if push_type in SUFFIXES else "InvalidPushType"


def _wrong_payload(request: Request) -> str:
    voip = request.headers.get(b"apns-push-type") == b"voip"
    if len(request.body) > (VOIP_PAYLOAD_LIMIT if voip else PAYLOAD_LIMIT):
        return "PayloadTooLarge"
    try:
        payload = orjson.loads(request.body)
    except orjson.JSONDecodeError:
        payload = None
    # Apple documents no reason for a payload that is not a JSON object.
    return "" if isinstance(payload, dict) and payload else "PayloadEmpty"


def _text(token: Known | None) -> str | None:
    return None if token is None else token.text
