"""How four push services word the same refusals.

Sources: mozilla-services/autopush-rs, docs/src/errors.md; Chromium, web_push_common.cc and bodies
seen from fcm.googleapis.com; Microsoft, WNS request and response headers; Apple, "Sending web push
notifications in web apps and browsers".
"""

from collections.abc import Callable
from enum import StrEnum
from typing import Final
from uuid import uuid4

from nuncio_simulator.contract import Platform
from nuncio_simulator.provider import json_reply
from nuncio_simulator.wire import Headers, Reply


class Problem(StrEnum):
    """What can be wrong with a request, whatever the service calls it."""

    UNKNOWN = "unknown"
    """No such subscription."""
    GONE = "gone"
    NO_CREDENTIAL = "no_credential"
    BAD_CREDENTIAL = "bad_credential"
    """Signature, audience, expiry, contact or key."""
    KEY_MISMATCH = "key_mismatch"
    """The subscription belongs to another VAPID key."""
    BAD_METHOD = "bad_method"
    MISSING_TTL = "missing_ttl"
    BAD_TTL = "bad_ttl"
    """Not a number."""
    NEGATIVE_TTL = "negative_ttl"
    TTL_CONFLICT = "ttl_conflict"
    """WNS: TTL 0 and a cache policy other than no-cache."""
    BAD_URGENCY = "bad_urgency"
    BAD_TOPIC = "bad_topic"
    BAD_ENCODING = "bad_encoding"
    UNDECRYPTABLE = "undecryptable"
    """A push service cannot know; here it is refused, so that the fault is seen."""
    TOO_LARGE = "too_large"
    THROTTLED = "throttled"
    INTERNAL = "internal"
    UNAVAILABLE = "unavailable"


TEXTS: Final = {
    Problem.UNKNOWN: "No such subscription",
    Problem.GONE: "The subscription has ended",
    Problem.NO_CREDENTIAL: "Missing VAPID authorization",
    Problem.BAD_CREDENTIAL: "Invalid VAPID authorization",
    Problem.KEY_MISMATCH: "VAPID public key mismatch",
    Problem.BAD_METHOD: "Only POST is allowed",
    Problem.MISSING_TTL: "Missing TTL value",
    Problem.BAD_TTL: "Invalid TTL value",
    Problem.NEGATIVE_TTL: "Negative TTL value",
    Problem.TTL_CONFLICT: "Ttl value conflicts with X-WNS-Cache-Policy.",
    Problem.BAD_URGENCY: "Invalid Urgency",
    Problem.BAD_TOPIC: "Invalid Topic",
    Problem.BAD_ENCODING: "Invalid Content-Encoding or encryption header",
    Problem.UNDECRYPTABLE: "The browser could not decrypt the message",
    Problem.TOO_LARGE: "This message is larger than the service will accept",
    Problem.THROTTLED: "Too many messages to this subscription",
    Problem.INTERNAL: "Internal error",
    Problem.UNAVAILABLE: "The service is unavailable, try again later",
}
STATUSES: Final = {
    Problem.UNKNOWN: 404,
    Problem.GONE: 410,
    Problem.NO_CREDENTIAL: 401,
    Problem.BAD_CREDENTIAL: 403,
    Problem.KEY_MISMATCH: 403,
    Problem.BAD_METHOD: 405,
    Problem.TOO_LARGE: 413,
    Problem.THROTTLED: 429,
    Problem.INTERNAL: 500,
    Problem.UNAVAILABLE: 503,
}
"""By RFC 8030 and RFC 8292; what is missing here is 400."""

