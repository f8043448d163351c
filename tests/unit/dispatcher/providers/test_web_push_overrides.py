"""What a message says to Web Push alone."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from nuncio_dispatcher.domain.model import Message
from nuncio_dispatcher.domain.overrides import Urgency, WebPushOverrides
from nuncio_dispatcher.providers.webpush import payload as webpush

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
EXPIRES = NOW + timedelta(days=2)


def form(overrides: WebPushOverrides) -> webpush.Form:
    message = Message(title="t", collapse_key="neutral", web_push=overrides)
    return webpush.render(message, now=NOW, expires_at=EXPIRES)


@pytest.mark.parametrize(
    ("urgency", "word"),
    [
        (Urgency.VERY_LOW, "very-low"),
        (Urgency.LOW, "low"),
        (Urgency.NORMAL, "normal"),
        (Urgency.HIGH, "high"),
        (None, "high"),
    ],
)
def test_urgency_has_the_words_of_the_rfc(urgency: Urgency | None, word: str) -> None:
    assert form(WebPushOverrides(urgency=urgency)).headers["urgency"] == word


@pytest.mark.parametrize(
    ("life", "seconds", "policy"),
    [
        (None, "3600", "cache"),
        (timedelta(0), "0", "no-cache"),
        (timedelta(minutes=1), "60", "cache"),
        (timedelta(days=28), str(2 * 86_400), "cache"),
    ],
)
def test_the_own_time_to_live_ends_with_the_dispatch(
    life: timedelta | None, seconds: str, policy: str
) -> None:
    found = form(WebPushOverrides(time_to_live=life))
    assert found.headers["ttl"] == seconds
    assert found.wns_headers["x-wns-cache-policy"] == policy


def test_the_own_topic_goes_before_the_neutral_key() -> None:
    assert form(WebPushOverrides(topic="own")).headers["topic"] == "own"
    assert form(WebPushOverrides()).headers["topic"] == "neutral"


def test_own_bytes_take_the_place_of_our_json() -> None:
    assert form(WebPushOverrides(payload=b"\x00\xff")).plaintext == b"\x00\xff"
    ours = json.loads(form(WebPushOverrides()).plaintext)
    assert ours == {"title": "t", "collapse_key": "neutral"}


def test_only_what_is_sent_is_measured() -> None:
    long = Message(title="t" * 5_000, web_push=WebPushOverrides(payload=b"x" * 3_993))
    assert webpush.violations(long) == []
    longer = Message(web_push=WebPushOverrides(payload=b"x" * 3_994))
    assert [found.field for found in webpush.violations(longer)] == ["message"]
