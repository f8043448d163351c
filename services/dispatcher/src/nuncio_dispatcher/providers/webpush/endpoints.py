"""Which endpoints may be called. They come from outside, so each is vetted before each send.

A hostile subscription could make the dispatcher call anything that it can reach. So: known push
services only, or origins that the operator allows; https on port 443; and of the host's addresses
only public ones, connected to as resolved, so that no second look-up can differ.
"""

import re
from collections.abc import Collection, Iterable
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Final, NamedTuple

from nuncio_dispatcher.http2.exchange import Origin

PUSH_SERVICES: Final = frozenset(
    {
        "android.googleapis.com",  # Chrome, old
        "fcm.googleapis.com",  # Chrome and kin
        "jmt17.google.com",  # Chromium without Google's keys
        "updates.push.services.mozilla.com",  # Firefox
    }
)
PUSH_SERVICE_DOMAINS: Final = (
    ".notify.windows.com",  # Edge
    ".push.apple.com",  # Safari
)
WNS_DOMAIN: Final = ".notify.windows.com"
LONGEST: Final = 2048
# Stricter than any parser, so that whatever comes to call such a URL reads the same host in it.
_URL: Final = re.compile(
    r"https://(?:([a-z0-9.-]+)|\[([0-9a-f:.]+)\])(?::([0-9]{1,5}))?"
    r"(?P<path>/[!-\"$-~]*)?(?P<query>\?[!-\"$-~]*)?(?:#[!-~]*)?",
    re.ASCII | re.IGNORECASE,
)
_NAT64: Final = IPv6Network("64:ff9b::/96")


class Endpoint(NamedTuple):
    """An endpoint that may be called."""

    origin: Origin
    """Where to send to, and what a VAPID token for it is made out to."""
    path: bytes
    """With the query."""
    is_wns: bool
    """Whether Windows' own headers apply."""

    def __repr__(self) -> str:
        return f"Endpoint({self.origin})"


def vet(url: str, *, allowed: Collection[Origin] = ()) -> Endpoint | None:
    """The endpoint, or None when it must not be called."""
    found = _URL.fullmatch(url) if len(url) <= LONGEST else None
    if found is None:
        return None
    host, port = (found[1] or found[2]).lower(), int(found[3] or 443)
    origin = Origin(host, port)
    known = host in PUSH_SERVICES or host.endswith(PUSH_SERVICE_DOMAINS)
    if origin not in allowed and not (known and port == 443):
        return None
    is_wns = host.endswith(WNS_DOMAIN) or origin in allowed
    path = f"{found['path'] or '/'}{found['query'] or ''}"
    return Endpoint(origin, path.encode(), is_wns)


def vet_addresses(
    origin: Origin, addresses: Iterable[str], *, allowed: Collection[Origin] = ()
) -> list[str]:
    """Those of an origin's addresses that may be connected to: public ones, or any if allowed."""
    if origin in allowed:
        return list(addresses)
    return [address for address in addresses if is_public(address)]


def is_public(address: str) -> bool:
    """Whether an address is one of the open Internet, also when it carries an IPv4 one inside."""
    try:
        found = ip_address(address.partition("%")[0])
    except ValueError:
        return False
    inner = _inner_address(found) if isinstance(found, IPv6Address) else None
    seen = found if inner is None else inner
    if isinstance(seen, IPv6Address) and seen.is_site_local:
        return False  # given up, but routed where it ever was; Python calls it global
    return seen.is_global and not seen.is_multicast and not seen.is_reserved


def _inner_address(address: IPv6Address) -> IPv4Address | None:
    """The IPv4 address that a translating IPv6 address leads to."""
    if address in _NAT64:
        return IPv4Address(int(address) & 0xFFFF_FFFF)
    return address.ipv4_mapped or address.sixtofour
