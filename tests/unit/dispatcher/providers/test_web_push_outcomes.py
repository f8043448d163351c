"""Every answer of a push service means what the reference says it means."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.providers.answers import Aftermath, Answer, Replied
from nuncio_dispatcher.providers.webpush.outcomes import KeyMatch, classify
from nuncio_simulator.contract import Platform
from nuncio_simulator.personalities import VOICES, Problem

NOW = datetime(2026, 11, 21, 12, 0, tzinfo=UTC)
DEAD, DOUBTFUL, RETRY = Verdict.TOKEN_DEAD, Verdict.TOKEN_DOUBTFUL, Verdict.RETRY
REFUSED, MISCONFIGURED = Verdict.REFUSED, Verdict.MISCONFIGURED

CHROME_MISMATCH = (
    b"the VAPID credentials in the authorization header do not correspond to the credentials used "
    b"to create the subscriptions.\n"
)


def read(
    status: int,
    body: bytes | dict[str, object] = b"",
    *,
    key: KeyMatch = KeyMatch.UNKNOWN,
    **headers: str,
) -> Answer:
    raw = body if isinstance(body, bytes) else json.dumps(body).encode()
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return classify(Replied(status, named, raw), key=key, now=NOW, quota_wait=timedelta(minutes=1))


@pytest.mark.parametrize("status", [200, 201, 202])
def test_any_success_is_accepted(status: int) -> None:
    assert read(status).verdict is Verdict.ACCEPTED


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_refused(status: int) -> None:
    assert read(status, location="https://10.0.0.1/")[:2] == (REFUSED, "REDIRECTED")


@pytest.mark.parametrize(
    ("status", "verdict"),
    [
        (400, REFUSED),
        (401, MISCONFIGURED),
        (403, MISCONFIGURED),
        (404, DEAD),
        (406, RETRY),
        (410, DEAD),
        (413, REFUSED),
        (429, RETRY),
        (500, RETRY),
        (502, RETRY),
        (503, RETRY),
        (504, RETRY),
        (405, REFUSED),
        (507, RETRY),
    ],
)
def test_an_answer_without_words_goes_by_its_status(status: int, verdict: Verdict) -> None:
    assert read(status)[:2] == (verdict, f"HTTP_{status}")


@pytest.mark.parametrize(
    ("status", "errno", "verdict"),
    [
        (400, 101, REFUSED),
        (404, 102, DEAD),
        (410, 103, DEAD),
        (413, 104, REFUSED),
        (410, 105, DEAD),
        (410, 106, DEAD),
        (400, 108, REFUSED),
        (401, 109, MISCONFIGURED),
        (400, 110, REFUSED),
        (400, 111, REFUSED),
        (400, 112, REFUSED),
        (400, 113, REFUSED),
        (400, 114, REFUSED),
        (503, 201, RETRY),
        (503, 202, RETRY),
        (502, 900, RETRY),
        (502, 901, RETRY),
        (502, 902, RETRY),
        (502, 903, RETRY),
        (500, 999, RETRY),
    ],
)
def test_mozilla_speaks_by_errno(status: int, errno: int, verdict: Verdict) -> None:
    body = {"code": status, "errno": errno, "error": "…", "message": "…"}
    assert read(status, body)[:2] == (verdict, f"ERRNO_{errno}")


def test_a_null_errno_goes_by_the_status() -> None:
    assert read(410, {"code": 410, "errno": None}).verdict is DEAD


@pytest.mark.parametrize(
    ("status", "reason", "verdict"),
    [
        (400, "BadTtl", REFUSED),
        (400, "BadUrgency", REFUSED),
        (400, "BadWebPushRequest", REFUSED),
        (400, "BadWebPushTopic", REFUSED),
        (400, "IdleTimeout", RETRY),
        (403, "BadAuthorizationHeader", MISCONFIGURED),
        (403, "BadJwtToken", MISCONFIGURED),
        (403, "BadVapidPublicKey", MISCONFIGURED),
        (404, "BadPath", DOUBTFUL),
        (405, "MethodNotAllowed", REFUSED),
        (413, "PayloadTooLarge", REFUSED),
        (429, "TooManyRequests", RETRY),
        (500, "InternalServerError", RETRY),
        (503, "ServiceUnavailable", RETRY),
        (503, "Shutdown", RETRY),
    ],
)
def test_apple_speaks_by_reason(status: int, reason: str, verdict: Verdict) -> None:
    assert read(status, {"reason": reason})[:2] == (verdict, reason)


@pytest.mark.parametrize(
    ("key", "verdict"),
    [
        (KeyMatch.SAME, MISCONFIGURED),
        (KeyMatch.OTHER, DOUBTFUL),
        (KeyMatch.UNKNOWN, DOUBTFUL),
    ],
)
@pytest.mark.parametrize(
    ("status", "body"),
    [
        (403, CHROME_MISMATCH),
        (401, {"errno": 109, "message": "VAPID public key mismatch"}),
        (400, {"reason": "VapidPkHashMismatch"}),
        (403, {"reason": "VapidPkHashMismatch"}),
    ],
)
def test_a_key_mismatch_is_everyones_trouble_only_when_the_key_is_ours(
    status: int, body: bytes | dict[str, object], key: KeyMatch, verdict: Verdict
) -> None:
    assert read(status, body, key=key).verdict is verdict


def test_any_vapid_fault_of_a_subscription_with_another_key_is_its_own() -> None:
    assert read(401, {"errno": 109}, key=KeyMatch.OTHER).verdict is DOUBTFUL
    assert read(403, key=KeyMatch.OTHER).verdict is DOUBTFUL


def test_domain_blocked_is_no_dead_subscription() -> None:
    answer = read(410, x_wns_error_description="Domain Blocked")
    assert answer[:2] == (MISCONFIGURED, "DOMAIN_BLOCKED")


@pytest.mark.parametrize("status", [401, 403])
def test_an_endpoint_that_may_heal_is_only_doubtful(status: int) -> None:
    assert read(status, b"Invalid push subscription endpoint").verdict is DOUBTFUL


def test_the_example_in_chromes_404_is_no_redirect() -> None:
    text = b"A valid push subscription endpoint should be specified in the URL as such: https://x"
    assert read(404, text).verdict is DEAD


def test_a_wait_is_taken_from_the_answer() -> None:
    assert read(406, retry_after="900").retry_after == timedelta(minutes=15)
    assert read(503, retry_after="120").retry_after == timedelta(minutes=2)
    assert read(503).retry_after is None


@pytest.mark.parametrize(
    "answer", [read(406), read(429), read(429, {"reason": "TooManyRequests"}), read(429, b"soon")]
)
def test_a_service_that_asks_to_slow_down_and_names_no_wait_gets_a_minute(answer: Answer) -> None:
    assert (answer.verdict, answer.retry_after) == (RETRY, timedelta(minutes=1))


@pytest.mark.parametrize(
    "answer",
    [
        read(404, key=KeyMatch.OTHER),
        read(410, key=KeyMatch.OTHER),
        read(410, {"errno": 106}, key=KeyMatch.OTHER),
        read(404, {"errno": 102}, key=KeyMatch.OTHER),
    ],
)
def test_a_subscription_of_another_key_is_never_dead(answer: Answer) -> None:
    assert answer.verdict is DOUBTFUL


@pytest.mark.parametrize("status", [400, 403])
def test_apples_mismatch_keeps_apples_word(status: int) -> None:
    assert read(status, {"reason": "VapidPkHashMismatch"}).reason == "VapidPkHashMismatch"


@pytest.mark.parametrize(
    ("answer", "asked"),
    [
        (read(403, {"reason": "BadJwtToken"}), Aftermath.PAUSE_PART),
        (read(400, {"reason": "BadVapidPublicKey"}), Aftermath.PAUSE_PART),
        (read(410, x_wns_error_description="Domain Blocked"), Aftermath.PAUSE_PART),
        # Perhaps only this subscription, whatever key its client says it is of.
        (read(403, CHROME_MISMATCH, key=KeyMatch.SAME), Aftermath.NONE),
        (read(401, {"errno": 109}, key=KeyMatch.SAME), Aftermath.NONE),
        (read(403), Aftermath.NONE),
    ],
)
def test_only_what_no_subscription_can_cause_pauses_at_once(
    answer: Answer, asked: Aftermath
) -> None:
    assert answer.aftermath is asked


PROBLEMS = {
    Problem.UNKNOWN: DEAD,
    Problem.GONE: DEAD,
    Problem.NO_CREDENTIAL: MISCONFIGURED,
    Problem.BAD_CREDENTIAL: MISCONFIGURED,
    Problem.KEY_MISMATCH: DOUBTFUL,
    Problem.THROTTLED: RETRY,
    Problem.INTERNAL: RETRY,
    Problem.UNAVAILABLE: RETRY,
}
"""The other ones are faults of the request."""


@pytest.mark.parametrize("problem", Problem)
@pytest.mark.parametrize("browser", VOICES)
def test_four_services_mean_the_same_in_their_own_words(
    browser: Platform, problem: Problem
) -> None:
    said = VOICES[browser](problem)
    headers = {name.decode(): value.decode() for name, value in said.headers}
    answer = classify(
        Replied(said.status, headers, said.body),
        key=KeyMatch.UNKNOWN,
        now=NOW,
        quota_wait=timedelta(minutes=1),
    )
    expected = PROBLEMS.get(problem, REFUSED)
    if (browser, problem) == (Platform.SAFARI, Problem.UNKNOWN):
        expected = DOUBTFUL  # BadPath: it never was one of Apple's endpoints
    assert answer.verdict is expected
