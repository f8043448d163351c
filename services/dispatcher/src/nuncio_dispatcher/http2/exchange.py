"""Requests and what came of them: what a transport is given, and what it fills in.

Every transport fills in the same Exchange, so whoever reads it need not know which one it was.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Final, NamedTuple, Protocol, Self
from urllib.parse import urlsplit

MOST_REFUSALS: Final = 3
"""How often a row that was provably not looked at is written again within one exchange."""
BODY_KEPT: Final = 16_384
"""Bytes kept of an answer's body; more of it is not read."""

Field = tuple[str, str]
"""A header field: its name in lower case, its value."""


class Origin(NamedTuple):
    """Scheme https, a host and a port."""

    host: str
    port: int

    @classmethod
    def parse(cls, text: str) -> Self:
        """Read `https://host` or `https://host:port`. Raises ValueError for anything else."""
        parts = urlsplit(text)
        if parts.scheme != "https" or not parts.hostname or parts.username is not None:
            raise ValueError("must be https://host or https://host:port")
        if parts.path.strip("/") or parts.query or parts.fragment:
            raise ValueError("must have no path: https://host or https://host:port")
        if parts.port == 0:
            raise ValueError("must have a port from 1 on, or none")
        return cls(parts.hostname, parts.port or 443)

    @property
    def authority(self) -> str:
        """`host`, with `:port` unless that is 443; IPv6 addresses in brackets."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == 443 else f"{host}:{self.port}"

    def __str__(self) -> str:
        return f"https://{self.authority}"


class Failure(StrEnum):
    """Why a request has no answer. Whether it may have been taken, `written_at` says."""

    NOT_SENT = "NOT_SENT"
    """Nothing was written in time: the lane was busy or closing, or the service is stopping."""
    CONNECT_FAILED = "CONNECT_FAILED"
    """No connection could be made."""
    NOT_TRUSTED = "NOT_TRUSTED"
    """The peer's certificate does not belong to it, or its issuer is not known here."""
    NOT_HTTP2 = "NOT_HTTP2"
    """The peer speaks no HTTP/2."""
    PRIVATE_ADDRESS = "PRIVATE_ADDRESS"
    """The host has no public address."""
    REFUSED_STREAM = "REFUSED_STREAM"
    """The peer surely did not look at it: RST_STREAM(REFUSED_STREAM), or above GOAWAY's last id."""
    STREAM_RESET = "STREAM_RESET"
    """Written; the peer ended the stream without an answer."""
    BAD_ANSWER = "BAD_ANSWER"
    """Written; what came back breaks the rules of HTTP."""
    CONNECTION_LOST = "CONNECTION_LOST"
    """The connection ended before the answer."""
    TOO_LARGE = "TOO_LARGE"
    """Never written: the path or the header fields are longer than the peer takes."""
    NO_ANSWER = "NO_ANSWER"
    """Written; no answer came in time."""
    FAULT = "FAULT"
    """A fault of nuncio's own."""


UNREACHABLE: Final = frozenset(
    {
        Failure.CONNECT_FAILED,
        Failure.NOT_TRUSTED,
        Failure.NOT_HTTP2,
        Failure.PRIVATE_ADDRESS,
    }
)
"""Nothing can be written to the origin at all."""


class Carrier(Protocol):
    """The connection that brought an answer."""

    @property
    def answered(self) -> int:
        """How many requests it has brought an answer to, this one included."""

    def drain(self) -> None:
        """Write nothing more on it; what is under way may end."""


class Reply(NamedTuple):
    """An answer that needs reading: any status but 2xx."""

    status: int
    headers: Mapping[str, str]
    """By lower-case name."""
    body: bytes
    """Its beginning: at most BODY_KEPT bytes."""
    via: Carrier


@dataclass(frozen=True, slots=True, kw_only=True, repr=False)
class Requests:
    """POST requests to one origin. What differs between them is in columns of equal length.

    fields: the same for all requests of the sender, so that connections may remember them;
    passing_fields: the same for these requests only. Neither holds pseudo-fields or
    content-length. paths: ASCII, with the query. own: the one field that each request has a value
    of its own for; values are ASCII and equally long.
    """

    origin: Origin
    fields: tuple[Field, ...]
    passing_fields: tuple[Field, ...] = ()
    paths: Sequence[bytes]
    bodies: Sequence[bytes]
    own: tuple[str, Sequence[bytes]] | None = None

    def __len__(self) -> int:
        return len(self.paths)

    def __repr__(self) -> str:
        return f"Requests({len(self.paths)} to {self.origin})"


Heard = Callable[["Exchange", Sequence[int]], None]
"""Called when rows ended: the exchange, and those of the rows that were not answered by 2xx."""


