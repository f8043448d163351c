"""The sheet of answers: every row is answered, once, and what is odd is said once per send."""

from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.providers.answers import ACCEPTED, Answer, Lost, Own, Unsent
from nuncio_dispatcher.providers.sheet import MOST_REMARKS, Sheet

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)


def unlisted(word: str) -> Answer:
    return Answer(Verdict.REFUSED, "HTTP_418", unlisted=word)


def test_what_is_abandoned_is_unknown_if_it_was_written_and_else_not_sent() -> None:
    sheet = Sheet(4)
    for row in (1, 2, 3):
        sheet.write(row, NOW)
    sheet.take_back(2)
    sheet.put(3, ACCEPTED, NOW)
    assert not sheet.full.is_set()
    sheet.abandon()
    assert sheet.full.is_set()
    answers = sheet.close(lane="apns/a/production")
    expected = [Verdict.RETRY, Verdict.UNKNOWN, Verdict.RETRY, Verdict.ACCEPTED]
    assert list(answers.verdicts) == expected
    assert answers.reasons == ["NOT_SENT", "NO_ANSWER", "NOT_SENT", ""]
    assert answers.sent_at == [None, NOW, None, NOW]


def test_an_answer_that_comes_after_the_first_changes_nothing() -> None:
    sheet = Sheet(1)
    sheet.write(0, NOW)
    sheet.abandon()
    answers = sheet.close(lane="apns/a/production")
    sheet.put(0, ACCEPTED, NOW)
    assert list(answers.verdicts) == [Verdict.UNKNOWN]


def test_a_sheet_with_an_open_row_cannot_be_closed() -> None:
    sheet = Sheet(2)
    sheet.put(0, ACCEPTED, NOW)
    with pytest.raises(AssertionError, match="every row is answered"):
        sheet.close(lane="apns/a/production")


def test_an_empty_sheet_is_full() -> None:
    assert Sheet(0).full.is_set()


def test_equal_remarks_are_one_line_with_their_count() -> None:
    sheet = Sheet(30)
    for row in range(28):
        sheet.put(row, unlisted("teapot"), NOW)
    sheet.lose(28, Unsent(Own.FAULT, "ValueError"))
    sheet.write(29, NOW)
    sheet.lose(29, Lost(Own.CONNECTION_LOST))
    with capture_logs() as lines:
        sheet.close(lane="fcm/a/production")
    level, lane = "warning", "fcm/a/production"
    assert lines == [
        {
            "event": "unlisted_answer",
            "reason": "HTTP_418",
            "word": "teapot",
            "count": 28,
            "lane": lane,
            "log_level": level,
        },
        {
            "event": "unexpected_failure",
            "error": "ValueError",
            "count": 1,
            "lane": lane,
            "log_level": level,
        },
    ]


def test_a_provider_of_many_words_fills_no_log() -> None:
    sheet = Sheet(500)
    for row in range(500):
        sheet.put(row, unlisted(f"word {row}"), NOW)
    with capture_logs() as lines:
        sheet.close(lane="fcm/a/production")
    assert len(lines) == MOST_REMARKS + 1
    assert sum(line["count"] for line in lines) == 500
