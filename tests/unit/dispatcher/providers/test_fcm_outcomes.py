"""Every answer of FCM means what the reference says it means."""

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.providers.answers import Aftermath, Answer, Replied
from nuncio_dispatcher.providers.fcm.outcomes import classify

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
QUOTA_WAIT = timedelta(minutes=1)
TYPE = "type.googleapis.com/"


def fcm_error(code: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}google.firebase.fcm.v1.FcmError", "errorCode": code}


def apns_error(status: int, reason: str) -> dict[str, Any]:
    kind = f"{TYPE}google.firebase.fcm.v1.ApnsError"
    return {"@type": kind, "statusCode": status, "reason": reason}


def bad_field(name: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}google.rpc.BadRequest", "fieldViolations": [{"field": name}]}


def error_info(reason: str) -> dict[str, Any]:
    return {"@type": f"{TYPE}google.rpc.ErrorInfo", "reason": reason}


def read(
    status: int, *details: dict[str, Any], message: str = "", headers: dict[str, str] | None = None
) -> Answer:
    error = {"code": status, "message": message, "details": list(details)}
    body = json.dumps({"error": error}).encode()
    return classify(Replied(status, headers or {}, body), now=NOW, quota_wait=QUOTA_WAIT)


MISLEADING = "Expected OAuth 2 access token, login cookie or other valid credential."
BAD_TOKEN = "The registration token is not a valid FCM registration token"


@pytest.mark.parametrize(
    ("answer", "verdict", "reason"),
    [
        (read(400, fcm_error("INVALID_ARGUMENT")), Verdict.REFUSED, "INVALID_ARGUMENT"),
        (
            read(400, fcm_error("INVALID_ARGUMENT"), message=BAD_TOKEN),
            Verdict.TOKEN_DEAD,
            "INVALID_ARGUMENT",
        ),
        (
            read(400, fcm_error("INVALID_ARGUMENT"), bad_field("message.token")),
            Verdict.TOKEN_DEAD,
            "INVALID_ARGUMENT",
        ),
        (read(400, bad_field("message.token")), Verdict.TOKEN_DEAD, "INVALID_ARGUMENT"),
        (
            read(400, fcm_error("INVALID_ARGUMENT"), bad_field("message.data")),
            Verdict.REFUSED,
            "INVALID_ARGUMENT",
        ),
        (
            read(400, fcm_error("INVALID_ARGUMENT"), apns_error(410, "Unregistered")),
            Verdict.TOKEN_DEAD,
            "Unregistered",
        ),
        (
            read(400, apns_error(400, "BadDeviceToken"), fcm_error("INVALID_ARGUMENT")),
            Verdict.TOKEN_DOUBTFUL,
            "BadDeviceToken",
        ),
        (read(400), Verdict.REFUSED, "INVALID_ARGUMENT"),
        (
            read(
                401,
                fcm_error("THIRD_PARTY_AUTH_ERROR"),
                apns_error(403, "InvalidProviderToken"),
                message=MISLEADING,
            ),
            Verdict.MISCONFIGURED,
            "THIRD_PARTY_AUTH_ERROR",
        ),
        (
            read(
                401,
                fcm_error("THIRD_PARTY_AUTH_ERROR"),
                apns_error(403, "BadEnvironmentKeyInToken"),
            ),
            Verdict.MISCONFIGURED,
            "THIRD_PARTY_AUTH_ERROR",
        ),
        (read(401, fcm_error("APNS_AUTH_ERROR")), Verdict.MISCONFIGURED, "APNS_AUTH_ERROR"),
        (
            read(401, error_info("ACCESS_TOKEN_EXPIRED"), message=MISLEADING),
            Verdict.RETRY,
            "UNAUTHENTICATED",
        ),
        (
            read(403, fcm_error("SENDER_ID_MISMATCH")),
            Verdict.TOKEN_DOUBTFUL,
            "SENDER_ID_MISMATCH",
        ),
        (read(403, error_info("SERVICE_DISABLED")), Verdict.MISCONFIGURED, "PERMISSION_DENIED"),
        (read(404, fcm_error("UNREGISTERED")), Verdict.TOKEN_DEAD, "UNREGISTERED"),
        (
            read(404, fcm_error("UNREGISTERED"), apns_error(410, "Unregistered")),
            Verdict.TOKEN_DEAD,
            "UNREGISTERED",
        ),
        (read(404), Verdict.MISCONFIGURED, "NOT_FOUND"),
        (read(429, fcm_error("QUOTA_EXCEEDED")), Verdict.RETRY, "QUOTA_EXCEEDED"),
        (read(429), Verdict.RETRY, "RESOURCE_EXHAUSTED"),
        (read(500, fcm_error("INTERNAL")), Verdict.RETRY, "INTERNAL"),
        (read(503, fcm_error("UNAVAILABLE")), Verdict.RETRY, "UNAVAILABLE"),
        (read(503), Verdict.RETRY, "UNAVAILABLE"),
        (read(504), Verdict.RETRY, "GATEWAY_TIMEOUT"),
        (read(400, fcm_error("UNSPECIFIED_ERROR")), Verdict.REFUSED, "HTTP_400"),
        (read(404, fcm_error("UNSPECIFIED_ERROR")), Verdict.TOKEN_DOUBTFUL, "HTTP_404"),
        (read(500, fcm_error("UNSPECIFIED_ERROR")), Verdict.RETRY, "HTTP_500"),
        # Unlisted: by the status class.
        (read(404, fcm_error("NEXT_YEAR")), Verdict.TOKEN_DOUBTFUL, "HTTP_404"),
        (read(418), Verdict.REFUSED, "HTTP_418"),
        (read(507), Verdict.RETRY, "HTTP_507"),
    ],
)
def test_a_documented_answer_means_what_the_reference_says(
    answer: Answer, verdict: Verdict, reason: str
) -> None:
    assert (answer.verdict, answer.reason) == (verdict, reason)


