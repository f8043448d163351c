"""What the providers' tables share: waits, and the sheet of answers."""

from datetime import UTC, datetime, timedelta

import pytest

from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.providers.answers import ACCEPTED, Sheet, read_retry_after

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


def test_rows_that_were_not_filled_in_were_not_sent() -> None:
    sheet = Sheet.blank(2)
    sheet.put(1, ACCEPTED, NOW)
    assert not sheet.is_full
    assert list(sheet.answers.verdicts) == [Verdict.RETRY, Verdict.ACCEPTED]
    assert sheet.answers.reasons == ["NOT_SENT", ""]
    assert sheet.answers.sent_at == [None, NOW]
