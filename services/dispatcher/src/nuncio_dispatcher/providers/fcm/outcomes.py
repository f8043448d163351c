"""What FCM answers, and what each answer means.

Sources: Firebase, "ErrorCode", "FCM error codes", "Best practices when sending FCM messages at
scale"; shapes that those leave out, as others have seen them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
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

GATEWAY_WAIT: Final = timedelta(seconds=30)
"""What the page that comes with a 502 asks for."""


class Row(NamedTuple):
    """One row of a table."""

    verdict: Verdict
    aftermath: Aftermath = Aftermath.NONE


_RETRY: Final = Row(Verdict.RETRY)
_MISCONFIGURED: Final = Row(Verdict.MISCONFIGURED, Aftermath.PAUSE)
_MISCONFIGURED_PART: Final = Row(Verdict.MISCONFIGURED, Aftermath.PAUSE_PART)

# FCM's own code, in a detail of type FcmError, decides first: the message may mislead.
ANSWERS: Final[Mapping[tuple[int, str], Row]] = {
    # A bad payload, unless the details point at the token: see `_points_at_token`.
    (400, "INVALID_ARGUMENT"): Row(Verdict.REFUSED),
    # The APNs or Web Push key in the Firebase console: Android goes on working. Two names.
    (401, "THIRD_PARTY_AUTH_ERROR"): _MISCONFIGURED_PART,
    (401, "APNS_AUTH_ERROR"): _MISCONFIGURED_PART,
    # A token of another project. Which one it was made for is not stored, and with the wrong
    # service account every token looks so: never dead on sight.
    (403, "SENDER_ID_MISMATCH"): Row(Verdict.TOKEN_DOUBTFUL),
    (404, "UNREGISTERED"): Row(Verdict.TOKEN_DEAD),
    (429, "QUOTA_EXCEEDED"): _RETRY,
    (500, "INTERNAL"): _RETRY,
    (503, "UNAVAILABLE"): _RETRY,
}

# Without such a detail it was not FCM that refused, but what stands before it.
BARE_ANSWERS: Final[Mapping[int, tuple[Row, str]]] = {
    # Seen for a payload that is too large.
    400: (Row(Verdict.REFUSED), "INVALID_ARGUMENT"),
    # Our access token; see AccessTokens.refuse.
    401: (Row(Verdict.RETRY, Aftermath.NEW_TOKEN), "UNAUTHENTICATED"),
    # IAM, or the API is off.
    403: (_MISCONFIGURED, "PERMISSION_DENIED"),
    # A wrong project or path, not a dead token.
    404: (_MISCONFIGURED, "NOT_FOUND"),
    429: (_RETRY, "RESOURCE_EXHAUSTED"),
    500: (_RETRY, "INTERNAL"),
    502: (_RETRY, "BAD_GATEWAY"),
    503: (_RETRY, "UNAVAILABLE"),
    504: (_RETRY, "GATEWAY_TIMEOUT"),
}

# What APNs said to FCM, in a detail of type ApnsError, where FCM's code is INVALID_ARGUMENT.
APNS_ANSWERS: Final[Mapping[tuple[int, str], Verdict]] = {
    # A dead iOS token reported as 400: «APNs device token is disabled.»
    (410, "Unregistered"): Verdict.TOKEN_DEAD,
    (410, "ExpiredToken"): Verdict.TOKEN_DEAD,
    # As in our own APNs table: perhaps only the wrong environment or topic.
    (400, "BadDeviceToken"): Verdict.TOKEN_DOUBTFUL,
    (400, "DeviceTokenNotForTopic"): Verdict.TOKEN_DOUBTFUL,
}


class Refusal(NamedTuple):
    """What is read of an error's body; empty where it says nothing."""

    code: str = ""
    message: str = ""
    apns: tuple[int, str] = (0, "")
    fields: tuple[str, ...] = ()
    quota: str = ""
    """Which quota is used up, in FCM's words, in lower case."""