AUTOPUSH: Final = {  # status, errno
    Problem.UNKNOWN: (404, 102),
    Problem.GONE: (410, 106),
    Problem.NO_CREDENTIAL: (401, 109),
    Problem.BAD_CREDENTIAL: (401, 109),
    Problem.KEY_MISMATCH: (401, 109),
    Problem.MISSING_TTL: (400, 111),
    Problem.BAD_TTL: (400, 111),
    Problem.NEGATIVE_TTL: (400, 114),
    Problem.BAD_TOPIC: (400, 113),
    Problem.BAD_ENCODING: (400, 110),
    Problem.UNDECRYPTABLE: (400, 110),
    Problem.TOO_LARGE: (413, 104),
    Problem.INTERNAL: (500, 999),
    Problem.UNAVAILABLE: (503, 201),
}
CHROME_TEXTS: Final = {
    Problem.UNKNOWN: "A valid push subscription endpoint should be specified in the URL as such: "
    "https://fcm.googleapis.com/wp/dHIwMQ",
    Problem.GONE: "push subscription has unsubscribed or expired.\n",
    Problem.KEY_MISMATCH: "the VAPID credentials in the authorization header do not correspond to "
    "the credentials used to create the subscriptions.\n",
}
SAFARI: Final = {
    Problem.UNKNOWN: (404, "BadPath"),
    Problem.GONE: (410, "Unregistered"),
    Problem.NO_CREDENTIAL: (403, "BadAuthorizationHeader"),
    Problem.BAD_CREDENTIAL: (403, "BadJwtToken"),
    Problem.KEY_MISMATCH: (400, "VapidPkHashMismatch"),
    Problem.BAD_METHOD: (405, "MethodNotAllowed"),
    Problem.MISSING_TTL: (400, "BadTtl"),
    Problem.BAD_TTL: (400, "BadTtl"),
    Problem.NEGATIVE_TTL: (400, "BadTtl"),
    Problem.BAD_URGENCY: (400, "BadUrgency"),
    Problem.BAD_TOPIC: (400, "BadWebPushTopic"),
    Problem.TOO_LARGE: (413, "PayloadTooLarge"),
    Problem.THROTTLED: (429, "TooManyRequests"),
    Problem.INTERNAL: (500, "InternalServerError"),
    Problem.UNAVAILABLE: (503, "ServiceUnavailable"),
}
PHRASES: Final = {
    400: "Bad Request",
    401: "Unauthorized",
    404: "Not Found",
    405: "Method Not Allowed",
    410: "Gone",
    413: "Payload Too Large",
    429: "Too Many Requests",
    500: "Internal Server Error",
    503: "Service Unavailable",
}
TEXT: Final[Headers] = ((b"content-type", b"text/plain; charset=utf-8"),)


def _autopush(problem: Problem) -> Reply:
    status, errno = AUTOPUSH.get(problem, (STATUSES.get(problem, 400), None))
    body = {
        "code": status,
        "errno": errno,
        "error": PHRASES[status],
        "message": TEXTS[problem],
        "more_info": "https://autopush.readthedocs.io/en/latest/http.html#error-codes",
    }
    cache = ((b"cache-control", b"max-age=86400"),) if status == 410 else ()
    return json_reply(status, body, cache)


def _chrome(problem: Problem) -> Reply:
    text = CHROME_TEXTS.get(problem, TEXTS[problem])
    return Reply(STATUSES.get(problem, 400), TEXT, text.encode())


def _wns(problem: Problem) -> Reply:
    throttled = problem is Problem.THROTTLED
    state = b"channelthrottled" if throttled else b"dropped"
    headers = (
        (b"x-wns-status", state),
        (b"x-wns-error-description", TEXTS[problem].encode()),
        (b"x-wns-msg-id", uuid4().hex[:16].encode()),
    )
    return Reply(406 if throttled else STATUSES.get(problem, 400), headers)


def _safari(problem: Problem) -> Reply:
    status, reason = SAFARI.get(problem, (400, "BadWebPushRequest"))
    return json_reply(status, {"reason": reason}, ((b"apns-id", str(uuid4()).encode()),))


VOICES: Final[dict[Platform, Callable[[Problem], Reply]]] = {
    Platform.FIREFOX: _autopush,
    Platform.CHROME: _chrome,
    Platform.EDGE: _wns,
    Platform.SAFARI: _safari,
}

QUIRKS: Final = {
    # Chrome's; comes and goes, with 401 too, and heals after about a day.
    "invalid_endpoint": Reply(403, TEXT, b"invalid push subscription endpoint\n"),
    # WNS blocks the sender; the subscription is not dead.
    "domain_blocked": Reply(
        410, ((b"x-wns-status", b"dropped"), (b"x-wns-error-description", b"Domain Blocked"))
    ),
}
"""What one service says and the others have no words for; only a script brings it about."""
