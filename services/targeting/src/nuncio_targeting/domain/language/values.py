"""The values that expressions write as text: durations, points in time and versions."""

import re
from datetime import UTC, datetime, timedelta
from typing import Final

from nuncio_targeting.domain.condition import Version

DURATION: Final = 'a number and s, m, h, d or w, such as "30d"; at most 10 years'
TIMESTAMP: Final = 'a time with its zone, such as "2026-01-31T18:00:00Z"'
DATE: Final = 'a day, such as "2026-01-31"'
VERSION: Final = 'up to six numbers with dots between them, such as "2.3.1"'

MAX_DURATION: Final = timedelta(days=3660)

_UNITS: Final = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}
_DURATION: Final = re.compile(r"([0-9]{1,8})([smhdw])")
_DATE: Final = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}")
_TIMESTAMP: Final = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(\.[0-9]{1,9})?"
    r"([Zz]|[+-][0-9]{2}:[0-9]{2})"
)
_VERSION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}")


def duration(text: str) -> timedelta | None:
    """Read `30d`, `12h`, `15m`, `90s` or `2w`. None when it is something else, or too long."""
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    length = timedelta(**{_UNITS[match[2]]: int(match[1])})
    return length if length <= MAX_DURATION else None


def timestamp(text: str) -> datetime | None:
    """Read a time in UTC; None when it is none. Source: RFC 3339, section 5.6, with its zone."""
    if not _TIMESTAMP.fullmatch(text):
        return None
    try:
        return datetime.fromisoformat(text.upper()).astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def date(text: str) -> datetime | None:
    """Read a day as the moment it begins in UTC; None when it is none."""
    return timestamp(f"{text}T00:00:00Z") if _DATE.fullmatch(text) else None


def version(text: str) -> Version | None:
    """Read a version; None when it is none."""
    return Version(text) if _VERSION.fullmatch(text) else None
