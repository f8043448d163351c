"""What the program knows about the call it is serving, wherever it stands in the code."""

import re
import secrets
import time
from contextvars import ContextVar
from typing import Final

REQUEST_ID: Final = "x-request-id"
TRACEPARENT: Final = "traceparent"

# Printable, without spaces, short: the id goes into logs and headers as it is.
_REQUEST_ID: Final = re.compile(r"[\x21-\x7e]{1,128}")
# Source: W3C Trace Context, section 3.2.2. All-zero ids are invalid.
_TRACEPARENT: Final = re.compile(
    r"00-(?!0{32})(?P<trace>[0-9a-f]{32})-(?!0{16})(?P<parent>[0-9a-f]{16})-(?P<flags>[0-9a-f]{2})"
)


class Call:
    """One call that the server is answering.

    method: `package.Service/Method`. deadline: on the monotonic clock in seconds, None without.
    """

    __slots__ = ("deadline", "flags", "method", "request_id", "span_id", "trace_id")

    def __init__(
        self, method: str, *, request_id: str = "", traceparent: str = "", deadline: float | None
    ) -> None:
        known = _REQUEST_ID.fullmatch(request_id)
        trace = _TRACEPARENT.fullmatch(traceparent)
        self.method = method
        self.deadline = deadline
        self.request_id = request_id if known else secrets.token_hex(8)
        self.trace_id = trace["trace"] if trace else secrets.token_hex(16)
        self.flags = trace["flags"] if trace else "00"
        self.span_id = secrets.token_hex(8)

    @property
    def traceparent(self) -> str:
        """The header that makes an outgoing call a child of this one."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags}"


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
