"""Replicas give every dispatch its turn, and stop, crash and overtake one another without loss."""

import asyncio
from datetime import timedelta
from typing import TypeAlias
from uuid import UUID

import asyncpg
import pytest

from nuncio_dispatcher.domain.books import Outcome
from nuncio_dispatcher.domain.dispatch import Audience, DeliveryPolicy
from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.domain.retry import RetryPolicy
from nuncio_dispatcher.domain.run import RunnerPolicy
from tests.integration.dispatcher.replica import BRISK, MILLISECOND, Replica, totals
from tests.integration.dispatcher.scripted import ScriptedLanes, ScriptedTargeting
from tests.unit.dispatcher.builders import installation_ids

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
OK, BROKEN = Verdict.ACCEPTED, Verdict.MISCONFIGURED
AT_MOST_ONCE = DeliveryPolicy.AT_MOST_ONCE

# As close to a crash as a task can get: its pages have no time to close.
ABRUPT = RunnerPolicy(poll=20 * MILLISECOND, drain=MILLISECOND)
WITHOUT_HEARTBEAT = RunnerPolicy(
    shards=1, poll=20 * MILLISECOND, lease=50 * MILLISECOND, heartbeat=timedelta(minutes=1)
)

pytestmark = pytest.mark.timeout(30)


async def test_shards_that_wait_for_a_credential_leave_room_for_others(pool: Pool) -> None:
    always_due = RetryPolicy(probe_wait=MILLISECOND, unsent_wait=MILLISECOND)
    replica = Replica(pool, ScriptedTargeting(50), ScriptedLanes(unsent=True), retry=always_due)
    replica.lanes.verdict = lambda number, _: OK if number > 50 else BROKEN
    for _ in range(BRISK.shards):
        await replica.add()
    async with replica.running():
        while len(replica.lanes.ids) < 50:
            await replica.lanes.sending.wait()
            replica.lanes.sending.clear()
        healthy = await replica.add(
            audience=Audience(installation_ids=installation_ids(3, first=51))
        )
        async with asyncio.timeout(2):
            dispatch = await replica.finished(healthy)
    assert totals(dispatch) == {"RESOLVED": 3, "ACCEPTED": 3}


async def test_a_message_to_a_person_does_not_wait_for_the_end_of_a_large_dispatch(
    pool: Pool,
) -> None:
    replica = Replica(pool, ScriptedTargeting(20_000), ScriptedLanes())
    large = [await replica.add() for _ in range(BRISK.shards + 2)]
    async with replica.running():
        await replica.lanes.sending.wait()
        for _ in range(3):
            person = Audience(installation_ids=installation_ids(1))
            small = await replica.add(audience=person)
            replica.runner.wake()
            async with asyncio.timeout(2):
                assert totals(await replica.finished(small)) == {"RESOLVED": 1, "ACCEPTED": 1}
        while not all([await accepted(replica, each) for each in large]):
            await replica.lanes.sending.wait()
            replica.lanes.sending.clear()


async def accepted(replica: Replica, dispatch_id: UUID) -> int:
    return (await replica.dispatches.get(dispatch_id)).books.total(Outcome.ACCEPTED)


async def test_a_drain_keeps_the_answers_that_came_and_opens_no_more_pages(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(50), ScriptedLanes())
    dispatch_id = await replica.add(delivery=AT_MOST_ONCE)
    replica.lanes.may_answer.clear()
    async with replica.running():
        await replica.lanes.sending.wait()
        replica.runner.drain()
        replica.lanes.may_answer.set()
    dispatch = await replica.dispatches.get(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 10, "ACCEPTED": 10}


async def test_a_drain_cuts_the_waiting_for_answers_short_and_journals_what_is_known(
    pool: Pool,
) -> None:
    replica = Replica(pool, ScriptedTargeting(50), ScriptedLanes())
    dispatch_id = await replica.add(delivery=AT_MOST_ONCE)
    replica.lanes.may_answer.clear()
    async with replica.running():
        await replica.lanes.sending.wait()
    dispatch = await replica.dispatches.get(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 10, "UNKNOWN": 10}


@pytest.mark.parametrize("delivery", DeliveryPolicy)
async def test_another_replica_ends_what_a_crashed_one_began(
    pool: Pool, delivery: DeliveryPolicy
) -> None:
    lanes = ScriptedLanes(deaf=True)
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
