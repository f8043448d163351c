"""What one answer means, and what one request came to: the same shapes for every provider."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Flag, StrEnum, auto
from typing import Final, NamedTuple

from prometheus_client import Counter

from nuncio_dispatcher.domain.model import Provider, Verdict
from nuncio_runtime.metrics import REGISTRY

UNLISTED: Final = Counter(
    "dispatcher_unlisted_answers",
    "Answers of a provider that its table does not list; judged by their status alone.",
    ("provider",),
    registry=REGISTRY,
)
LONGEST_WAIT: Final = timedelta(days=1)
_WORD: Final = re.compile(r"[\w .:/-]{1,64}", re.ASCII)


class Own(StrEnum):
    """Reasons that are ours: no provider said them."""

    NO_CREDENTIAL = "NO_CREDENTIAL"
    """The app has none for this provider."""
    BAD_CREDENTIAL = "BAD_CREDENTIAL"
    """There is one, but it cannot be used."""
    NO_ACCESS = "NO_ACCESS"
    """The provider's token endpoint gave none."""
    NOT_SENT = "NOT_SENT"
    """Nothing was written in time: the lane was busy or closing, or the service is stopping."""
    EXPIRED = "EXPIRED"
    """Nothing was written before the dispatch expired."""
    CONNECT_FAILED = "CONNECT_FAILED"
    """No connection could be made."""
    NOT_TRUSTED = "NOT_TRUSTED"
    """The provider's certificate does not belong to it, or its issuer is not known here."""
    PRIVATE_ADDRESS = "PRIVATE_ADDRESS"
    """The endpoint's host has no public address."""
    ENDPOINT_NOT_ALLOWED = "ENDPOINT_NOT_ALLOWED"
    """The endpoint is no push service that may be called."""
    BAD_SUBSCRIPTION_KEYS = "BAD_SUBSCRIPTION_KEYS"
    """The subscription's keys cannot be used to encrypt."""
    REFUSED_STREAM = "REFUSED_STREAM"
    """The peer surely did not look at it: RST_STREAM(REFUSED_STREAM), or above GOAWAY's last id."""
    STREAM_RESET = "STREAM_RESET"
    """Written; the peer ended the stream without an answer."""
    CONNECTION_LOST = "CONNECTION_LOST"
    """Written, unless `sent_at` says otherwise; the connection ended before the answer."""
    NO_ANSWER = "NO_ANSWER"
    """Written; no answer came in time."""
    REDIRECTED = "REDIRECTED"
    """The answer points elsewhere. Redirects are never followed."""
    FAULT = "FAULT"
    """A fault of nuncio's own, in this row only."""


class Replied(NamedTuple):
    """The provider answered."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    """Its beginning: at most what the transport keeps."""


class Unsent(NamedTuple):
    """Provably nothing was processed: never written, or refused unread."""

    reason: Own
    error: str = ""
    """The name of an exception that nobody expected, for the log."""


class Lost(NamedTuple):
    """Written, and no answer: it may have been delivered."""

    reason: Own
    error: str = ""
    """As in Unsent."""


Result = Replied | Unsent | Lost


class Aftermath(Flag):
    """What an answer means beyond its own row."""

    NONE = 0
    RECONNECT = auto()
    """The connection takes nothing more."""
    NEW_TOKEN = auto()
    """Our access token is no longer taken."""
    KEEP_TOKEN = auto()
    """Too many access tokens were made: no new one for a while."""
    PAUSE = auto()
    """The credential is refused: every other row of the lane would be, too."""
    PAUSE_PART = auto()
    """The same, for the rows of one part of the lane: see gate.Parts."""


class Answer(NamedTuple):
    """One row's share of Answers, and what follows for the lane."""

    verdict: Verdict
    reason: str = ""
    retry_after: timedelta | None = None
    dead_since: datetime | None = None
    aftermath: Aftermath = Aftermath.NONE
    unlisted: str | None = None
    """The provider's word, when its table does not list the answer; for the log."""


ACCEPTED: Final = Answer(Verdict.ACCEPTED)


def read_retry_after(headers: Mapping[str, str], *, now: datetime) -> timedelta | None:
    """Retry-After in seconds or as an HTTP date, from 0 to a day; None without a readable one.

    Source: RFC 9110, section 10.2.3.
    """
    value = headers.get("retry-after", "").strip()
    if value.isascii() and value.isdigit():
        wait = timedelta(seconds=min(int(value[:9]), LONGEST_WAIT.total_seconds()))
    else:
        try:
            at = parsedate_to_datetime(value)
            wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
        except (ValueError, OverflowError):
            return None
    return min(max(wait, timedelta()), LONGEST_WAIT)


def unlisted(
    provider: Provider, status: int, word: str = "", *, retry_after: timedelta | None = None
) -> Answer:
    """Judge an answer that the provider's table does not list by its status class.

    Never takes a token for dead. Counted here, and logged once per send, with the provider's word
    when that is short and plain; the reason is made of the status, so that the set of reasons
    stays closed.
    """
    UNLISTED.labels(provider.name.lower()).inc()
    shown = word if _WORD.fullmatch(word) else ""
    return Answer(_by_status_class(status), f"HTTP_{status}", retry_after, unlisted=shown)


def _by_status_class(status: int) -> Verdict:
    match status:
        case 401 | 403:
            return Verdict.MISCONFIGURED
        case 404 | 410:
            return Verdict.TOKEN_DOUBTFUL
        case 408 | 425 | 429:
            return Verdict.RETRY
        case _ if 200 <= status < 300:
            return Verdict.ACCEPTED
        case _ if status >= 500:
            return Verdict.RETRY
        case _:
            return Verdict.REFUSED
