"""Dispatches run to their end, and their books close, whatever the neighbours do."""

import asyncio
from datetime import datetime, timedelta
from typing import TypeAlias

import asyncpg
import pytest

from nuncio_dispatcher.domain.dispatch import Audience, DeliveryPolicy, DispatchState
from nuncio_dispatcher.domain.errors import AudienceInvalid
from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.domain.pages import Lease, Page, Settled
from nuncio_dispatcher.domain.retry import RetryPolicy
from nuncio_dispatcher.domain.run import RunnerPolicy
from nuncio_dispatcher.storage.postgres import PostgresJournal
from nuncio_runtime.postgres import StorageUnavailable
from tests.integration.dispatcher.replica import BRISK, MILLISECOND, Replica, totals
from tests.integration.dispatcher.scripted import ScriptedLanes, ScriptedTargeting, away
from tests.unit.dispatcher.builders import installation_ids

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
OK, DEAD, RETRY = Verdict.ACCEPTED, Verdict.TOKEN_DEAD, Verdict.RETRY
UNKNOWN, BROKEN = Verdict.UNKNOWN, Verdict.MISCONFIGURED
AT_MOST_ONCE = DeliveryPolicy.AT_MOST_ONCE

GONE = AudienceInvalid("no such segment", line=1, column=1, position=0, expected="", segment="")
# As close to a crash as a task can get: its pages have no time to close.
ABRUPT = RunnerPolicy(poll=20 * MILLISECOND, drain=MILLISECOND)
WITHOUT_HEARTBEAT = RunnerPolicy(
    shards=1, poll=20 * MILLISECOND, lease=50 * MILLISECOND, heartbeat=timedelta(minutes=1)
)
FORGIVING = RunnerPolicy(poll=20 * MILLISECOND, fault_pause=MILLISECOND)

pytestmark = pytest.mark.timeout(30)


async def test_every_target_is_sent_once_and_counted(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(35), ScriptedLanes())
    replica.targeting.suppressed = {3: "NO_CONSENT", 30: "NO_CONSENT", 31: "STALE"}
    replica.lanes.verdict = lambda number, _: DEAD if number == 7 else OK
    dispatch_id = await replica.add(shards=2)
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert dispatch.state is DispatchState.COMPLETED
    assert totals(dispatch) == {
        "RESOLVED": 35,
        "SUPPRESSED": 3,
        "ACCEPTED": 31,
        "TOKEN_DEAD": 1,
    }
    assert {number: len(ids) for number, ids in replica.lanes.ids.items()} == {
        number: 1 for number in range(1, 36) if number not in (3, 30, 31)
    }


async def test_an_audience_of_nobody_completes(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(0), ScriptedLanes())
    dispatch_id = await replica.add(shards=2)
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert dispatch.state is DispatchState.COMPLETED
    assert totals(dispatch) == {}


async def test_stragglers_are_sent_again_with_the_same_request_id(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(20), ScriptedLanes())
    replica.lanes.verdict = lambda number, before: RETRY if number < 5 and before < 2 else OK
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 20, "ACCEPTED": 20, "RETRIED": 8}
    assert [len(replica.lanes.ids[number]) for number in range(1, 7)] == [3, 3, 3, 3, 1, 1]
    assert all(len(set(ids)) == 1 for ids in replica.lanes.ids.values())


async def test_what_never_left_does_not_count_as_retried(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(5), ScriptedLanes(unsent=True))
    replica.lanes.verdict = lambda _, before: RETRY if before < 1 else OK
    dispatch_id = await replica.add(delivery=AT_MOST_ONCE)
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 5, "ACCEPTED": 5}


async def test_who_may_not_be_reached_any_more_is_not_sent_to_again(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(6), ScriptedLanes())

    def withdraw(number: int, before: int) -> Verdict:
        replica.targeting.suppressed = {1: "NO_CONSENT", 2: "NO_CONSENT"}
        return RETRY if number < 4 and not before else OK

    replica.lanes.verdict = withdraw
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 6, "SUPPRESSED": 2, "ACCEPTED": 4, "RETRIED": 1}
    assert [len(replica.lanes.ids[number]) for number in (1, 2, 3)] == [1, 1, 2]


async def test_named_installations_take_the_same_road(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(0), ScriptedLanes())
    named = Audience(installation_ids=installation_ids(12, first=100))
    dispatch_id = await replica.add(audience=named)
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 12, "ACCEPTED": 12}


async def test_a_lane_without_a_credential_holds_its_targets_until_it_has_one(
    pool: Pool,
) -> None:
    replica = Replica(pool, ScriptedTargeting(9), ScriptedLanes(unsent=True))
    replica.lanes.verdict = lambda number, before: BROKEN if number % 3 and before < 3 else OK
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 9, "ACCEPTED": 9}


