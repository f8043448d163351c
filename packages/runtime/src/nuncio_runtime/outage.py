"""Why another service was not reached, in words, and said once."""

from typing import Final

import grpc
import structlog

from nuncio_runtime.tls import ClientTls
from nuncio_runtime.wire import STATUS_DETAILS

log = structlog.get_logger(__name__)

_LONGEST_CAUSE: Final = 300

# Parts of gRPC's texts as of 1.85, the narrower ones first. What is not here gets no explanation.
_CAUSES: Final = (
    ("WRONG_VERSION_NUMBER", "the service speaks no TLS there"),
    ("Hostname Verification", "the certificate of the service is for another name than the target"),
    ("certificate has expired", "the certificate of the service has ended"),
    ("certificate is not yet valid", "the certificate of the service begins later"),
    ("CERTIFICATE_VERIFY_FAILED", "the certificate of the service is by none of our authorities"),
)
# The other side says nothing before it closes, whatever it is that it does not like. How the end
# looks depends on who was faster.
_ON_CONNECTING: Final = "connections to all backends failing"
_ENDS: Final = ("Socket closed", "Connection reset by peer")


def tls_problem(error: grpc.aio.AioRpcError, tls: ClientTls) -> str:
    """What is, or may be, wrong with TLS between us and the service; empty: nothing is known.

    tls: what the call was made with.
    """
    text = error.details() or ""
    for part, problem in _CAUSES:
        if part in text:
            return problem
    if _ON_CONNECTING not in text or not any(end in text for end in _ENDS):
        return ""
    if tls.ca_file is None:
        return "the service closes connections: it may want TLS, which is off here"
    if tls.certificate_file is None:
        return (
            "the service closes connections: it may ask for a client certificate, and none is set"
        )
    return "the service closes connections: it may refuse our certificate, as ended or untrusted"


class Outage:
    """What the log has said of a service that is not reached: each problem once, and the end."""

    def __init__(self, target: str, tls: ClientTls) -> None:
        self._target = target
        self._tls = tls
        self._told: set[str] = set()

    def learn(self, error: grpc.aio.AioRpcError) -> None:
        """A call has failed. An error of a service of ours shows that it was reached."""
        if STATUS_DETAILS in (error.trailing_metadata() or ()):
            self.end()
        elif error.code() is grpc.StatusCode.UNAVAILABLE:
            self._tell(error)

    def end(self) -> None:
        """The service answers."""
        if self._told:
            self._told.clear()
            log.info("service_reached_again", target=self._target)

    def _tell(self, error: grpc.aio.AioRpcError) -> None:
        problem = tls_problem(error, self._tls) or "no connection"
        if problem not in self._told:
            self._told.add(problem)
            cause = (error.details() or "")[:_LONGEST_CAUSE]
            log.warning("service_unreachable", target=self._target, problem=problem, cause=cause)
