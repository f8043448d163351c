"""What push services answer, and what each answer means.

Sources: RFC 8030; autopush, "Error codes"; Apple, "Sending web push notifications in web apps and
browsers"; Microsoft, "Push notification service request and response headers"; texts of FCM's Web
Push as others have seen them.
"""

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import Enum, auto
from typing import Any, Final, NamedTuple

import orjson

from nuncio_dispatcher.domain.model import Provider, Verdict
from nuncio_dispatcher.providers.answers import (
    ACCEPTED,
    Aftermath,
    Answer,
    Own,
    Replied,
    read_retry_after,
    unlisted,
)


class KeyMatch(Enum):
    """Whether the subscription was made with the key that the request was signed with."""

    SAME = auto()
    OTHER = auto()
    UNKNOWN = auto()
    """One of the two key ids is not known."""


class Fault(Enum):
    """What is wrong with our authorization; some of it depends on the subscription's key."""

    OURS = auto()
    """The authorization itself, whatever the subscription."""
    VAPID = auto()
    """Something about it; perhaps the key."""
    KEY = auto()
    """The key, for certain."""


Meaning = Verdict | Fault

# By status alone, for every push service.
STATUSES: Final[Mapping[int, Meaning]] = {
    400: Verdict.REFUSED,
    401: Fault.VAPID,
    403: Fault.VAPID,
    # RFC 8030 says so for 404, practice for 410 too; FCM: unused for 270 days.
    404: Verdict.TOKEN_DEAD,
    410: Verdict.TOKEN_DEAD,
    # WNS slows senders down with this, as others do with 429.
    406: Verdict.RETRY,
    413: Verdict.REFUSED,
    429: Verdict.RETRY,
    500: Verdict.RETRY,
    502: Verdict.RETRY,
    503: Verdict.RETRY,
    504: Verdict.RETRY,
}

# Safari: {"reason": …}.
APPLE: Final[Mapping[tuple[int, str], Meaning]] = {
    (400, "BadTtl"): Verdict.REFUSED,
    (400, "BadUrgency"): Verdict.REFUSED,
    (400, "BadWebPushRequest"): Verdict.REFUSED,
    (400, "BadWebPushTopic"): Verdict.REFUSED,
    # A 400 that is about the key, not about the message.
    (400, "VapidPkHashMismatch"): Fault.KEY,
    (403, "VapidPkHashMismatch"): Fault.KEY,
    (400, "IdleTimeout"): Verdict.RETRY,
    (400, "BadAuthorizationHeader"): Fault.OURS,
    (400, "BadJwtToken"): Fault.OURS,
    (400, "BadVapidPublicKey"): Fault.OURS,
    (403, "BadAuthorizationHeader"): Fault.OURS,
    # Also for a subject that does not exist, such as mailto:x@localhost.
    (403, "BadJwtToken"): Fault.OURS,
    (403, "BadVapidPublicKey"): Fault.OURS,
    # The endpoint is none: not the answer for a subscription that was once good.
    (404, "BadPath"): Verdict.TOKEN_DOUBTFUL,
    (405, "MethodNotAllowed"): Verdict.REFUSED,
    (413, "PayloadTooLarge"): Verdict.REFUSED,
    (429, "TooManyRequests"): Verdict.RETRY,
    (500, "InternalServerError"): Verdict.RETRY,
    (503, "ServiceUnavailable"): Verdict.RETRY,
    (503, "Shutdown"): Verdict.RETRY,
}

# Firefox: {"errno": …}, which may be null.
MOZILLA: Final[Mapping[int, Meaning]] = {
    101: Verdict.REFUSED,  # missing crypto keys
    102: Verdict.TOKEN_DEAD,  # bad URL or token
    103: Verdict.TOKEN_DEAD,  # no such user
    104: Verdict.REFUSED,  # too large
    105: Verdict.TOKEN_DEAD,  # user deleted while the message was on its way
    106: Verdict.TOKEN_DEAD,  # no such subscription
    108: Verdict.REFUSED,  # router type
    109: Fault.VAPID,  # anything about VAPID, a mismatch of keys included
    110: Verdict.REFUSED,  # encryption headers
    111: Verdict.REFUSED,  # TTL missing
    112: Verdict.REFUSED,  # TTL bad
    113: Verdict.REFUSED,  # topic bad
    114: Verdict.REFUSED,  # TTL negative
    201: Verdict.RETRY,  # database: back off
    202: Verdict.RETRY,  # may be tried again at once
    900: Verdict.RETRY,  # bridge: configuration
    901: Verdict.RETRY,  # bridge: authentication
    902: Verdict.RETRY,  # bridge: connection
    903: Verdict.RETRY,  # bridge: timeout
    999: Verdict.RETRY,  # unknown
}