async def test_pages_that_wait_for_a_credential_do_not_hold_up_the_walk(pool: Pool) -> None:
    always_due = RetryPolicy(probe_wait=MILLISECOND, unsent_wait=MILLISECOND)
    replica = Replica(pool, ScriptedTargeting(50), ScriptedLanes(unsent=True), retry=always_due)
    configured: list[int] = []

    def configure_last(number: int, _: int) -> Verdict:
        configured.extend([number] * (number == 50))
        return BROKEN if number <= 10 and not configured else OK

    replica.lanes.verdict = configure_last
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 50, "ACCEPTED": 50}


async def test_what_is_left_when_time_is_over_expires(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(9), ScriptedLanes())
    replica.lanes.verdict = lambda number, _: RETRY if number < 4 else OK
    dispatch_id = await replica.add(lasting=timedelta(seconds=1))
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert dispatch.state is DispatchState.COMPLETED
    assert totals(dispatch) | {"RETRIED": 0} == {
        "RESOLVED": 9,
        "ACCEPTED": 6,
        "EXPIRED": 3,
        "RETRIED": 0,
    }


async def test_nothing_is_sent_when_time_is_over_before_the_start(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(9), ScriptedLanes())
    dispatch_id = await replica.add(lasting=timedelta(0))
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 9, "EXPIRED": 9}
    assert not replica.lanes.ids


async def test_silence_is_unknown_at_most_once_and_sent_again_at_least_once(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(9), ScriptedLanes())
    replica.lanes.verdict = lambda number, before: UNKNOWN if number == 1 and not before else OK
    once = await replica.add(delivery=AT_MOST_ONCE)
    async with replica.running():
        assert totals(await replica.finished(once)) == {
            "RESOLVED": 9,
            "ACCEPTED": 8,
            "UNKNOWN": 1,
        }
        replica.lanes.ids.clear()
        again = await replica.add()
        assert totals(await replica.finished(again)) == {
            "RESOLVED": 9,
            "ACCEPTED": 9,
            "RETRIED": 1,
        }


async def test_a_stream_that_breaks_is_taken_up_after_its_last_page(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(50), ScriptedLanes())
    replica.targeting.faults = {1: [away()], 21: [away(), away()]}
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 50, "ACCEPTED": 50}
    assert all(len(ids) == 1 for ids in replica.lanes.ids.values())
    assert replica.targeting.asked == 4


async def test_stragglers_outlast_an_outage_of_targeting(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(5), ScriptedLanes())

    def go_away(_: int, before: int) -> Verdict:
        if not before:
            replica.targeting.faults = {1: [away(), away()]}
        return OK if before else RETRY

    replica.lanes.verdict = go_away
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 5, "ACCEPTED": 5, "RETRIED": 5}


async def test_an_audience_that_is_refused_fails_the_dispatch_with_closed_books(
    pool: Pool,
) -> None:
    replica = Replica(pool, ScriptedTargeting(50), ScriptedLanes())
    replica.lanes.verdict = lambda number, before: RETRY if number == 1 and not before else OK
    replica.targeting.faults = {21: [GONE]}
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert dispatch.state is DispatchState.FAILED
    assert "no such segment" in dispatch.failure
    assert totals(dispatch) == {"RESOLVED": 20, "ACCEPTED": 20, "RETRIED": 1}


async def test_stragglers_whose_app_is_gone_are_rejected_with_the_reason(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(4), ScriptedLanes())

    def remove(_: int, _before: int) -> Verdict:
        replica.targeting.faults = {1: [GONE]}
        return RETRY

    replica.lanes.verdict = remove
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 4, "REJECTED": 4}
    assert {entry.reason for entry in dispatch.books.counts if entry.reason} == {GONE.reason}


class CutOff(PostgresJournal):
    """A journal whose storage is away when the first results are to be written."""

    def __init__(self, pool: Pool, *, lost: int) -> None:
        super().__init__(pool)
        self._lost = lost

    async def close_page(
        self, lease: Lease, page: Page, settled: Settled, *, now: datetime
    ) -> None:
        if self._lost:
            self._lost -= 1
            raise StorageUnavailable
        await super().close_page(lease, page, settled, now=now)


async def test_answers_outlast_an_outage_of_the_storage(pool: Pool) -> None:
    journal = CutOff(pool, lost=2)
    replica = Replica(pool, ScriptedTargeting(5), ScriptedLanes(), journal=journal)
    dispatch_id = await replica.add(delivery=AT_MOST_ONCE)
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 5, "ACCEPTED": 5}


