"""What one answer means: the same shapes for every provider."""

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
    """Reasons that are ours: no provider said them. Others of ours are those of a Failure."""

    NO_CREDENTIAL = "NO_CREDENTIAL"
    """The app has none for this provider."""
    BAD_CREDENTIAL = "BAD_CREDENTIAL"
    """There is one, but it cannot be used."""
    NO_ACCESS = "NO_ACCESS"
    """The provider's token endpoint gave none."""
    EXPIRED = "EXPIRED"
    """Nothing was written before the dispatch expired."""
    ENDPOINT_NOT_ALLOWED = "ENDPOINT_NOT_ALLOWED"
    """The endpoint is no push service that may be called."""
    BAD_SUBSCRIPTION_KEYS = "BAD_SUBSCRIPTION_KEYS"
    """The subscription's keys cannot be used to encrypt."""
    REDIRECTED = "REDIRECTED"
    """The answer points elsewhere. Redirects are never followed."""
    LANE_DOWN = "LANE_DOWN"
    """The provider does not answer: see lane.breaker."""
    SLOWED_DOWN = "SLOWED_DOWN"
    """The provider asked for a pause that is too long to wait for: see lane.budget."""
    PUSH_TYPE_NOT_ALLOWED = "PUSH_TYPE_NOT_ALLOWED"
    """APNs takes this push type with a provider token only, and the lane has a certificate."""


class Replied(NamedTuple):
    """What a provider answered, without the connection that brought it."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    """Its beginning: at most what the transport keeps."""


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
    """The same, for the rows of one part of the lane: see lane.gate.Parts."""
    SLOW_DOWN = auto()
    """The provider wants fewer requests from all of us, not only for this row."""


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
