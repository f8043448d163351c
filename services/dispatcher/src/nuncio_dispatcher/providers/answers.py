"""What one answer means, and what one request came to: the same shapes for every provider."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from enum import Flag, StrEnum, auto
from typing import Final, NamedTuple

import structlog
from prometheus_client import Counter

from nuncio_dispatcher.domain.model import Answers, Provider, Verdict
from nuncio_runtime.metrics import REGISTRY

log = structlog.get_logger(__name__)

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
    """Nothing was written in time: the lane was busy or closing."""
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


class Lost(NamedTuple):
    """Written, and no answer: it may have been delivered."""

    reason: Own


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


class Answer(NamedTuple):
    """One row's share of Answers, and what follows for the lane."""

    verdict: Verdict
    reason: str = ""
    retry_after: timedelta | None = None
    dead_since: datetime | None = None
    aftermath: Aftermath = Aftermath.NONE


ACCEPTED: Final = Answer(Verdict.ACCEPTED)


@dataclass(frozen=True)
class Sheet:
    """The answers of one send, filled in row by row; what is not filled in was not sent."""

    answers: Answers
    _open: set[int] = field(repr=False)

    @classmethod
    def blank(cls, count: int) -> "Sheet":
        """A sheet for so many rows."""
        unsent = Answers.uniform(count, Verdict.RETRY, reason=Own.NOT_SENT)
        return cls(unsent, set(range(count)))

    @property
    def is_full(self) -> bool:
        """Whether every row has its answer."""
        return not self._open

    def put(self, row: int, answer: Answer, sent_at: datetime | None) -> None:
        """Write down a row's answer; sent_at is None when provably nothing was written."""
        answers = self.answers
        answers.verdicts[row] = answer.verdict
        answers.reasons[row] = answer.reason
        answers.retry_after[row] = answer.retry_after
        answers.dead_since[row] = answer.dead_since
        answers.sent_at[row] = sent_at
        self._open.discard(row)


def unanswered(result: Unsent | Lost) -> Answer:
    """The answer for a request that got none."""
    verdict = Verdict.RETRY if isinstance(result, Unsent) else Verdict.UNKNOWN
    return Answer(verdict, result.reason)


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
        except ValueError:
            return None
        wait = (at if at.tzinfo else at.replace(tzinfo=UTC)) - now
    return min(max(wait, timedelta()), LONGEST_WAIT)


def unlisted(
    provider: Provider, status: int, word: str = "", *, retry_after: timedelta | None = None
) -> Answer:
    """Judge an answer that the provider's table does not list by its status class.

    Never takes a token for dead. Counted, and logged with the provider's word when that is short
    and plain; the reason is made of the status, so that the set of reasons stays closed.
    """
    UNLISTED.labels(provider.name.lower()).inc()
    shown = word if _WORD.fullmatch(word) else ""
    log.warning("unlisted_answer", provider=provider.name.lower(), status=status, word=shown)
    return Answer(_by_status_class(status), f"HTTP_{status}", retry_after)


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
