"""The gate: when a lane pauses, what is told to its rows, and what opens it again."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs

from nuncio_dispatcher.domain.model import Provider, Verdict
from nuncio_dispatcher.providers.answers import ACCEPTED, Aftermath, Answer
from nuncio_dispatcher.providers.lane.gate import MOST_DOUBTS, PAUSED, WHOLE, Gate, Parts, Pass
from nuncio_runtime.clock import ManualClock

APPLE, WEB = (*WHOLE, "apple"), (*WHOLE, "web")
REFUSED = Answer(Verdict.MISCONFIGURED, "InvalidProviderToken", aftermath=Aftermath.PAUSE)
KEY_REFUSED = Answer(
    Verdict.MISCONFIGURED, "THIRD_PARTY_AUTH_ERROR", aftermath=Aftermath.PAUSE_PART
)
DOUBTED = Answer(Verdict.MISCONFIGURED, "HTTP_403")
RETRY = Answer(Verdict.RETRY, "ServiceUnavailable")
TOLD = Answer(Verdict.MISCONFIGURED, "InvalidProviderToken")


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 11, 21, 12, 0, tzinfo=UTC))


@pytest.fixture
def gate(clock: ManualClock) -> Iterator[Gate]:
    gate = Gate("apns/a/production", Provider.APNS, probe_wait=timedelta(seconds=30), clock=clock)
    yield gate
    gate.close()


def told(gate: Gate, passed: Pass, answer: Answer | None) -> None:
    """A row that was let through gets an answer."""
    if answer is ACCEPTED:
        gate.learn(passed, accepted=1)
    elif answer is not None:
        gate.learn(passed, [answer])
    gate.leave(passed)


def answered(gate: Gate, answer: Answer | None, parts: Parts = WHOLE) -> None:
    """A row goes through and gets an answer."""
    assert gate.refusal(parts) is None
    told(gate, gate.enter(parts), answer)


def test_a_refused_credential_stops_all_rows_for_the_wait(gate: Gate, clock: ManualClock) -> None:
    answered(gate, REFUSED)
    assert gate.refusal(WHOLE) == TOLD
    clock.advance(29.9)
    assert gate.refusal(WHOLE) == TOLD
    clock.advance(0.1)
    assert gate.refusal(WHOLE) is None


@pytest.mark.parametrize(
    "verdict",
    [Verdict.ACCEPTED, Verdict.TOKEN_DEAD, Verdict.TOKEN_DOUBTFUL, Verdict.REFUSED],
)
def test_after_the_wait_one_row_probes_and_opens_the_lane(
    gate: Gate, clock: ManualClock, verdict: Verdict
) -> None:
    answered(gate, REFUSED)
    clock.advance(30)
    probe = gate.enter(WHOLE)
    assert gate.refusal(WHOLE) == TOLD
    told(gate, probe, Answer(verdict))
    assert gate.refusal(WHOLE) is None
    assert gate.enter(WHOLE).probes == ()


def test_a_probe_that_is_refused_starts_the_wait_anew(gate: Gate, clock: ManualClock) -> None:
    answered(gate, REFUSED)
    clock.advance(30)
    answered(gate, REFUSED._replace(reason="Forbidden"))
    assert gate.refusal(WHOLE) == TOLD._replace(reason="Forbidden")
    clock.advance(30)
    assert gate.refusal(WHOLE) is None


@pytest.mark.parametrize("answer", [None, RETRY])
def test_a_probe_that_proves_nothing_makes_room_for_another(
    gate: Gate, clock: ManualClock, answer: Answer | None
) -> None:
    answered(gate, REFUSED)
    clock.advance(30)
    answered(gate, answer)
    assert gate.refusal(WHOLE) is None
    probe = gate.enter(WHOLE)
    assert probe.probes == WHOLE
    assert gate.refusal(WHOLE) == TOLD


def test_answers_to_rows_written_before_the_pause_neither_open_nor_prolong_it(
    gate: Gate, clock: ManualClock
) -> None:
    earlier = [gate.enter(WHOLE) for _ in range(2)]
    answered(gate, REFUSED)
    clock.advance(20)
    told(gate, earlier[0], ACCEPTED)
    told(gate, earlier[1], REFUSED)
    assert gate.refusal(WHOLE) == TOLD
    clock.advance(10)
    assert gate.refusal(WHOLE) is None


def test_a_part_is_paused_alone(gate: Gate) -> None:
    answered(gate, KEY_REFUSED, APPLE)
    assert gate.refusal(APPLE) is not None
    assert gate.refusal(WEB) is None
    assert gate.refusal(WHOLE) is None


def test_the_whole_is_paused_with_all_its_parts(gate: Gate) -> None:
    answered(gate, REFUSED, APPLE)
    for parts in (WHOLE, APPLE, WEB):
        assert gate.refusal(parts) == TOLD


def test_a_part_that_is_refused_proves_the_whole(gate: Gate, clock: ManualClock) -> None:
    answered(gate, REFUSED)
    clock.advance(30)
    answered(gate, KEY_REFUSED, APPLE)
    assert gate.refusal(WHOLE) is None
    assert gate.refusal(APPLE) is not None


def test_a_part_is_blamed_only_by_its_own_rows(gate: Gate) -> None:
    answered(gate, KEY_REFUSED, WHOLE)
    for parts in (WHOLE, APPLE, WEB):
        assert gate.refusal(parts) is None


def test_what_may_be_the_rows_fault_pauses_when_many_in_a_row_say_it(gate: Gate) -> None:
    for _ in range(MOST_DOUBTS - 1):
        answered(gate, DOUBTED)
    answered(gate, ACCEPTED)
    for _ in range(MOST_DOUBTS):
        answered(gate, DOUBTED)
    assert gate.refusal(WHOLE) == Answer(Verdict.MISCONFIGURED, "HTTP_403")


def test_next_to_an_accepted_row_only_certain_refusals_accuse(gate: Gate) -> None:
    passed = gate.enter(WHOLE)
    gate.learn(passed, [DOUBTED] * MOST_DOUBTS, accepted=1)
    assert not gate.is_paused
    gate.learn(passed, [REFUSED], accepted=1)
    assert gate.refusal(WHOLE) == TOLD


def test_doubts_of_one_moment_count_each(gate: Gate) -> None:
    gate.learn(gate.enter(WHOLE), [DOUBTED] * MOST_DOUBTS)
    assert gate.refusal(WHOLE) == Answer(Verdict.MISCONFIGURED, "HTTP_403")


def test_a_pause_is_shown_and_told_once(gate: Gate, clock: ManualClock) -> None:
    shown = PAUSED.labels("apns")
    before = shown._value.get()
    earlier = gate.enter(WHOLE)
    with capture_logs() as lines:
        answered(gate, REFUSED)
        told(gate, earlier, REFUSED)
        clock.advance(30)
        answered(gate, REFUSED)
        assert shown._value.get() == before + 1
        clock.advance(30)
        answered(gate, ACCEPTED)
        assert shown._value.get() == before
    assert [(line["event"], line["log_level"]) for line in lines] == [
        ("lane_paused", "warning"),
        ("lane_resumed", "info"),
    ]
    assert lines[0]["lane"] == "apns/a/production"
    assert lines[0]["reason"] == "InvalidProviderToken"


def test_a_lane_that_closes_is_paused_no_more(gate: Gate) -> None:
    shown = PAUSED.labels("apns")
    before = shown._value.get()
    late = gate.enter(WHOLE)
    answered(gate, REFUSED)
    gate.close()
    assert shown._value.get() == before
    told(gate, late, ACCEPTED)