class Text(NamedTuple):
    """An answer that only its text tells apart."""

    statuses: frozenset[int]
    fragment: str
    """In lower case."""
    reason: str
    meaning: Meaning


# All but Safari, in plain text, X-WNS-Error-Description or JSON. The first that fits counts.
TEXTS: Final = (
    # Not the subscription but the sender is gone.
    Text(frozenset({410}), "domain blocked", "DOMAIN_BLOCKED", Fault.OURS),
    # Seen to heal after about a day, so never dead on sight.
    Text(
        frozenset({401, 403}),
        "invalid push subscription endpoint",
        "INVALID_ENDPOINT",
        Verdict.TOKEN_DOUBTFUL,
    ),
    # «the VAPID credentials in the authorization header do not correspond to …»
    Text(frozenset({401, 403}), "do not correspond", "KEY_MISMATCH", Fault.KEY),
    Text(frozenset({400, 401, 403}), "mismatch", "KEY_MISMATCH", Fault.KEY),
)


def classify(reply: Replied, *, key: KeyMatch, now: datetime, quota_wait: timedelta) -> Answer:
    """What an answer means. quota_wait: for a 406 or 429 that names no wait.

    Pure, but for the count of unlisted ones.
    """
    status = reply.status
    if 200 <= status < 300:
        return ACCEPTED  # 201 by the RFC; 202 with receipts, 200 from WNS
    if 300 <= status < 400:
        return Answer(Verdict.REFUSED, Own.REDIRECTED)
    wait = read_retry_after(reply.headers, now=now)
    if wait is None and status in (406, 429):
        wait = quota_wait
    refusal = _refusal(reply.body)
    found = _by_reason(status, refusal) or _by_text(reply) or _by_errno(refusal)
    if found is None:
        if status not in STATUSES:
            return unlisted(Provider.WEB_PUSH, status, retry_after=wait)
        found = STATUSES[status], f"HTTP_{status}"
    meaning, reason = found
    aftermath = Aftermath.SLOW_DOWN if _is_about_all(reply) else Aftermath.NONE
    # Which key a subscription is of is what its client says, so VAPID and KEY do not pause alone.
    if meaning is Fault.OURS:
        aftermath |= Aftermath.PAUSE_PART
    return Answer(_verdict(meaning, key), reason, wait, aftermath=aftermath)


def _is_about_all(reply: Replied) -> bool:
    """Whether the push service asks its host's senders for a pause: elsewhere than at WNS, a 429
    is about one subscription."""
    match reply.status:
        case 406:
            return True
        case 429:
            return any(name.startswith("x-wns-") for name in reply.headers)
        case status:
            return status == 503 and "retry-after" in reply.headers


def _verdict(meaning: Meaning, key: KeyMatch) -> Verdict:
    """A subscription of another key is its own trouble; our key refused is everyone's."""
    if meaning is Verdict.TOKEN_DEAD and key is KeyMatch.OTHER:
        return Verdict.TOKEN_DOUBTFUL  # perhaps only because of the key
    if isinstance(meaning, Verdict):
        return meaning
    if meaning is Fault.OURS:
        return Verdict.MISCONFIGURED
    if key is KeyMatch.OTHER or (meaning is Fault.KEY and key is KeyMatch.UNKNOWN):
        return Verdict.TOKEN_DOUBTFUL
    return Verdict.MISCONFIGURED


def _by_reason(status: int, refusal: Mapping[str, Any]) -> tuple[Meaning, str] | None:
    reason = refusal.get("reason")
    if isinstance(reason, str) and (status, reason) in APPLE:
        return APPLE[status, reason], reason
    return None


def _by_text(reply: Replied) -> tuple[Meaning, str] | None:
    described = reply.headers.get("x-wns-error-description", "")
    said = f"{described}\n{reply.body.decode(errors='replace')}".lower()
    for text in TEXTS:
        if reply.status in text.statuses and text.fragment in said:
            return text.meaning, text.reason
    return None


def _by_errno(refusal: Mapping[str, Any]) -> tuple[Meaning, str] | None:
    errno = refusal.get("errno")
    if isinstance(errno, int) and errno in MOZILLA:
        return MOZILLA[errno], f"ERRNO_{errno}"
    return None


def _refusal(body: bytes) -> dict[str, Any]:
    try:
        parsed = orjson.loads(body)
    except orjson.JSONDecodeError:
        return {}
    return parsed if isinstance(parsed, dict) else {}
