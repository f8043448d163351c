"""Which faults hit, and how often."""

import random
from typing import Any

import orjson
import pytest

from nuncio_simulator.contract import Fault, FaultKind, Platform, ProviderName
from nuncio_simulator.faults import Faults
from nuncio_simulator.front import Front
from nuncio_simulator.ledger import Ledger
from nuncio_simulator.provider import Visit
from nuncio_simulator.wire import Answer, GoAway
from tests.unit.simulator.world import ManualClock, World, post

APNS = ProviderName.APNS


class Script:
    """Faults under a manual clock, for requests to APNs."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.faults = Faults(dice=random.Random(1), clock=self.clock)  # noqa: S311

    def put(self, **options: Any) -> int:
        fault = {"provider": APNS, "kind": FaultKind.CLOSE, **options}
        return self.faults.put(Fault.model_validate(fault), None)

    def hits(self, requests: int, visit: Visit | None = None) -> int:
        visit = visit or Visit(1)
        return sum(self.faults.pick(APNS, None, visit) is not None for _ in range(requests))


def test_a_fault_stays_until_it_is_cleared() -> None:
    script = Script()
    fault_id = script.put()
    assert script.hits(10) == 10
    script.faults.clear(fault_id)
    assert script.hits(10) == 0
    with pytest.raises(KeyError):
        script.faults.clear(fault_id)


def test_a_fault_acts_as_often_as_its_count_says() -> None:
    script = Script()
    script.put(count=3)
    assert script.hits(10) == 3
    assert not script.faults


def test_a_fault_ends_with_its_time() -> None:
    script = Script()
    script.put(seconds=5)
    assert script.hits(2) == 2
    script.clock.now += 5
    assert script.hits(2) == 0
    assert script.faults.view() == []


def test_a_fault_hits_a_share_of_the_requests() -> None:
    script = Script()
    script.put(share=0.25)
    assert 200 < script.hits(1_000) < 300


def test_a_fault_concerns_one_provider() -> None:
    script = Script()
    script.put(provider=ProviderName.FCM)
    assert script.hits(5) == 0


def test_a_fault_may_concern_a_platform(world: World) -> None:
    script = Script()
    script.put(platform=Platform.IOS)
    assert script.hits(1) == 0
    assert script.faults.pick(APNS, world.mint(APNS), Visit(1)) is not None


def test_goaway_waits_for_its_stream_on_each_connection() -> None:
    script = Script()
    script.put(kind=FaultKind.GOAWAY, after_streams=3)
    assert [script.hits(1, visit) for visit in [Visit(1)] * 3] == [0, 0, 1]
    assert script.hits(2) == 0


class TestFront:
    """What the script makes of an answer."""

    def answer(self, world: World, ledger: Ledger, **options: Any) -> Answer:
        """The answer to a valid request under a fault."""
        script = Script()
        script.put(**options)
        front = Front(world.apns, faults=script.faults, ledger=ledger)
        headers = {b"authorization": world.bearer(), b"apns-topic": b"com.example.one"}
        path = f"/3/device/{world.mint(APNS).text}"
        return front.answer(post(path, headers, b'{"aps":{}}'))

    @pytest.mark.parametrize(
        ("options", "expected"),
        [
            ({"kind": FaultKind.NO_ANSWER}, Answer(None)),
            ({"kind": FaultKind.RESET, "code": 8}, Answer(None, reset=8)),
            ({"kind": FaultKind.REFUSED_STREAM}, Answer(None, reset=7)),
            ({"kind": FaultKind.CLOSE}, Answer(None, disconnect=True)),
            ({"kind": FaultKind.GOAWAY}, Answer(None, goaway=GoAway())),
        ],
    )
    def test_a_withheld_answer_was_not_taken(
        self, world: World, options: dict[str, Any], expected: Answer
    ) -> None:
        ledger = Ledger()
        assert self.answer(world, ledger, **options) == expected
        view = ledger.view(APNS, detail=True)
        assert view.accepted == 0
        assert [(count.status, count.reason) for count in view.answers] == [(0, options["kind"])]

    @pytest.mark.parametrize("kind", [FaultKind.NO_ANSWER, FaultKind.RESET, FaultKind.CLOSE])
    def test_a_withheld_answer_may_have_been_taken(self, world: World, kind: FaultKind) -> None:
        ledger = Ledger()
        assert self.answer(world, ledger, kind=kind, after_accept=True).reply is None
        assert ledger.view(APNS, detail=False).accepted == 1

    def test_a_refused_stream_is_never_taken(self, world: World) -> None:
        ledger = Ledger()
        self.answer(world, ledger, kind=FaultKind.REFUSED_STREAM, after_accept=True)
        assert ledger.view(APNS, detail=False).accepted == 0

    def test_goaway_comes_after_the_last_answer(self, world: World) -> None:
        options = {"after_streams": 1, "reason": "Shutdown", "last_stream_id": 1}
        answer = self.answer(world, Ledger(), kind=FaultKind.GOAWAY, **options)
        assert answer.reply is not None
        assert answer.reply.status == 200
        assert answer.goaway == GoAway(debug=orjson.dumps({"reason": "Shutdown"}), last_stream_id=1)

    def test_latency_delays_the_true_answer(self, world: World) -> None:
        answer = self.answer(world, Ledger(), kind=FaultKind.LATENCY, latency_ms=250)
        assert answer.reply is not None
        assert (answer.reply.status, answer.delay) == (200, 0.25)

    def test_a_refusal_is_in_the_ledger(self, world: World) -> None:
        ledger = Ledger()
        self.answer(world, ledger, kind=FaultKind.CREDENTIAL)
        [count] = ledger.view(APNS, detail=True).answers
        assert (count.status, count.reason, count.count) == (403, "InvalidProviderToken", 1)
