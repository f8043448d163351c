"""What passes between a connection and the site behind it; no HTTP/2 frames, no provider words."""

from collections.abc import Mapping
from typing import Final, NamedTuple, Protocol

from nuncio_simulator.contract import Malformation

Headers = tuple[tuple[bytes, bytes], ...]


class Request(NamedTuple):
    """One request, complete."""

    method: bytes
    path: bytes
    """With its query."""
    headers: dict[bytes, bytes]
    """By lower-case name; of a repeated header the last value."""
    repeated: bool
    """Whether a header came more than once."""
    body: bytes
    """At most BODY_LIMIT bytes of what came."""

    def __repr__(self) -> str:  # paths, headers and bodies hold tokens and credentials
        return f"Request({self.method!r}, {len(self.body)} bytes)"


class Reply(NamedTuple):
    """One response, complete."""

    status: int
    headers: Headers = ()
    body: bytes = b""

    def __repr__(self) -> str:
        return f"Reply({self.status}, {len(self.body)} bytes)"


class GoAway(NamedTuple):
    """End the connection with GOAWAY. Source: RFC 9113, section 6.8."""

    code: int = 0
    debug: bytes = b""
    last_stream_id: int | None = None
    """None: the highest stream that was answered. Streams above it are ignored."""


class Form(NamedTuple):
    """How a reply is laid out; a client sees the same message in each. HTTP/2, unless noted."""

    informational: bool = False
    """A 103 comes first; over HTTP/1.1 too."""
    trailers: Headers = ()
    padding: int = 0
    """Bytes in each frame, at most 255."""
    split: bool = False
    """The field block comes with CONTINUATION, the body in several DATA frames."""
    stall: bool = False
    """Half of the body comes, and then nothing more; over HTTP/1.1 too."""


PLAIN: Final = Form()


class Answer(NamedTuple):
    """What becomes of a request. No reply and nothing else: the stream hangs."""

    reply: Reply | None
    delay: float = 0.0
    """Seconds before the reply is written."""
    reset: int | None = None
    """Instead of a reply: the error code of RST_STREAM."""
    goaway: GoAway | None = None
    """After the reply, if there is one."""
    disconnect: bool = False
    """Instead of a reply: cut the connection."""
    form: Form = PLAIN
    malformed: Malformation | None = None
    """Written before the reply, if there is one; HTTP/2 only."""
    settings: Mapping[int, int] | None = None
    """SETTINGS to announce before the reply, by identifier; HTTP/2 only."""


class Conversation(Protocol):
    """One connection's view of a site."""

    @property
    def stream_limit(self) -> int:
        """How many streams may be open now; looked at after every answer."""
        ...

    def answer(self, request: Request) -> Answer:
        """Decide about a complete request; never waits."""
        ...

    def answers_ping(self) -> bool:
        """Whether a PING is answered."""
        ...


class Connection(Protocol):
    """A live connection, as the listener keeps it."""

    def close(self) -> None:
        """End it in an orderly way."""
        ...


BODY_LIMIT: Final = 32_768
"""Bytes kept of a request body: far above every provider's limit, so size checks still see it."""


def carries_body(method: bytes, status: int) -> bool:
    """Whether a reply may have a body. Source: RFC 9110, sections 9.3.2, 15.3.5 and 15.4.5."""
    return method != b"HEAD" and status not in {204, 304}


def read_request(pairs: list[tuple[bytes, bytes]], body: bytes) -> Request:
    """The request in a header list with :method and :path, as HTTP/2 has it."""
    headers = dict(pairs)
    repeated = len(headers) != len(pairs)
    return Request(headers.pop(b":method"), headers.pop(b":path"), headers, repeated, body)
