"""Which Web Push endpoints may be registered: they are chosen by whoever registers.

One endpoint has one form here, or several installations would own one subscription.

Source: OWASP, Server-Side Request Forgery Prevention; RFC 8030, section 8; RFC 3986, section 6.2.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final
from urllib.parse import SplitResult, urlsplit

HTTPS_PORT: Final = 443

_PLAIN: Final = re.compile(r"https://[!-\[\]-~]+")
# The default port, where it is all that follows the host.
_AUTHORITY: Final = re.compile(
    r"(https://(?:\[[0-9A-Fa-f:.]*\]|[A-Za-z0-9._-]*))(?::443(?=[/?#]|\Z))?", re.ASCII
)
_DOT_SEGMENTS: Final = frozenset({".", ".."})


def canonical(endpoint: str) -> str:
    """The endpoint with its host in lower case and without the default port.

    What `EndpointGuard` refuses, it refuses in this form, too. Path and query stay as they are:
    what they mean is the push service's.
    """
    found = _AUTHORITY.match(endpoint)
    return endpoint if found is None else found[1].lower() + endpoint[found.end() :]


class EndpointGuard:
    """Lets through endpoints of known push services.

    hosts: each allows itself and every name below it, on port 443. origins: each is allowed as
    it stands (`https://127.0.0.1:8443`), whatever the address; for development.
    """

    def __init__(self, *, hosts: Iterable[str], origins: Iterable[str] = ()) -> None:
        self._hosts = frozenset(host.lower() for host in hosts)
        self._origins = frozenset(map(_origin_of, origins))
        listed = "\n".join((*sorted(self._hosts), "", *sorted(self._origins)))
        self.fingerprint: Final = sha256(listed.encode()).digest()[:16]
        """16 bytes, of what it lets through."""

    def broken_rule(self, endpoint: str) -> str | None:
        """The rule that the endpoint breaks, None when it may be registered."""
        if not _PLAIN.fullmatch(endpoint):
            return "must be an https URL of printable ASCII characters"
        try:
            url = urlsplit(endpoint)
            port = _port(url)
        except ValueError:
            return "must be a well-formed https URL"
        if "@" in url.netloc:
            return "must not carry a user name or password"
        if rule := _broken_form(endpoint, url):
            return rule
        if self._origins and _origin(url, port) in self._origins:
            return None
        if port != HTTPS_PORT:
            return "must use port 443"
        # Addresses, also private ones, are refused here: the list holds names only.
        return None if self._knows(url.hostname or "") else "must belong to a known push service"

    def _knows(self, host: str) -> bool:
        labels = host.split(".")
        return any(".".join(labels[start:]) in self._hosts for start in range(len(labels)))


def _broken_form(endpoint: str, url: SplitResult) -> str | None:
    """The rule that ways to write an endpoint break that would be another name for the same one.

    No browser gives such.
    """
    if "#" in endpoint:
        return "must not have a fragment"
    _, colon, port = url.netloc.rpartition("]")[2].partition(":")
    if colon and (not port or port.startswith("0")):
        return "must have a port from 1 on, without leading zeros, or none"
    if not url.path:
        return "must have a path"
    segments = url.path.lower().replace("%2e", ".").split("/")
    if not _DOT_SEGMENTS.isdisjoint(segments):
        return "must not have the segments . and .. in its path"
    return None


def _origin_of(text: str) -> str:
    url = urlsplit(text)
    return _origin(url, _port(url))


def _port(url: SplitResult) -> int:
    port = url.port
    return HTTPS_PORT if port is None else port


def _origin(url: SplitResult, port: int) -> str:
    return f"{url.scheme}://{(url.hostname or '').lower()}:{port}"
