"""Spans and points in time, as operators type and read them."""

from datetime import UTC, datetime, timedelta

import pytest
import typer

from nuncio_cli.spans import duration, moment, span, span_text

NOW = datetime(2026, 3, 31, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("30d", 720),
        ("36h", 36),
        ("2w", 336),
        ("1d12h", 36),
        ("90m", 1.5),
        ("3600s", 1),
        ("P400D", 9_600),
        ("P1DT12H", 36),
        ("PT90M", 1.5),
        ("60", 1440),
    ],
)
def test_a_span_has_units_and_a_plain_number_means_days(text: str, hours: float) -> None:
    assert span(text) == timedelta(hours=hours)
    assert duration(text.upper()).ToTimedelta() == timedelta(hours=hours)


@pytest.mark.parametrize(
    "text",
    ["", "d", "30x", "-3d", "1.5d", "3 days", "9999999d", "٣d", "P", "P1Y", "P1M", "PT1D", "P1DT"],
)
def test_what_is_no_span_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="30d"):
        span(text)


@pytest.mark.parametrize(
    ("hours", "text"),
    [
        (720, "30 days"),
        (24, "1 day"),
        (36, "36 hours"),
        (1.5, "90 minutes"),
        (24_000, "1,000 days"),
    ],
)
def test_a_span_is_shown_in_the_largest_unit_that_fits(hours: float, text: str) -> None:
    assert span_text(timedelta(hours=hours)) == text


def test_a_time_is_iso_8601_or_a_span_before_now() -> None:
    assert moment("2h", now=NOW).ToJsonString() == "2026-03-31T10:00:00Z"
    assert moment("2026-03-30T08:00:00+02:00").ToJsonString() == "2026-03-30T06:00:00Z"


@pytest.mark.parametrize("text", ["yesterday", "2026-13-01", ""])
def test_what_is_no_time_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="2026-03-31T12:00:00Z"):
        moment(text)
