"""The sheet of answers: every row is answered, once, and what is odd is said once per send."""

from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.http2.exchange import Failure
from nuncio_dispatcher.providers.answers import ACCEPTED, Answer, Own
from nuncio_dispatcher.providers.lane.sheet import MOST_REMARKS, Sheet

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
LATER = NOW + timedelta(seconds=1)
EXPIRED = Answer(Verdict.EXPIRED, Own.EXPIRED)


def unlisted(word: str) -> Answer:
    return Answer(Verdict.REFUSED, "HTTP_418", unlisted=word)


def test_what_got_no_answer_is_unknown_if_it_was_written_and_else_not_sent() -> None:
    sheet = Sheet(3)
    sheet.hand_over(range(3))
    sheet.lose(0, Failure.CONNECTION_LOST, None)
    sheet.lose(1, Failure.CONNECTION_LOST, NOW)
    assert not sheet.full.is_set()
    sheet.put(2, ACCEPTED, NOW)
    assert sheet.full.is_set()
    answers = sheet.close(lane="apns/a/production")
    assert list(answers.verdicts) == [Verdict.RETRY, Verdict.UNKNOWN, Verdict.ACCEPTED]
    assert answers.reasons == ["CONNECTION_LOST", "CONNECTION_LOST", ""]
    assert answers.sent_at == [None, NOW, NOW]


def test_rows_that_wait_get_one_answer_and_those_handed_over_do_not() -> None:
    sheet = Sheet(5)
    sheet.hand_over([1, 3, 4])
    sheet.take_back([3])
    sheet.put_waiting(EXPIRED)
    assert not sheet.full.is_set()
    sheet.accept([1, 4], [NOW, LATER])
    answers = sheet.close(lane="apns/a/production")
    expired, accepted = Verdict.EXPIRED, Verdict.ACCEPTED
    assert list(answers.verdicts) == [expired, accepted, expired, expired, accepted]
    assert answers.reasons == ["EXPIRED", "", "EXPIRED", "EXPIRED", ""]
    assert answers.sent_at == [None, NOW, None, None, LATER]


def test_neighbours_are_accepted_like_scattered_rows() -> None:
    sheet = Sheet(4)
    sheet.hand_over(range(1, 3))
    sheet.accept(range(1, 3), [NOW, LATER])
    sheet.put_waiting(EXPIRED)
    answers = sheet.close(lane="apns/a/production")
    expired, accepted = Verdict.EXPIRED, Verdict.ACCEPTED
    assert list(answers.verdicts) == [expired, accepted, accepted, expired]
    assert answers.sent_at == [None, NOW, LATER, None]


def test_an_answer_that_comes_after_the_first_changes_nothing() -> None:
    sheet = Sheet(1)
    sheet.lose(0, Failure.NO_ANSWER, NOW)
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
    sheet.remark("unexpected_failure", error="ValueError")
    sheet.put_waiting(EXPIRED)
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