def test_200_is_accepted_whatever_the_body() -> None:
    answer = classify(Replied(200, {}, b""), now=NOW, quota_wait=QUOTA_WAIT)
    assert answer.verdict is Verdict.ACCEPTED


def test_html_from_the_gateway_waits_as_the_page_says() -> None:
    page = Replied(502, {}, b"<!DOCTYPE html><p>Please try again in 30 seconds.")
    answer = classify(page, now=NOW, quota_wait=QUOTA_WAIT)
    assert (answer.verdict, answer.retry_after) == (Verdict.RETRY, timedelta(seconds=30))


@pytest.mark.parametrize(
    ("value", "wait"),
    [("120", 120), ("Sat, 21 Nov 2026 12:00:45 GMT", 45), (None, 60), ("soon", 60)],
)
def test_a_quota_answer_waits_as_named_or_a_minute(value: str | None, wait: int) -> None:
    headers = {"retry-after": value} if value else {}
    answer = read(429, fcm_error("QUOTA_EXCEEDED"), headers=headers)
    assert answer.retry_after == timedelta(seconds=wait)


def test_only_a_bare_401_is_about_our_access_token() -> None:
    assert read(401).aftermath is Aftermath.NEW_TOKEN
    refused = read(401, fcm_error("THIRD_PARTY_AUTH_ERROR"))
    assert Aftermath.NEW_TOKEN not in refused.aftermath


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (read(401, fcm_error("THIRD_PARTY_AUTH_ERROR")), Aftermath.PAUSE_PART),
        (read(401, fcm_error("APNS_AUTH_ERROR")), Aftermath.PAUSE_PART),
        (read(403), Aftermath.PAUSE),
        (read(404), Aftermath.PAUSE),
        (read(403, fcm_error("SENDER_ID_MISMATCH")), Aftermath.NONE),
        (read(404, fcm_error("UNREGISTERED")), Aftermath.NONE),
        (read(403, fcm_error("NEXT_YEAR")), Aftermath.NONE),
    ],
)
def test_what_a_refused_credential_stops(answer: Answer, asked: Aftermath) -> None:
    assert answer.aftermath is asked


@pytest.mark.parametrize(
    "body",
    [b"[]", b"null", b'{"error":[]}', b'{"error":{"details":7}}', b'{"error":{"details":[1]}}'],
)
def test_a_body_of_another_shape_goes_by_its_status(body: bytes) -> None:
    answer = classify(Replied(400, {}, body), now=NOW, quota_wait=QUOTA_WAIT)
    assert answer.verdict is Verdict.REFUSED