class Exchange:
    """Requests under way: each of them waits, is written, and ends, once.

    statuses: the HTTP status per row, 0 without an answer. replies: by row, the answers that are
    not 2xx. failures: by row, why there is no answer. written_at: when the row's request was
    written, None while provably nothing of it was processed. accepted: how many rows got a 2xx.
    `ended` is set once no row is open.
    """

    __slots__ = (
        "accepted",
        "answer_within",
        "ended",
        "failures",
        "heard",
        "is_over",
        "open",
        "refusals",
        "replies",
        "requests",
        "statuses",
        "unheard",
        "urgent",
        "waiting",
        "written_at",
    )

    def __init__(
        self, requests: Requests, *, answer_within: float, heard: Heard, urgent: bool = False
    ) -> None:
        """answer_within: seconds that a written request may stay unanswered.

        heard: called from the event loop, never from within a transport's `post`, at most once
        per turn of a connection. urgent: go before all that is not.
        """
        count = len(requests)
        self.requests = requests
        self.answer_within = answer_within
        self.heard = heard
        self.urgent = urgent
        self.waiting: deque[int] = deque(range(count))
        self.statuses = [0] * count
        self.written_at: list[datetime | None] = [None] * count
        self.replies: dict[int, Reply] = {}
        self.failures: dict[int, Failure] = {}
        self.refusals: dict[int, int] = {}
        self.unheard: list[int] = []
        self.open = count
        self.accepted = 0
        self.is_over = False  # nothing more of it may be written
        self.ended = asyncio.Event()
        if not count:
            self.ended.set()

    def __repr__(self) -> str:
        return f"Exchange(waiting={len(self.waiting)}, open={self.open}/{len(self.statuses)})"

    def is_open(self, row: int) -> bool:
        """Whether the row has not ended yet."""
        return not self.statuses[row] and row not in self.failures

    def reply(self, row: int, reply: Reply) -> None:
        """A row was answered, but not by 2xx. For transports."""
        self.statuses[row] = reply.status
        self.replies[row] = reply
        self.unheard.append(row)
        self.open -= 1

    def fail(self, row: int, failure: Failure) -> None:
        """A row ends without an answer. For transports."""
        self.failures[row] = failure
        self.unheard.append(row)
        self.open -= 1

    def refuse(self, row: int) -> bool:
        """The peer provably did not look at a row. True: it waits again; else it has ended."""
        self.written_at[row] = None
        refusals = self.refusals[row] = self.refusals.get(row, 0) + 1
        if refusals > MOST_REFUSALS or self.is_over:
            self.fail(row, Failure.REFUSED_STREAM)
            return False
        self.waiting.append(row)
        return True

    def fail_waiting(self, failure: Failure) -> None:
        """Nothing that waits will be written. For transports."""
        while self.waiting:
            self.fail(self.waiting.popleft(), failure)

    def tell(self) -> None:
        """Call `heard` with what has ended since, and set `ended` when that was all."""
        rows, self.unheard = self.unheard, []
        try:
            self.heard(self, rows)
        finally:
            if not self.open:
                self.ended.set()

    def withdraw(self) -> Sequence[int]:
        """Take back the rows that wait: nothing more is written, and they count as ended.

        For the sender, who answers them itself: `heard` is not told of them.
        """
        self.is_over = True
        rows = tuple(self.waiting)
        self.waiting.clear()
        self.open -= len(rows)
        for row in rows:
            self.failures[row] = Failure.NOT_SENT
        if not self.open:
            self.ended.set()
        return rows


class Traffic(NamedTuple):
    """What a transport has to do with an origin at this moment."""

    connections: int
    """Open ones, with those that are being opened."""
    in_flight: int
    """Requests that were written and have no answer yet."""
    waiting: int
    """Requests that wait for a free stream."""
    stream_limit: int
    """How many requests the open connections take at once, as their peers allow."""


class Transport(Protocol):
    """Carries requests to origins over connections that it opens and closes by itself.

    It never retries, but for rows that were provably not looked at. It never raises for what the
    network or a peer does: that is a Failure.
    """

    def post(self, exchange: Exchange) -> None:
        """Write the rows as soon as there is room, and fill in the exchange until it has ended.

        Urgent exchanges go first, else they go in the order in which they came.
        """

    def abandon(self, exchange: Exchange) -> None:
        """Wait for no more answers: rows that wait fail as NOT_SENT, written ones as NO_ANSWER.

        The exchange has ended when this returns; the peer is told to forget what was written.
        """

    def traffic(self) -> Iterable[tuple[Origin, Traffic]]:
        """The origins that it has to do with now."""

    async def aclose(self) -> None:
        """Close all connections. What is open still fails as CONNECTION_LOST."""
