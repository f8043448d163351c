"""What the program knows about the call it is serving, wherever it stands in the code."""

import random
import re
import time
from collections.abc import Iterable, Mapping
from contextvars import ContextVar
from typing import Final, Protocol
from urllib.parse import unquote

REQUEST_ID: Final = "x-request-id"
TRACEPARENT: Final = "traceparent"

# Printable, without spaces, short: the id goes into logs and headers as it is.
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
# Source: W3C Trace Context, section 3.2.2. All-zero ids are invalid.
_TRACEPARENT: Final = re.compile(
    r"00-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)


# The name under which gRPC keeps the subject common name of a client certificate that it verified.
_COMMON_NAME: Final = "x509_common_name"
_LONGEST_PRINCIPAL: Final = 200


class Connection(Protocol):
    """What a call tells of the connection that it came by: gRPC's own context does."""

    def auth_context(self) -> Mapping[str, Iterable[bytes]]:
        """What the transport has verified of the caller; empty without TLS."""

    def peer(self) -> str:
        """Scheme and address, such as `ipv4:127.0.0.1:50051`; parts may be percent-encoded."""


class Call:
    """One call that the server is answering.

    method: `package.Service/Method`. deadline: on the monotonic clock in seconds, None without.
    connection: who called; None when the program calls itself. request_id, traceparent: what the
    caller sent, passed over when it has not the form.
    """

    __slots__ = (
        "_connection",
        "_request_id",
        "_span_id",
        "_trace_id",
        "deadline",
        "flags",
        "method",
    )

    def __init__(
        self,
        method: str,
        deadline: float | None,
        connection: Connection | None = None,
        request_id: str = "",
        traceparent: str = "",
    ) -> None:
        # Made for every call: arguments that may be given by place, which is faster.
        known = request_id and _REQUEST_ID.fullmatch(request_id)
        trace = traceparent and _TRACEPARENT.fullmatch(traceparent)
        self.method = method
        self.deadline = deadline
        self._connection = connection
        self._request_id = request_id if known else ""
        self._trace_id = trace["trace"] if trace else ""
        self.flags = trace["flags"] if trace else "00"
        self._span_id = ""

    # Few calls are logged or make calls of their own; these are made up for them alone.

    @property
    def request_id(self) -> str:
        """The caller's, or a new one."""
        self._request_id = self._request_id or _hex(64)
        return self._request_id

    @property
    def trace_id(self) -> str:
        """The caller's, or a new one."""
        self._trace_id = self._trace_id or _hex(128)
        return self._trace_id

    @property
    def span_id(self) -> str:
        """This call's own."""
        self._span_id = self._span_id or _hex(64)
        return self._span_id

    @property
    def traceparent(self) -> str:
        """The header that makes an outgoing call a child of this one."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"

    # These two are asked for by few calls, so they are not looked up for all.

    @property
    def principal(self) -> str:
        """Who calls: the subject common name of the verified client certificate, else empty."""
        if self._connection is None:
            return ""
        names = list(self._connection.auth_context().get(_COMMON_NAME, ()))
        name = names[0].decode(errors="replace") if names else ""
        return "".join(c if c.isprintable() else "?" for c in name)[:_LONGEST_PRINCIPAL]

    @property
    def peer(self) -> str:
        """Address of the caller, without the port; empty when the program calls itself."""
        return "" if self._connection is None else _address(self._connection.peer())


def _hex(bits: int) -> str:
    """Digits of an id. It has to be another one, and is no secret."""
    return f"{random.getrandbits(bits):0{bits // 4}x}"


current_call: Final[ContextVar[Call | None]] = ContextVar("current_call", default=None)


def remaining(*, margin: float = 0.05, default: float = 30.0) -> float:
    """Seconds that an outgoing call may take.

    What is left to the call being served, less the margin kept for answering it, and never below
    zero; the default when no call is being served or it has no deadline.
    """
    call = current_call.get()
    if call is None or call.deadline is None:
        return default
    return max(0.0, call.deadline - time.monotonic() - margin)


def _address(peer: str) -> str:
    """`ipv4:192.0.2.1:50051` is 192.0.2.1, `ipv6:%5B2001:db8::1%5D:50051` is 2001:db8::1.

    What has no port, such as `unix:/run/x.sock`, stays. Source: gRPC, doc/naming.md.
    """
    scheme, _, rest = unquote(peer).partition(":")
    if scheme not in ("ipv4", "ipv6"):
        return peer
    return rest.rpartition(":")[0].strip("[]")
