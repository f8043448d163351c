"""What a registration has to keep beyond the annotations of the contract."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from functools import cache
from importlib.resources import files
from typing import Final, NoReturn

from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, EllipticCurvePublicKey

from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.language import is_language
from nuncio_registry.domain.limits import attribute_sizes, broken_limit
from nuncio_registry.domain.model import (
    ConsentChange,
    Environment,
    Facts,
    Platform,
    Provider,
    PushToken,
    Registration,
    Touch,
)
from nuncio_registry.domain.tokens import P256DH_BYTES, WEB_PUSH_KEY_BYTES
from nuncio_runtime.errors import FieldViolation, InvalidField

# How far a client's clock may be ahead of ours.
CLOCK_TOLERANCE: Final = timedelta(minutes=10)

# The contract bounds each attribute: a name of 64 bytes and 500 characters of at most 4 bytes. So
# fewer than these keep to 16 KiB, and hardly any registration has to be added up.
_MAY_BE_TOO_LARGE: Final = 8

PLATFORMS: Final = {
    Provider.APNS: frozenset(
        {Platform.IOS, Platform.MACOS, Platform.WATCHOS, Platform.TVOS, Platform.VISIONOS}
    ),
    # Firebase has SDKs for these; on Apple platforms it forwards to APNs.
    Provider.FCM: frozenset({Platform.ANDROID, Platform.IOS, Platform.WEB, Platform.MACOS}),
    Provider.WEB_PUSH: frozenset({Platform.WEB}),
}
_PLATFORM_RULES: Final = {
    Provider.APNS: "must be an Apple platform with an APNs token",
    Provider.FCM: "must be android, ios, web or macos with an FCM token",
    Provider.WEB_PUSH: "must be web with a Web Push subscription",
}


def check_registration(row: Registration, *, guard: EndpointGuard, now: datetime) -> None:
    """Raise InvalidField with the first rule that the registration breaks."""
    if row.platform not in PLATFORMS[row.provider]:
        _refuse("platform", _PLATFORM_RULES[row.provider])
    if row.environment != Environment.PRODUCTION and row.provider != Provider.APNS:
        _refuse("environment", "must be production: only APNs has a sandbox")
    if row.provider == Provider.WEB_PUSH:
        _check_subscription(row.token, guard)
    if row.observed_at is not None and row.observed_at > now + CLOCK_TOLERANCE:
        _refuse("observed_at", "must be at most 10 minutes in the future")
    check_facts(row.facts, now=now, path="facts")
    if row.consents:
        check_consents(row.consents, path="consents")


def check_facts(facts: Facts, *, now: datetime, path: str) -> None:
    """Raise InvalidField with the first rule that the facts break."""
    if facts.last_seen is not None and facts.last_seen > now + CLOCK_TOLERANCE:
        _refuse(f"{path}.last_seen", "must be at most 10 minutes in the future")
    if facts.language is not None and not is_language(facts.language):
        _refuse(f"{path}.language", "must be made of subtags that are registered with IANA")
    if facts.country is not None and facts.country not in _countries():
        _refuse(f"{path}.country", "must be an ISO 3166-1 alpha-2 code")
    if facts.time_zone is not None and facts.time_zone not in _time_zones():
        _refuse(f"{path}.time_zone", "must be a name of the IANA time zone database")
    if facts.attributes is not None and len(facts.attributes) >= _MAY_BE_TOO_LARGE:
        broken = broken_limit(attribute_sizes(facts.attributes))
        if broken is not None:
            _refuse(f"{path}.attributes", broken.rule)


def check_touches(touches: Iterable[Touch], *, now: datetime, path: str) -> None:
    """Raise InvalidField with the first time that lies too far ahead."""
    latest = now + CLOCK_TOLERANCE
    for index, touch in enumerate(touches):
        for name, time in (("seen_time", touch.seen), ("open_time", touch.opened)):
            if time is not None and time > latest:
                _refuse(f"{path}[{index}].{name}", "must be at most 10 minutes in the future")


def check_consents(changes: Iterable[ConsentChange], *, path: str) -> None:
    """Raise InvalidField with the first rule that the changes break."""
    purposes: set[str] = set()
    for index, change in enumerate(changes):
        if change.purpose in purposes:
            _refuse(f"{path}[{index}].purpose", "must be named once")
        purposes.add(change.purpose)


def _check_subscription(token: PushToken, guard: EndpointGuard) -> None:
    plaintext = token.reveal()
    rule = guard.broken_rule(plaintext[WEB_PUSH_KEY_BYTES:].decode())
    if rule is not None:
        _refuse("token.web_push.endpoint", rule)
    try:
        EllipticCurvePublicKey.from_encoded_point(SECP256R1(), plaintext[:P256DH_BYTES])
    except ValueError:
        _refuse("token.web_push.p256dh", "must be a point on the curve P-256")


@cache
def _time_zones() -> frozenset[str]:
    """The names of the tz database, as the tzdata package lists them: the same on every machine.

    But Factory, which says that nobody has set the zone.
    """
    names = files("tzdata").joinpath("zones").read_text(encoding="utf-8").split()
    return frozenset(names) - {"Factory"}


@cache
def _countries() -> frozenset[str]:
    """The codes of ISO 3166-1, as the tzdata package lists them, and Kosovo's XK.

    XK is one of the codes that the standard leaves to its users; telephones report it.
    """
    table = files("tzdata").joinpath("zoneinfo", "iso3166.tab").read_text(encoding="utf-8")
    lines = (line for line in table.splitlines() if line and not line.startswith("#"))
    return frozenset({"XK", *(line.partition("\t")[0] for line in lines)})


def _refuse(field: str, rule: str) -> NoReturn:
    raise InvalidField(FieldViolation(field, rule))
