"""What the providers' tables share: waits."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio_dispatcher.providers.answers import LONGEST_WAIT, read_retry_after

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("value", "seconds"),
    [
        ("0", 0),
        ("30", 30),
        (" 30 ", 30),
        ("Sat, 21 Nov 2026 12:01:00 GMT", 60),
        ("Saturday, 21-Nov-26 12:01:00 GMT", 60),
        ("Sat, 21 Nov 2026 11:00:00 GMT", 0),
        ("99999999999999999999999", 86_400),
        ("Mon, 21 Nov 2050 12:00:00 GMT", 86_400),
    ],
)
def test_retry_after_is_read_in_both_forms_and_kept_within_a_day(value: str, seconds: int) -> None:
    assert read_retry_after({"retry-after": value}, now=NOW) == timedelta(seconds=seconds)


@pytest.mark.parametrize("value", ["", "soon", "-5", "1.5", "\u0663", "Sat, 99 Nov 2026"])
def test_an_unreadable_retry_after_is_none(value: str) -> None:
    assert read_retry_after({"retry-after": value}, now=NOW) is None
    assert read_retry_after({}, now=NOW) is None


@pytest.mark.parametrize(
    "value",
    [
        "Fri, 31 Dec 9999 23:59:59 -2359",
        "Mon, 01 Jan 0001 00:00:00 +2359",
        "Sat, 21 Nov 2026 12:01:00 +99999999999999",
        "Sat, 21 Nov 99999999999999999999 12:01:00 GMT",
        "Sat, 99999999999999999999999 Nov 2026 12:01:00 GMT",
    ],
)
def test_an_absurd_date_is_a_wait_within_a_day_or_none(value: str) -> None:
    wait = read_retry_after({"retry-after": value}, now=NOW)
    assert wait is None or timedelta() <= wait <= LONGEST_WAIT


_DATES = st.from_regex(
    r"(Sat, |)-?[0-9]{1,30}[ -](Nov|Feb|[0-9]{1,4})[ -]-?[0-9]{1,30} "
    r"[0-9]{1,12}(:[0-9]{1,12}){0,3} ?(GMT|EST|[+-][0-9]{1,20}|)",
    fullmatch=True,
)


@given(st.text() | _DATES)
def test_no_retry_after_does_any_harm(value: str) -> None:
    wait = read_retry_after({"retry-after": value}, now=NOW)
    assert wait is None or timedelta() <= wait <= LONGEST_WAIT