@pytest.mark.parametrize("delivery", DeliveryPolicy)
async def test_another_replica_ends_what_a_crashed_one_began(
    pool: Pool, delivery: DeliveryPolicy
) -> None:
    lanes = ScriptedLanes()
    crashed = Replica(pool, ScriptedTargeting(25), lanes, policy=ABRUPT)
    lanes.may_answer.clear()
    dispatch_id = await crashed.add(delivery=delivery)
    async with crashed.running():
        await lanes.sending.wait()
    lanes.may_answer.set()

    other = Replica(pool, ScriptedTargeting(25), lanes)
    async with other.running():
        dispatch = await other.finished(dispatch_id)

    sent = {number: len(ids) for number, ids in lanes.ids.items()}
    in_doubt = range(1, 11)
    if delivery is AT_MOST_ONCE:
        assert totals(dispatch) == {"RESOLVED": 25, "ACCEPTED": 15, "UNKNOWN": 10}
        assert set(sent.values()) == {1}
    else:
        assert totals(dispatch) == {"RESOLVED": 25, "ACCEPTED": 25, "RETRIED": 10}
        assert {number for number, times in sent.items() if times == 2} == set(in_doubt)
        assert all(len(set(ids)) == 1 for ids in lanes.ids.values())


async def test_a_replica_that_was_overtaken_writes_nothing_more(pool: Pool) -> None:
    slow = Replica(pool, ScriptedTargeting(25), ScriptedLanes(), policy=WITHOUT_HEARTBEAT)
    slow.lanes.may_answer.clear()
    dispatch_id = await slow.add(delivery=AT_MOST_ONCE)
    async with slow.running():
        await slow.lanes.sending.wait()
        other = Replica(pool, ScriptedTargeting(25), ScriptedLanes())
        async with other.running():
            dispatch = await other.finished(dispatch_id)
        slow.lanes.may_answer.set()
    assert slow.meters.leases_lost == 1
    assert totals(dispatch) == {"RESOLVED": 25, "ACCEPTED": 15, "UNKNOWN": 10}
    assert totals(await other.dispatches.get(dispatch_id)) == totals(dispatch)
    assert not set(slow.lanes.ids) & set(other.lanes.ids)


async def test_a_replica_that_learns_that_it_was_overtaken_stops_sending(pool: Pool) -> None:
    slow = Replica(pool, ScriptedTargeting(5), ScriptedLanes())
    slow.lanes.may_answer.clear()
    await slow.add()
    async with slow.running():
        await slow.lanes.sending.wait()
        await pool.execute("UPDATE shard SET epoch = epoch + 1, leased_by = NULL")
        await slow.meters.lost.wait()
    assert slow.meters.leases_lost == 1


async def test_a_replica_that_stops_closes_its_page_and_gives_the_lease_back(
    pool: Pool,
) -> None:
    replica = Replica(pool, ScriptedTargeting(25), ScriptedLanes())
    replica.lanes.may_answer.clear()
    dispatch_id = await replica.add(delivery=AT_MOST_ONCE)
    async with replica.running():
        await replica.lanes.sending.wait()
        asyncio.get_running_loop().call_later(0.05, replica.lanes.may_answer.set)
    halfway = await replica.dispatches.get(dispatch_id)
    assert totals(halfway) == {"RESOLVED": 10, "ACCEPTED": 10}

    other = Replica(pool, ScriptedTargeting(25), ScriptedLanes())
    async with other.running(), asyncio.timeout(BRISK.lease.total_seconds()):
        dispatch = await other.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 25, "ACCEPTED": 25}


async def test_replicas_share_the_shards_of_a_dispatch(pool: Pool) -> None:
    one_each = RunnerPolicy(shards=1, poll=20 * MILLISECOND)
    replicas = [
        Replica(pool, ScriptedTargeting(15), ScriptedLanes(), policy=one_each) for _ in range(2)
    ]
    for replica in replicas:
        replica.lanes.may_answer.clear()
    ids = [await replicas[0].add() for _ in range(2)]
    async with replicas[0].running(), replicas[1].running():
        await asyncio.gather(*(replica.lanes.sending.wait() for replica in replicas))
        for replica in replicas:
            replica.lanes.may_answer.set()
        dispatches = [await replicas[0].finished(dispatch_id) for dispatch_id in ids]
    assert [totals(each) for each in dispatches] == [{"RESOLVED": 15, "ACCEPTED": 15}] * 2


async def test_a_fault_that_nobody_expected_does_not_end_the_dispatch(pool: Pool) -> None:
    class Faulty(ScriptedLanes):
        faults = 2

        def lane(self, *_: object) -> ScriptedLanes:
            self.faults -= 1
            if self.faults >= 0:
                raise ZeroDivisionError
            return self

    replica = Replica(pool, ScriptedTargeting(5), Faulty(), policy=FORGIVING)
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert dispatch.state is DispatchState.COMPLETED
    assert totals(dispatch) == {"RESOLVED": 5, "ACCEPTED": 5, "RETRIED": 5}
