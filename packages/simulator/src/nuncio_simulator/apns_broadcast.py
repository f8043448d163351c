"""APNs: POST /4/broadcasts/apps/<bundle id>, one message for all who follow a channel.

Sources: Apple, "Sending broadcast push notification requests to APNs", "Handling error responses
from Apple Push Notification service". Apple names no order of checks; that of /3/device is kept.
"""

import re
from typing import Final
from uuid import uuid4

import orjson

from nuncio_simulator.channels import Channels
from nuncio_simulator.provider import Result
from nuncio_simulator.wire import Reply, Request

PATH: Final = b"/4/broadcasts/apps/"
PAYLOAD_LIMIT: Final = 5_120
PRIORITIES: Final = {b"1", b"5", b"10"}
EXPIRATION: Final = re.compile(rb"[0-9]{1,19}")
UUID: Final = re.compile(rb"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}")

BROADCAST_REFUSALS: Final = {
    "BadChannelId": 400,
    "BadRequestParams": 400,
    "BadRequestPayload": 400,
    "CannotCreateChannelConfig": 400,
    "ChannelNotRegistered": 400,
    "FeatureNotEnabled": 400,
    "MissingChannelId": 400,
    "MissingPushType": 400,
    "TopicMismatch": 403,
}


class Broadcasts:
    """Broadcasts of one environment."""

    def __init__(self, channels: Channels, *, topics: tuple[str, ...], sandbox: bool) -> None:
        self._channels = channels
        self._topics = topics
        self._sandbox = sandbox

    def refusal(self, request: Request, bearer: str) -> str:
        """Why a broadcast is refused; empty when it is taken. bearer: the same of its sender."""
        return (
            self._wrong_form(request)
            or _wrong_options(request.headers)
            or self._wrong_channel(
                request.headers, request.path.removeprefix(PATH).decode("latin-1")
            )
            or bearer
            or _wrong_payload(request.body)
        )

    def acceptance(self, request: Request) -> Result:
        """The answer to a broadcast that is taken."""
        given = request_id(request)
        unique = ((b"apns-unique-id", str(uuid4()).encode()),) if self._sandbox else ()
        return Result(
            Reply(200, ((b"apns-request-id", given), *unique)),
            accepted_id=given.decode(),
            token=request.headers[b"apns-channel-id"].decode(),
        )

    def _wrong_form(self, request: Request) -> str:
        given = request.headers.get(b"apns-request-id")
        if given is not None and UUID.fullmatch(given) is None:
            return "BadMessageId"
        if request.repeated:
            return "DuplicateHeaders"
        if request.method != b"POST":
            return "MethodNotAllowed"
        if request.path.removeprefix(PATH).decode("latin-1") not in self._topics:
            return "FeatureNotEnabled"
        return "BadRequestParams" if b"apns-topic" in request.headers else ""

    def _wrong_channel(self, headers: dict[bytes, bytes], bundle_id: str) -> str:
        text = headers.get(b"apns-channel-id")
        if not text:
            return "MissingChannelId"
        channel = self._channels.find(text)
        if channel is None or channel.sandbox is not self._sandbox:
            return "BadChannelId"
        if self._topics[channel.topic] != bundle_id:
            return "TopicMismatch"
        if self._channels.is_deleted(text):
            return "ChannelNotRegistered"
        # A channel that stores nothing takes only what is for now.
        now_only = headers.get(b"apns-expiration", b"0") == b"0"
        return "" if channel.stores or now_only else "BadExpirationDate"


def request_id(request: Request) -> bytes:
    """The request's apns-request-id, or a new one when it has none that is valid."""
    given = request.headers.get(b"apns-request-id", b"")
    return given if UUID.fullmatch(given) else str(uuid4()).encode()


def _wrong_options(headers: dict[bytes, bytes]) -> str:
    push_type = headers.get(b"apns-push-type")
    if push_type is None:
        return "MissingPushType"
    if push_type != b"liveactivity":
        return "InvalidPushType"
    if EXPIRATION.fullmatch(headers.get(b"apns-expiration", b"0")) is None:
        return "BadExpirationDate"
    return "" if headers.get(b"apns-priority", b"10") in PRIORITIES else "BadPriority"


def _wrong_payload(body: bytes) -> str:
    if not body:
        return "PayloadEmpty"
    if len(body) > PAYLOAD_LIMIT:
        return "PayloadTooLarge"
    try:
        payload = orjson.loads(body)
    except orjson.JSONDecodeError:
        payload = None
    aps = payload.get("aps") if isinstance(payload, dict) else None
    return "" if isinstance(aps, dict) else "BadRequestPayload"
