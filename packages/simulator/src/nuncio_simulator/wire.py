"""What passes between a connection and the site behind it; no HTTP/2 frames, no provider words."""

from typing import NamedTuple, Protocol

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


class Conversation(Protocol):
    """One connection's view of a site."""

    @property
    def stream_limit(self) -> int:
        """How many streams may be open now; looked at after every answer."""
        ...

    def answer(self, request: Request) -> Answer:
        """Decide about a complete request; never waits."""
        ...


class Connection(Protocol):
    """A live connection, as the listener keeps it."""

    def close(self) -> None:
        """End it in an orderly way."""
        ...


BODY_LIMIT = 32_768
"""Bytes kept of a request body: far above every provider's limit, so size checks still see it."""


def carries_body(method: bytes, status: int) -> bool:
    """Whether a reply may have a body. Source: RFC 9110, sections 9.3.2, 15.3.5 and 15.4.5."""
    return method != b"HEAD" and status not in {204, 304}


def read_request(pairs: list[tuple[bytes, bytes]], body: bytes) -> Request:
    """The request in a header list with :method and :path, as HTTP/2 has it."""
    headers = dict(pairs)
    repeated = len(headers) != len(pairs)
    return Request(headers.pop(b":method"), headers.pop(b":path"), headers, repeated, body)