def classify(reply: Replied, *, now: datetime, quota_wait: timedelta) -> Answer:
    """What an answer means. quota_wait: for a 429 that names no wait. Pure, but for the count."""
    if reply.status == 200:
        return ACCEPTED
    refusal = read_refusal(reply.body)
    wait = _wait(reply, now=now, quota_wait=quota_wait)
    answer = _judged(reply.status, refusal, wait)
    if _is_about_all(reply, refusal):
        return answer._replace(aftermath=answer.aftermath | Aftermath.SLOW_DOWN)
    return answer


def _judged(status: int, refusal: Refusal, wait: timedelta | None) -> Answer:
    if refusal.code:
        return _coded(status, refusal, wait)
    if status == 400 and _points_at_token(refusal):
        return Answer(Verdict.TOKEN_DEAD, "INVALID_ARGUMENT")
    if status not in BARE_ANSWERS:
        return unlisted(Provider.FCM, status, retry_after=wait)
    row, reason = BARE_ANSWERS[status]
    return Answer(row.verdict, reason, wait, aftermath=row.aftermath)


def _coded(status: int, refusal: Refusal, wait: timedelta | None) -> Answer:
    row = ANSWERS.get((status, refusal.code))
    if row is None:
        # UNSPECIFIED_ERROR, too: it says no more than the status.
        return unlisted(Provider.FCM, status, refusal.code, retry_after=wait)
    if refusal.code == "INVALID_ARGUMENT":
        if refusal.apns in APNS_ANSWERS:
            return Answer(APNS_ANSWERS[refusal.apns], refusal.apns[1])
        if _points_at_token(refusal):
            return Answer(Verdict.TOKEN_DEAD, refusal.code)
    return Answer(row.verdict, refusal.code, wait, aftermath=row.aftermath)


def _points_at_token(refusal: Refusal) -> bool:
    """Whether a 400 is about the token: two forms are known."""
    return (
        "message.token" in refusal.fields or "not a valid FCM registration token" in refusal.message
    )


def _is_about_all(reply: Replied, refusal: Refusal) -> bool:
    """Whether the project or a topic sends too fast, or FCM asks for a pause: not one device."""
    if reply.status == 503:
        return "retry-after" in reply.headers
    return reply.status == 429 and "device" not in refusal.quota


def _wait(reply: Replied, *, now: datetime, quota_wait: timedelta) -> timedelta | None:
    named = read_retry_after(reply.headers, now=now)
    if named is not None:
        return named
    return {429: quota_wait, 502: GATEWAY_WAIT, 504: GATEWAY_WAIT}.get(reply.status)


def read_refusal(body: bytes) -> Refusal:
    """The parts of an error that decide; an empty one for HTML and other surprises."""
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return Refusal()
    error = parsed.get("error") if isinstance(parsed, dict) else None
    if not isinstance(error, dict):
        return Refusal()
    details = error.get("details")
    refusal = Refusal(message=str(error.get("message", "")))
    for detail in details if isinstance(details, list) else ():
        if isinstance(detail, dict):
            refusal = _with_detail(refusal, detail)
    return refusal


def _with_detail(refusal: Refusal, detail: dict[str, Any]) -> Refusal:
    match str(detail.get("@type", "")).rpartition(".")[2]:
        case "FcmError":
            return refusal._replace(code=str(detail.get("errorCode", "")))
        case "ApnsError":
            status = detail.get("statusCode")
            status = status if isinstance(status, int) else 0
            return refusal._replace(apns=(status, str(detail.get("reason", ""))))
        case "BadRequest":
            found = detail.get("fieldViolations")
            fields = found if isinstance(found, list) else []
            names = tuple(str(item.get("field")) for item in fields if isinstance(item, dict))
            return refusal._replace(fields=names)
        case "QuotaFailure":
            found = detail.get("violations")
            violations = found if isinstance(found, list) else []
            return refusal._replace(quota=orjson.dumps(violations).decode().lower())
        case _:
            return refusal
