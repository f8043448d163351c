"""What APNs answers, and what each answer means.

Sources: Apple, "Handling notification responses from APNs", "Handling error responses from APNs".
"""

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any, Final, NamedTuple

import orjson

from nuncio_dispatcher.domain.model import Provider, Verdict
from nuncio_dispatcher.providers.answers import (
    ACCEPTED,
    Aftermath,
    Answer,
    Replied,
    read_retry_after,
    unlisted,
)


class Row(NamedTuple):
    """One row of the table."""

    verdict: Verdict
    aftermath: Aftermath = Aftermath.NONE


_REFUSED: Final = Row(Verdict.REFUSED)
# A connection knows the team and its topics as they were with its first request, so that what is
# mended on Apple's side shows on a new one only.
_MISCONFIGURED: Final = Row(Verdict.MISCONFIGURED, Aftermath.PAUSE | Aftermath.RECONNECT)
_DOUBTFUL: Final = Row(Verdict.TOKEN_DOUBTFUL)
_RETRY: Final = Row(Verdict.RETRY)
_RETRY_ELSEWHERE: Final = Row(Verdict.RETRY, Aftermath.RECONNECT)

ANSWERS: Final[Mapping[tuple[int, str], Row]] = {
    # The request is wrong: a bug of ours, or a message that no check caught.
    (400, "BadCollapseId"): _REFUSED,
    (400, "BadExpirationDate"): _REFUSED,
    (400, "BadMessageId"): _REFUSED,
    (400, "BadPriority"): _REFUSED,
    (400, "InvalidPushType"): _REFUSED,
    (400, "DuplicateHeaders"): _REFUSED,
    (400, "PayloadEmpty"): _REFUSED,
    (413, "PayloadTooLarge"): _REFUSED,
    # The topic is part of the credential, not of the message.
    (400, "BadTopic"): _MISCONFIGURED,
    (400, "MissingTopic"): _MISCONFIGURED,
    (400, "TopicDisallowed"): _MISCONFIGURED,
    # A good token of the other environment looks the same, so never dead on sight.
    (400, "BadDeviceToken"): _DOUBTFUL,
    # A good token of another topic. Some services pass it on as 410.
    (400, "DeviceTokenNotForTopic"): _DOUBTFUL,
    (410, "DeviceTokenNotForTopic"): _DOUBTFUL,
    # The path ended before the token: what is stored for this installation is empty.
    (400, "MissingDeviceToken"): Row(Verdict.TOKEN_DEAD),
    # Refused because of the connection, before the notification was looked at.
    (400, "IdleTimeout"): _RETRY_ELSEWHERE,
    (503, "Shutdown"): _RETRY_ELSEWHERE,
    # Another key was used first on this connection. See ApnsClient for a connection of ours alone.
    (403, "UnrelatedKeyIdInToken"): _RETRY_ELSEWHERE,
    (403, "BadCertificate"): _MISCONFIGURED,
    (403, "BadCertificateEnvironment"): _MISCONFIGURED,
    (403, "InvalidProviderToken"): _MISCONFIGURED,
    (403, "MissingProviderToken"): _MISCONFIGURED,
    (403, "Forbidden"): _MISCONFIGURED,
    # One reason in two spellings: Apple's page, and what is seen on the wire.
    (403, "BadEnvironmentKeyIdInToken"): _MISCONFIGURED,
    (403, "BadEnvironmentKeyInToken"): _MISCONFIGURED,
    # With a new JWT on a new connection: this one refuses everything from now on.
    (403, "ExpiredProviderToken"): Row(Verdict.RETRY, Aftermath.NEW_TOKEN | Aftermath.RECONNECT),
    # The origin is no APNs; or a token that is none, so that one alone does not stop the lane.
    (404, "BadPath"): Row(Verdict.MISCONFIGURED),
    (405, "MethodNotAllowed"): Row(Verdict.MISCONFIGURED),
    # Dead since the answer's timestamp.
    (410, "Unregistered"): Row(Verdict.TOKEN_DEAD),
    (410, "ExpiredToken"): Row(Verdict.TOKEN_DEAD),
    # This token only, not the lane.
    (429, "TooManyRequests"): _RETRY,
    # About our JWTs, not about the device: the old one goes on, on another connection.
    (429, "TooManyProviderTokenUpdates"): Row(
        Verdict.RETRY, Aftermath.KEEP_TOKEN | Aftermath.RECONNECT
    ),
    (500, "InternalServerError"): _RETRY,
    (503, "ServiceUnavailable"): _RETRY,
    # One reason in two spellings: for devices, and for broadcast channels.
    (503, "Service Unavailable"): _RETRY,
    # Broadcasts. The channel is the caller's, not a token that could be retired.
    (400, "MissingChannelId"): _REFUSED,
    (400, "BadChannelId"): _REFUSED,
    (400, "ChannelNotRegistered"): _REFUSED,
    (400, "BadRequestParams"): _REFUSED,
    (400, "BadRequestPayload"): _REFUSED,
    (400, "MissingPushType"): _REFUSED,
    # The app has no broadcast capability, or the credential none for its broadcasts. Its other
    # pushes go on, so the lane does, too.
    (400, "FeatureNotEnabled"): Row(Verdict.MISCONFIGURED),
    (403, "TopicMismatch"): Row(Verdict.MISCONFIGURED),
}


def classify(reply: Replied, *, now: datetime, quota_wait: timedelta) -> Answer:
    """What an answer means. quota_wait: for a 429 that names no wait; Apple documents no header.

    Pure, but for the count of unlisted ones.
    """
    if reply.status == 200:
        return ACCEPTED
    refusal = _refusal(reply.body)
    reason = refusal.get("reason")
    reason = reason if isinstance(reason, str) else ""
    wait = read_retry_after(reply.headers, now=now)
    if wait is None and reply.status == 429:
        wait = quota_wait
    row = ANSWERS.get((reply.status, reason))
    if row is None:
        return unlisted(Provider.APNS, reply.status, reason, retry_after=wait)
    dead_since = None
    if row.verdict is Verdict.TOKEN_DEAD:
        dead_since = _moment(refusal.get("timestamp"))
    return Answer(row.verdict, reason, wait, dead_since=dead_since, aftermath=row.aftermath)


def _refusal(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}


def _moment(timestamp: object) -> datetime | None:
    """Milliseconds since 1970 UTC as a moment."""
    if isinstance(timestamp, bool) or not isinstance(timestamp, int | float):
        return None
    try:
        return datetime.fromtimestamp(timestamp / 1000, UTC)
    except (ValueError, OverflowError, OSError):
        return None
