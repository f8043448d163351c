"""Which faults hit, and how often."""

import random
from typing import Any

import orjson
import pytest

from nuncio_simulator.contract import Fault, FaultKind, Malformation, Platform, ProviderName
from nuncio_simulator.faults import Faults
from nuncio_simulator.front import TRAILER, Front
from nuncio_simulator.ledger import Ledger
from nuncio_simulator.provider import Visit
from nuncio_simulator.wire import Answer, Form, GoAway
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


def test_goaway_leaves_requests_unprocessed_before_it() -> None:
    script, visit = Script(), Visit(1)
    script.put(kind=FaultKind.GOAWAY, after_streams=2, unprocessed=3, count=1)
    strikes = [script.faults.pick(APNS, None, visit) for _ in range(6)]
    assert [strike and strike.final for strike in strikes] == [None, None, False, False, True, None]


def test_goaway_without_a_count_comes_on_every_connection() -> None:
    script = Script()
    script.put(kind=FaultKind.GOAWAY, after_streams=2)
    for _ in range(3):
        visit = Visit(1)
        assert [script.hits(1, visit) for _ in range(2)] == [0, 1]


def test_a_silence_of_pings_hits_no_request() -> None:
    script = Script()
    assert not script.faults.silence_ping(APNS)
    script.put(kind=FaultKind.PING_SILENCE, count=1)
    assert script.hits(3) == 0
    assert script.faults.silence_ping(APNS)
    assert not script.faults.silence_ping(APNS)


def test_providers_without_a_fault_are_not_looked_at() -> None:
    script = Script()
    fault_id = script.put()
    assert script.faults.concern(APNS)
    assert not script.faults.concern(ProviderName.FCM)
    script.faults.clear(fault_id)
    assert not script.faults.concern(APNS)


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

    def test_a_shutdown_is_told_and_then_carried_out(self, world: World) -> None:
        answer = self.answer(world, Ledger(), kind=FaultKind.SHUTDOWN)
        assert answer.reply is not None
        assert (answer.reply.status, answer.reply.body) == (503, b'{"reason":"Shutdown"}')
        assert answer.goaway == GoAway(debug=b'{"reason":"Shutdown"}')

    def test_a_provider_that_has_had_enough_ends_the_connection(self) -> None:
        world, ledger = World(bad_tokens=1), Ledger()
        front = Front(world.apns, faults=Script().faults, ledger=ledger)
        headers = {b"authorization": world.bearer(), b"apns-topic": b"com.example.one"}
        answer = front.answer(post("/3/device/" + "ab" * 32, headers, b'{"aps":{}}'))
        assert answer.reply is not None
        assert (answer.reply.status, answer.goaway) == (400, GoAway())

    def test_goaway_may_say_anything(self, world: World) -> None:
        options = {"goaway_code": 11, "debug": "too_many_pings"}
        answer = self.answer(world, Ledger(), kind=FaultKind.GOAWAY, **options)
        assert answer.goaway == GoAway(11, b"too_many_pings")

    def test_a_refusal_may_be_oversized_late_or_never_end(self, world: World) -> None:
        oversized = self.answer(world, Ledger(), kind=FaultKind.OVERSIZED, body_bytes=5_000)
        assert oversized.reply is not None
        assert len(oversized.reply.body) == 5_000
        assert orjson.loads(oversized.reply.body) == {"reason": "TooManyRequests"}
        late = self.answer(world, Ledger(), kind=FaultKind.ANSWER, delay_ms=5_000)
        assert late.delay == 5
        assert self.answer(world, Ledger(), kind=FaultKind.STALL).form == Form(stall=True)

    @pytest.mark.parametrize(
        ("kind", "form"),
        [
            (FaultKind.INFORMATIONAL, Form(informational=True)),
            (FaultKind.TRAILERS, Form(trailers=TRAILER)),
            (FaultKind.PADDING, Form(padding=16)),
            (FaultKind.SPLIT, Form(split=True)),
        ],
    )
    def test_the_true_answer_may_be_laid_out_otherwise(
        self, world: World, kind: FaultKind, form: Form
    ) -> None:
        ledger = Ledger()
        answer = self.answer(world, ledger, kind=kind)
        assert answer.form == form
        assert ledger.view(APNS, detail=False).accepted == 1

    @pytest.mark.parametrize("after_accept", [False, True])
    def test_what_is_malformed_stands_for_an_answer(self, world: World, after_accept: bool) -> None:
        ledger = Ledger()
        answer = self.answer(world, ledger, kind=FaultKind.MALFORMED, after_accept=after_accept)
        assert answer == Answer(None, malformed=Malformation.BAD_FRAME_SIZE)
        assert ledger.summary(APNS).accepted == after_accept

    def test_what_is_only_unknown_precedes_the_true_answer(self, world: World) -> None:
        kind = Malformation.UNKNOWN_FRAME
        answer = self.answer(world, Ledger(), kind=FaultKind.MALFORMED, malformation=kind)
        assert answer.reply is not None
        assert answer.malformed is kind

    def test_settings_change_while_the_connection_runs(self, world: World) -> None:
        script = Script()
        changed = {"max_concurrent_streams": 3, "max_frame_size": 20_000}
        script.put(kind=FaultKind.SETTINGS, settings=changed, count=1)
        front = Front(world.apns, faults=script.faults, ledger=Ledger())
        headers = {b"authorization": world.bearer(), b"apns-topic": b"com.example.one"}
        request = post(f"/3/device/{world.mint(APNS).text}", headers, b'{"aps":{}}')
        assert front.answer(request).settings == {5: 20_000}
        assert front.stream_limit == 3
        assert front.answer(request).settings is None
        assert front.stream_limit == 3

    def test_pings_are_answered_unless_the_script_forbids(self, world: World) -> None:
        script = Script()
        front = Front(world.apns, faults=script.faults, ledger=Ledger())
        assert front.answers_ping()
        script.put(kind=FaultKind.PING_SILENCE)
        assert not front.answers_ping()
