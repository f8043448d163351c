"""Every answer of APNs means what the reference says it means."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.providers.answers import UNLISTED, Aftermath, Answer, Replied
from nuncio_dispatcher.providers.apns.outcomes import ANSWERS, classify

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)

REFUSED, MISCONFIGURED = Verdict.REFUSED, Verdict.MISCONFIGURED
DEAD, DOUBTFUL, RETRY = Verdict.TOKEN_DEAD, Verdict.TOKEN_DOUBTFUL, Verdict.RETRY

EXPECTED = {
    (400, "BadCollapseId"): REFUSED,
    (400, "BadExpirationDate"): REFUSED,
    (400, "BadMessageId"): REFUSED,
    (400, "BadPriority"): REFUSED,
    (400, "InvalidPushType"): REFUSED,
    (400, "DuplicateHeaders"): REFUSED,
    (400, "PayloadEmpty"): REFUSED,
    (400, "BadTopic"): MISCONFIGURED,
    (400, "MissingTopic"): MISCONFIGURED,
    (400, "TopicDisallowed"): MISCONFIGURED,
    (400, "BadDeviceToken"): DOUBTFUL,
    (400, "MissingDeviceToken"): DEAD,
    (400, "DeviceTokenNotForTopic"): DOUBTFUL,
    (410, "DeviceTokenNotForTopic"): DOUBTFUL,
    (400, "IdleTimeout"): RETRY,
    (403, "BadCertificate"): MISCONFIGURED,
    (403, "BadCertificateEnvironment"): MISCONFIGURED,
    (403, "InvalidProviderToken"): MISCONFIGURED,
    (403, "MissingProviderToken"): MISCONFIGURED,
    (403, "Forbidden"): MISCONFIGURED,
    (403, "ExpiredProviderToken"): RETRY,
    (403, "UnrelatedKeyIdInToken"): RETRY,
    (403, "BadEnvironmentKeyIdInToken"): MISCONFIGURED,
    (403, "BadEnvironmentKeyInToken"): MISCONFIGURED,
    (404, "BadPath"): MISCONFIGURED,
    (405, "MethodNotAllowed"): MISCONFIGURED,
    (410, "Unregistered"): DEAD,
    (410, "ExpiredToken"): DEAD,
    (413, "PayloadTooLarge"): REFUSED,
    (429, "TooManyRequests"): RETRY,
    (429, "TooManyProviderTokenUpdates"): RETRY,
    (500, "InternalServerError"): RETRY,
    (503, "ServiceUnavailable"): RETRY,
    (503, "Shutdown"): RETRY,
    (503, "Service Unavailable"): RETRY,
    (400, "MissingChannelId"): REFUSED,
    (400, "BadChannelId"): REFUSED,
    (400, "ChannelNotRegistered"): REFUSED,
    (400, "BadRequestParams"): REFUSED,
    (400, "BadRequestPayload"): REFUSED,
    (400, "MissingPushType"): REFUSED,
    (400, "FeatureNotEnabled"): MISCONFIGURED,
    (403, "TopicMismatch"): MISCONFIGURED,
}
# They may be about the row: a token that is none looks like a wrong path, and broadcasts may be
# refused to an app whose other pushes are taken.
OF_THE_ROW = {"BadPath", "MethodNotAllowed", "FeatureNotEnabled", "TopicMismatch"}


def reply(status: int, **body: object) -> Replied:
    return Replied(status, {"apns-id": "…"}, json.dumps(body).encode() if body else b"")


def read(answer: Replied) -> Answer:
    return classify(answer, now=NOW, quota_wait=timedelta(minutes=1))


def test_the_table_holds_every_documented_reason_and_no_other() -> None:
    assert set(ANSWERS) == set(EXPECTED)


@pytest.mark.parametrize(("status", "reason"), EXPECTED)
def test_a_documented_answer_means_what_the_reference_says(status: int, reason: str) -> None:
    answer = read(reply(status, reason=reason))
    assert answer.verdict is EXPECTED[status, reason]
    assert answer.reason == reason


def test_200_is_accepted_without_a_reason() -> None:
    assert read(reply(200))[:2] == (Verdict.ACCEPTED, "")


def test_the_time_of_death_is_in_milliseconds() -> None:
    answer = read(reply(410, reason="Unregistered", timestamp=1_772_368_200_123))
    assert answer.dead_since == datetime(2026, 3, 1, 12, 30, 0, 123_000, tzinfo=UTC)


@pytest.mark.parametrize("timestamp", ["soon", None, True, 1e300, -1e300, [1]])
def test_a_time_of_death_that_is_none_is_left_out(timestamp: object) -> None:
    answer = read(reply(410, reason="Unregistered", timestamp=timestamp))
    assert answer.verdict is Verdict.TOKEN_DEAD
    assert answer.dead_since is None


def test_only_a_dead_token_has_a_time_of_death() -> None:
    answer = read(reply(410, reason="DeviceTokenNotForTopic", timestamp=1_772_368_200_000))
    assert answer.dead_since is None


def test_what_an_answer_asks_of_the_lane() -> None:
    asked = {
        reason: read(reply(status, reason=reason)).aftermath
        for (status, reason), verdict in EXPECTED.items()
        if verdict is not MISCONFIGURED
        and read(reply(status, reason=reason)).aftermath is not Aftermath.NONE
    }
    assert asked == {
        "IdleTimeout": Aftermath.RECONNECT,
        "Shutdown": Aftermath.RECONNECT,
        "UnrelatedKeyIdInToken": Aftermath.RECONNECT,
        "ExpiredProviderToken": Aftermath.RECONNECT | Aftermath.NEW_TOKEN,
        "TooManyProviderTokenUpdates": Aftermath.RECONNECT | Aftermath.KEEP_TOKEN,
    }


def test_a_refused_credential_pauses_the_lane_and_its_connection() -> None:
    certain = Aftermath.PAUSE | Aftermath.RECONNECT
    asked = {
        reason: read(reply(status, reason=reason)).aftermath
        for (status, reason), verdict in EXPECTED.items()
        if verdict is MISCONFIGURED
    }
    assert asked == {
        reason: Aftermath.NONE if reason in OF_THE_ROW else certain for reason in asked
    }


def test_a_429_waits_as_named_or_a_minute() -> None:
    assert read(reply(429, reason="TooManyRequests")).retry_after == timedelta(minutes=1)
    assert read(reply(429, reason="NewInNextYear")).retry_after == timedelta(minutes=1)
    assert read(reply(503, reason="ServiceUnavailable")).retry_after is None
    named = Replied(429, {"retry-after": "7"}, b'{"reason":"TooManyRequests"}')
    assert read(named).retry_after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, Verdict.REFUSED),
        (401, Verdict.MISCONFIGURED),
        (403, Verdict.MISCONFIGURED),
        (404, Verdict.TOKEN_DOUBTFUL),
        (410, Verdict.TOKEN_DOUBTFUL),
        (418, Verdict.REFUSED),
        (429, Verdict.RETRY),
        (500, Verdict.RETRY),
        (502, Verdict.RETRY),
        (302, Verdict.REFUSED),
    ],
)
@pytest.mark.parametrize("body", [b'{"reason":"NewInNextYear"}', b"<html>", b"[]", b""])
def test_an_unlisted_answer_goes_by_its_status_class_and_is_counted(
    status: int, verdict: Verdict, body: bytes
) -> None:
    before = UNLISTED.labels("apns")._value.get()
    answer = read(Replied(status, {}, body))
    assert answer[:2] == (verdict, f"HTTP_{status}")
    assert UNLISTED.labels("apns")._value.get() == before + 1
    assert answer.unlisted == ("NewInNextYear" if b"Next" in body else "")
