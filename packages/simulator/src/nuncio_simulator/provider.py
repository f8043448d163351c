"""What the simulated providers have in common."""

from collections.abc import Callable
from typing import Final, NamedTuple, Protocol, TypeVar

import orjson

from nuncio_simulator.contract import Fault, ProviderName
from nuncio_simulator.tokens import Known
from nuncio_simulator.wire import GoAway, Headers, Reply, Request

Clock = Callable[[], float]
"""Unix seconds."""

JSON: Final[Headers] = ((b"content-type", b"application/json; charset=UTF-8"),)
THROTTLE_SECONDS: Final = 1
"""Retry-After of a throttled token, where its provider sends one: short, so that runs are."""


class Visit:
    """What a provider remembers about one connection."""

    def __init__(self, stream_limit: int) -> None:
        self.stream_limit = stream_limit
        self.forced_limit: int | None = None
        """A stream limit that the script put in place of the provider's."""
        self.requests_since: dict[int, int] = {}
        """Fault id: requests counted for it, for faults that wait for the n-th."""


V = TypeVar("V", bound=Visit)


class Result(NamedTuple):
    """A provider's answer, and what the ledger keeps of it."""

    reply: Reply
    reason: str = ""
    """Why it refused; empty when it did not."""
    accepted_id: str = ""
    """Of the message that was taken; empty when none was: refused, or only validated."""
    token: str | None = None
    """The token or endpoint that was addressed, if it is known."""
    delay: float = 0.0
    """Seconds."""
    plaintext: bytes | None = None
    """Web Push: what the browser decrypted."""
    goaway: GoAway | None = None
    """The provider has had enough of this connection."""

    def __repr__(self) -> str:
        return f"Result({self.reply.status}, {self.reason!r})"


class Provider(Protocol[V]):
    """A simulated origin; its answers depend on the request, the visit, the clock and tokens."""

    name: ProviderName

    def open(self) -> V:
        """A new connection's visit."""
        ...

    def addressee(self, request: Request) -> Known | None:
        """The minted token that the request names, be the rest as wrong as it may."""
        ...

    def answer(self, request: Request, visit: V) -> Result:
        """Validate, then let the token's fate decide."""
        ...

    def refuse(self, fault: Fault, token: Known | None) -> Result:
        """The refusal that a fault asks for, in this provider's words."""
        ...


def json_reply(status: int, body: object, headers: Headers = ()) -> Reply:
    """A reply with a JSON body."""
    return Reply(status, JSON + headers, orjson.dumps(body))


def retry_after(wait: float | str) -> Headers:
    """Retry-After in seconds, or as the HTTP date given."""
    return ((b"retry-after", str(wait).encode()),)


def extra_headers(fault: Fault) -> Headers:
    """The headers that a fault adds to a refusal."""
    added = tuple((name.lower().encode(), text.encode()) for name, text in fault.headers.items())
    return added if fault.retry_after is None else added + retry_after(fault.retry_after)
