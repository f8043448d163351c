"""Which Web Push endpoints may be registered: they are chosen by whoever registers.

Source: OWASP, Server-Side Request Forgery Prevention; RFC 8030, section 8.
"""

import re
from collections.abc import Iterable
from hashlib import sha256
from typing import Final
from urllib.parse import SplitResult, urlsplit

HTTPS_PORT: Final = 443

_PLAIN: Final = re.compile(r"https://[!-\[\]-~]+")


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
            port = url.port or HTTPS_PORT
        except ValueError:
            return "must be a well-formed https URL"
        if url.username is not None or url.password is not None:
            return "must not carry a user name or password"
        if _origin(url, port) in self._origins:
            return None
        if port != HTTPS_PORT:
            return "must use port 443"
        # Addresses, also private ones, are refused here: the list holds names only.
        return None if self._knows(url.hostname or "") else "must belong to a known push service"

    def _knows(self, host: str) -> bool:
        labels = host.split(".")
        return any(".".join(labels[start:]) in self._hosts for start in range(len(labels)))


def _origin_of(text: str) -> str:
    url = urlsplit(text)
    return _origin(url, url.port or HTTPS_PORT)


def _origin(url: SplitResult, port: int) -> str:
    return f"{url.scheme}://{(url.hostname or '').lower()}:{port}"
