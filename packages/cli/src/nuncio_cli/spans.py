"""Spans of time and points in time, as people type and read them."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated, Final

import typer
from google.protobuf.duration_pb2 import Duration
from google.protobuf.timestamp_pb2 import Timestamp

from nuncio_cli.imports.registration import timestamp
from nuncio_cli.imports.rows import BadValueError

_SECONDS: Final = {"w": 604_800, "d": 86_400, "h": 3_600, "m": 60, "s": 1}
_SHOWN: Final = (("day", 86_400), ("hour", 3_600), ("minute", 60), ("second", 1))
_SPAN: Final = re.compile(r"(?:[0-9]{1,6}[wdhms])+")
_PART: Final = re.compile(r"([0-9]+)([wdhms])")
# As services show their settings. Months and years, of no fixed length, are no spans.
_ISO_8601: Final = re.compile(r"p((?:[0-9]{1,6}[wd])*)(?:t((?:[0-9]{1,6}[hms])+))?")


def span(text: str) -> timedelta:
    """ "30d", "36h", "1d12h", or ISO 8601, "P30D"; units are w, d, h, m and s.

    A plain number means days. Raises BadParameter.
    """
    plain = text.strip().lower()
    if standard := _ISO_8601.fullmatch(plain):
        plain = "".join(filter(None, standard.groups()))
    if plain.isascii() and plain.isdigit() and len(plain) <= 6:
        return timedelta(days=int(plain))
    if not _SPAN.fullmatch(plain):
        raise typer.BadParameter("must be a span of time, such as 30d, 12h or 1d12h")
    parts = _PART.findall(plain)
    return timedelta(seconds=sum(int(number) * _SECONDS[unit] for number, unit in parts))


def duration(text: str) -> Duration:
    """A span as the contracts have it. Raises BadParameter."""
    length = Duration()
    length.FromTimedelta(span(text))
    return length


def span_text(value: timedelta) -> str:
    """ "30 days", "36 hours": in the largest unit that leaves no rest."""
    seconds = round(value.total_seconds())
    name, unit = next((n, u) for n, u in _SHOWN if seconds % u == 0)
    count = seconds // unit
    return f"{count:,} {name}" if count == 1 else f"{count:,} {name}s"


def moment(text: str, *, now: datetime | None = None) -> Timestamp:
    """A time, or a span before now: "2026-03-31T12:00:00Z", "2h".

    Raises BadParameter.
    """
    plain = text.strip().lower()
    if _SPAN.fullmatch(plain):
        stamp = Timestamp()
        stamp.FromDatetime((now or datetime.now(UTC)) - span(plain))
        return stamp
    try:
        return timestamp(text, "")
    except BadValueError as error:
        message = "must be a time, such as 2026-03-31T12:00:00Z, or a span before now, such as 2h"
        raise typer.BadParameter(message) from error


def span_option(help_text: str) -> typer.models.OptionInfo:
    """An option that takes a span of time."""
    option: typer.models.OptionInfo = typer.Option(
        parser=duration, metavar="SPAN", help=help_text, show_default=False
    )
    return option


def moment_option(help_text: str) -> typer.models.OptionInfo:
    """An option that takes a point in time."""
    option: typer.models.OptionInfo = typer.Option(
        parser=moment, metavar="TIME", help=help_text, show_default=False
    )
    return option


Since = Annotated[
    Timestamp | None, moment_option("Only at this time or later: ISO 8601, or 2h for 2 hours ago.")
]
Until = Annotated[Timestamp | None, moment_option("Only before this time. Default: until now.")]
