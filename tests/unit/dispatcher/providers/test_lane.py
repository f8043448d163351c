"""A lane over a transport that does what the test says: every row is answered once, in time."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from uuid import uuid4

import orjson
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from hypothesis import given, settings
from hypothesis import strategies as st

from nuncio_dispatcher.domain.model import (
    Answers,
    Message,
    Platform,
    Provider,
    PushToken,
    TargetColumns,
    Verdict,
)
from nuncio_dispatcher.http2.exchange import Exchange, Failure, Origin, Reply, Traffic
from nuncio_dispatcher.providers.apns.auth import TokenMint
from nuncio_dispatcher.providers.apns.client import ApnsClient
from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.lane.breaker import MOST_FAILURES, Circuit
from nuncio_dispatcher.providers.lane.gate import PAUSED
from nuncio_dispatcher.providers.lane.lane import ProviderLane
from nuncio_runtime.clock import ManualClock

KEY = generate_private_key(SECP256R1())
MESSAGE = Message(title="Hello")
ORIGIN = Origin("apns.example", 443)


class Via:
    """A connection that is not new."""

    answered = 2

    def drain(self) -> None:
        """It takes what it is given."""


class HandTransport:
    """A Transport that keeps what is posted until the test says what becomes of it."""

    def __init__(self, clock: ManualClock) -> None:
        self.exchanges: list[Exchange] = []
        self.posted = asyncio.Event()
        self._clock = clock

    def post(self, exchange: Exchange) -> None:
        self.exchanges.append(exchange)
        self.posted.set()

    def abandon(self, exchange: Exchange) -> None:
        exchange.is_over = True
        exchange.fail_waiting(Failure.NOT_SENT)
        for row in range(len(exchange.statuses)):
            if exchange.is_open(row):
                exchange.fail(row, Failure.NO_ANSWER)
        if exchange.unheard:
            exchange.tell()

    def traffic(self) -> Iterable[tuple[Origin, Traffic]]:
        return ()

    async def aclose(self) -> None:
        assert not any(exchange.open for exchange in self.exchanges)

    def write(self, exchange: Exchange, count: int = 10**6) -> Sequence[int]:
        """The rows that are on their way, with some more of those that wait."""
        for _ in range(min(count, len(exchange.waiting))):
            exchange.written_at[exchange.waiting.popleft()] = self._clock.now()
        written = enumerate(exchange.written_at)
        return [row for row, at in written if at is not None and exchange.is_open(row)]

    def accept(self, exchange: Exchange, rows: Sequence[int]) -> None:
        for row in rows:
            exchange.statuses[row] = 200
        exchange.accepted += len(rows)
        exchange.open -= len(rows)
        exchange.tell()

    def answer(
        self, exchange: Exchange, rows: Sequence[int], status: int, reason: str = ""
    ) -> None:
        for row in rows:
            exchange.reply(row, Reply(status, {}, orjson.dumps({"reason": reason}), Via()))
        exchange.tell()

    def lose(self, exchange: Exchange, rows: Sequence[int], failure: Failure) -> None:
        for row in rows:
            exchange.fail(row, failure)
        exchange.tell()


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime.now(UTC))


@pytest.fixture
def transport(clock: ManualClock) -> HandTransport:
    return HandTransport(clock)


@pytest.fixture
def lane(transport: HandTransport, clock: ManualClock) -> ProviderLane:
    return made(transport, clock)


def made(
    transport: HandTransport, clock: ManualClock, *, rate: float | None = None
) -> ProviderLane:
    section = ApnsSettings.model_validate(
        {
            "team_id": "TEAM123456",
            "key_id": "KEY1234567",
            "key_file": "unused.p8",
            "topic": "com.example.shop",
            "origin": str(ORIGIN),
            "rate": rate,
        }
    )
    mint = TokenMint(KEY, team_id="TEAM123456", key_id="KEY1234567", clock=clock)
    client = ApnsClient(section, origin=ORIGIN, mint=mint, clock=clock)
    return ProviderLane(
        "apns/app/production",
        section,
        provider=Provider.APNS,
        client=client,
        transport=transport,
        clock=clock,
    )


def sent(
    lane: ProviderLane, clock: ManualClock, count: int, stop: asyncio.Event | None = None
) -> asyncio.Task[Answers]:
    tokens = [PushToken(f"{number:064x}") for number in range(count)]
    targets = TargetColumns(
        ids=[uuid4() for _ in tokens], tokens=tokens, platforms=[Platform.IOS] * count
    )
    expires_at = clock.now() + timedelta(hours=1)
    return asyncio.create_task(lane.send(MESSAGE, targets, expires_at=expires_at, stop=stop))


async def posted(transport: HandTransport) -> Exchange:
    await transport.posted.wait()
    transport.posted.clear()
    return transport.exchanges[-1]


def circuit(lane: ProviderLane) -> Circuit:
    (road,) = lane.live().roads
    return road.breaker.circuit


async def test_a_lost_connection_is_one_failure_however_many_rows_it_takes_along(
    lane: ProviderLane, transport: HandTransport, clock: ManualClock
) -> None:
    for _ in range(MOST_FAILURES):
        assert circuit_is_closed(lane)
        sending = sent(lane, clock, 50)
        exchange = await posted(transport)
        transport.lose(exchange, transport.write(exchange), Failure.CONNECTION_LOST)
        assert set((await sending).verdicts) == {Verdict.UNKNOWN}
    assert circuit(lane) is Circuit.OPEN, "connection after connection is the provider's trouble"


def circuit_is_closed(lane: ProviderLane) -> bool:
    return all(road.breaker.circuit is Circuit.CLOSED for road in lane.live().roads)


@pytest.mark.parametrize("failure", [Failure.CONNECTION_LOST, Failure.CONNECT_FAILED])
async def test_rows_that_no_connection_would_take_are_a_failure_each(
    lane: ProviderLane, transport: HandTransport, clock: ManualClock, failure: Failure
) -> None:
    sending = sent(lane, clock, MOST_FAILURES)
    exchange = await posted(transport)
    exchange.fail_waiting(failure)
    exchange.tell()
    assert set((await sending).verdicts) == {Verdict.RETRY}
    assert circuit(lane) is Circuit.OPEN


@pytest.mark.parametrize(
    ("reason", "is_closed"), [("Shutdown", True), ("ServiceUnavailable", False)]
)
async def test_a_server_that_goes_away_is_not_a_provider_in_trouble(
    lane: ProviderLane,
    transport: HandTransport,
    clock: ManualClock,
    reason: str,
    *,
    is_closed: bool,
) -> None:
    sending = sent(lane, clock, 100)
    exchange = await posted(transport)
    transport.answer(exchange, transport.write(exchange), 503, reason)
    assert set((await sending).reasons) == {reason}
    assert circuit_is_closed(lane) is is_closed


async def test_the_probe_counts_once_it_has_ended_and_not_when_it_is_refused_unread(
    lane: ProviderLane, transport: HandTransport, clock: ManualClock
) -> None:
    sending = sent(lane, clock, MOST_FAILURES)
    exchange = await posted(transport)
    transport.answer(exchange, transport.write(exchange), 500, "InternalServerError")
    await sending
    clock.advance(2)
    probing = sent(lane, clock, 1)
    exchange = await posted(transport)
    assert exchange.refuse(transport.write(exchange)[0])
    exchange.tell()
    assert set((await sent(lane, clock, 2)).reasons) == {"LANE_DOWN"}, "one probe at a time"
    transport.accept(exchange, transport.write(exchange))
    assert set((await probing).verdicts) == {Verdict.ACCEPTED}
    assert circuit(lane) is Circuit.CLOSED


async def test_a_stop_in_the_moment_of_a_new_token_ends_what_was_about_to_begin(
    lane: ProviderLane, transport: HandTransport, clock: ManualClock
) -> None:
    stop = asyncio.Event()
    sending = sent(lane, clock, 3, stop)
    exchange = await posted(transport)
    written = transport.write(exchange, 1)
    clock.advance(21 * 60)  # so that a new token may be made
    stop.set()
    transport.answer(exchange, written, 403, "ExpiredProviderToken")
    answers = await sending
    assert answers.reasons == ["ExpiredProviderToken", "NOT_SENT", "NOT_SENT"]
    assert len(transport.exchanges) == 1


async def test_a_probe_without_an_answer_makes_room_for_another(
    lane: ProviderLane, transport: HandTransport, clock: ManualClock
) -> None:
    refused = sent(lane, clock, 3)
    exchange = await posted(transport)
    transport.answer(exchange, transport.write(exchange), 403, "InvalidProviderToken")
    await refused
    for failure in (Failure.NO_ANSWER, Failure.CONNECTION_LOST):
        clock.advance(31)
        probing = sent(lane, clock, 3)
        exchange = await posted(transport)
        transport.lose(exchange, transport.write(exchange), failure)
        assert sorted((await probing).reasons) == sorted(["InvalidProviderToken"] * 2 + [failure])


async def test_after_a_stop_nothing_more_is_written(
    lane: ProviderLane, transport: HandTransport, clock: ManualClock
) -> None:
    stop = asyncio.Event()
    sending = sent(lane, clock, 3, stop)
    exchange = await posted(transport)
    (written,) = transport.write(exchange, 1)
    stop.set()
    for _ in range(3):
        await asyncio.sleep(0)
    assert transport.write(exchange) == [written]
    transport.accept(exchange, [written])
    assert (await sending).reasons == ["", "NOT_SENT", "NOT_SENT"]


async def test_a_probe_costs_the_budget_one_row(
    transport: HandTransport, clock: ManualClock
) -> None:
    lane = made(transport, clock, rate=60_000)
    failing = sent(lane, clock, MOST_FAILURES)
    exchange = await posted(transport)
    transport.answer(exchange, transport.write(exchange), 500, "InternalServerError")
    await failing
    clock.advance(2)
    probing = sent(lane, clock, 20)
    exchange = await posted(transport)
    assert len(exchange.requests) == 1
    transport.accept(exchange, transport.write(exchange))
    assert (await probing).reasons.count("LANE_DOWN") == 19
    rest = sent(lane, clock, 100)
    exchange = await posted(transport)
    assert 30 <= len(exchange.requests) <= 32, "a quarter of a second of 130 rows, less the probe"
    rest.cancel()
    await asyncio.wait([rest])


async def test_rows_that_wait_for_the_budget_go_back_when_a_long_pause_begins(
    transport: HandTransport, clock: ManualClock
) -> None:
    lane = made(transport, clock, rate=60)
    sending = sent(lane, clock, 30)
    exchange = await posted(transport)
    (road,) = lane.live().roads
    assert road.budget.waiting
    written = transport.write(exchange)
    lane._line.slow_down(lane._line.roads.to(ORIGIN), timedelta(minutes=5))
    transport.accept(exchange, written)
    async with asyncio.timeout(1):
        answers = await sending
    assert set(answers.reasons) == {"", "SLOWED_DOWN"}
    (road,) = lane.live().roads
    assert road.budget.waiting == 0
    assert not lane._line.legs


REASONS = [
    (200, ""),
    (400, "BadDeviceToken"),
    (403, "InvalidProviderToken"),
    (403, "ExpiredProviderToken"),
    (410, "Unregistered"),
    (429, "TooManyRequests"),
    (429, "TooManyProviderTokenUpdates"),
    (500, "InternalServerError"),
    (503, "Shutdown"),
]
FAILURES = [Failure.CONNECTION_LOST, Failure.NO_ANSWER, Failure.STREAM_RESET, Failure.BAD_ANSWER]

Deed = Callable[[HandTransport, Exchange, Sequence[int]], None]


def answering(status: int, reason: str) -> Deed:
    def do(transport: HandTransport, exchange: Exchange, rows: Sequence[int]) -> None:
        if status == 200:
            transport.accept(exchange, rows)
        else:
            transport.answer(exchange, rows, status, reason)

    return do


def losing(failure: Failure) -> Deed:
    def do(transport: HandTransport, exchange: Exchange, rows: Sequence[int]) -> None:
        transport.lose(exchange, rows, failure)

    return do


def refusing(_transport: HandTransport, exchange: Exchange, rows: Sequence[int]) -> None:
    for row in rows:
        exchange.refuse(row)
    exchange.tell()


def giving_up(_transport: HandTransport, exchange: Exchange, _rows: Sequence[int]) -> None:
    exchange.fail_waiting(Failure.CONNECT_FAILED)
    exchange.tell()


DEEDS = [
    *(answering(status, reason) for status, reason in REASONS),
    *map(losing, FAILURES),
    refusing,
    giving_up,
]
STEPS = st.lists(
    st.one_of(
        st.tuples(st.sampled_from(["send", "send and wait"]), st.integers(1, 40), st.just(0)),
        st.tuples(st.sampled_from(DEEDS), st.integers(0, 40), st.integers(0, 5)),
        st.tuples(
            st.sampled_from(["pass", "cancel", "stop", "slow", "later"]), st.just(0), st.just(0)
        ),
    ),
    max_size=25,
)


async def carry_out(steps: Sequence[tuple[Deed | str, int, int]], rate: float | None) -> None:
    clock, stop = ManualClock(datetime.now(UTC)), asyncio.Event()
    transport = HandTransport(clock)
    lane = made(transport, clock, rate=rate)
    paused = PAUSED.labels("apns")._value.get()
    sends: list[tuple[int, asyncio.Task[Answers]]] = []
    for deed, count, which in steps:
        going = [exchange for exchange in transport.exchanges if exchange.open]
        if deed in ("send", "send and wait"):
            sends.append((count, sent(lane, clock, count, stop)))
            for _ in range(5 * (deed == "send and wait")):
                await asyncio.sleep(0)
        elif deed == "pass":
            await asyncio.sleep(0)
        elif deed == "cancel" and sends:
            sends[-1][1].cancel()
        elif deed == "stop":
            stop.set()
        elif deed == "slow":
            lane._line.slow_down(lane._line.roads.to(ORIGIN), timedelta(seconds=7))
        elif deed == "later":
            clock.advance(31)
        elif not isinstance(deed, str) and going:
            exchange = going[which % len(going)]
            deed(transport, exchange, transport.write(exchange, count)[: count or 1])
    async with asyncio.timeout(8):
        while not all(task.done() for _, task in sends):
            for exchange in [exchange for exchange in transport.exchanges if exchange.open]:
                transport.accept(exchange, transport.write(exchange))
            await asyncio.sleep(0)
            clock.advance(1)
        found = await asyncio.gather(*(task for _, task in sends), return_exceptions=True)
        assert all(pause.next_probe_at for pause in lane.live().pauses), "another row may probe"
        await lane.aclose()
    for (count, _), answers in zip(sends, found, strict=True):
        if not isinstance(answers, asyncio.CancelledError):
            assert isinstance(answers, Answers), answers
            assert len(answers.verdicts) == count
            assert all(answers.verdicts)
    assert not lane._line.legs
    assert PAUSED.labels("apns")._value.get() == paused
    assert all(road.budget.waiting == 0 for road in lane.live().roads)
    assert {task for task in asyncio.all_tasks() if not task.done()} == {asyncio.current_task()}


@settings(max_examples=100, deadline=None)
@given(STEPS, st.sampled_from([None, 600.0]))
def test_whatever_happens_at_once_every_row_is_answered_and_nothing_is_left(
    steps: Sequence[tuple[Deed | str, int, int]], rate: float | None
) -> None:
    asyncio.run(carry_out(steps, rate))
