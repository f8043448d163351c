"""Dispatches run to their end, and their books close, whatever the neighbours do."""

import asyncio
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TypeAlias

import asyncpg
import pytest

from nuncio_dispatcher.domain.books import Entry, Outcome
from nuncio_dispatcher.domain.dispatch import Audience, DeliveryPolicy, DispatchState
from nuncio_dispatcher.domain.errors import AudienceInvalid
from nuncio_dispatcher.domain.model import Verdict
from nuncio_dispatcher.domain.pages import Lease, Page, Settled
from nuncio_dispatcher.domain.retain import keep_forgetting
from nuncio_dispatcher.domain.retry import RetryPolicy
from nuncio_dispatcher.domain.run import RunnerPolicy
from nuncio_dispatcher.storage.postgres import PostgresJournal
from nuncio_runtime.clock import SYSTEM_CLOCK
from nuncio_runtime.postgres import StorageUnavailable
from tests.integration.dispatcher.replica import BRISK, MILLISECOND, Replica, totals
from tests.integration.dispatcher.scripted import ScriptedLanes, ScriptedTargeting, away
from tests.unit.dispatcher.builders import installation_ids

Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
OK, DEAD, RETRY = Verdict.ACCEPTED, Verdict.TOKEN_DEAD, Verdict.RETRY
UNKNOWN, BROKEN = Verdict.UNKNOWN, Verdict.MISCONFIGURED
AT_MOST_ONCE = DeliveryPolicy.AT_MOST_ONCE

GONE = AudienceInvalid("no such segment", line=1, column=1, position=0, expected="", segment="")
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


async def test_a_message_to_a_user_does_not_reach_the_next_one_on_a_retry(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(0), ScriptedLanes())
    replica.targeting.users = {1: "ann", 2: "ann", 3: "bob"}

    def hand_over(_: int, before: int) -> Verdict:
        replica.targeting.users[1] = "bob"
        return OK if before else RETRY

    replica.lanes.verdict = hand_over
    dispatch_id = await replica.add(audience=Audience(user_ids=("ann",)))
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 2, "SUPPRESSED": 1, "ACCEPTED": 1, "RETRIED": 1}
    assert {number: len(ids) for number, ids in replica.lanes.ids.items()} == {1: 1, 2: 2}
    assert dispatch.books.counts[Entry(Outcome.SUPPRESSED, 0, "NOT_FOUND")] == 1


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


async def test_waiting_takes_no_more_room_than_what_waits(pool: Pool) -> None:
    always_due = RetryPolicy(probe_wait=MILLISECOND, unsent_wait=MILLISECOND)
    replica = Replica(pool, ScriptedTargeting(30), ScriptedLanes(unsent=True), retry=always_due)
    replica.lanes.verdict = lambda _, before: BROKEN if before < 20 else OK
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 30, "ACCEPTED": 30}
    assert await pool.fetchval("SELECT count(*) FROM page") == 3


async def test_what_may_have_been_taken_is_unknown_when_it_cannot_be_sent_again(
    pool: Pool,
) -> None:
    replica = Replica(pool, ScriptedTargeting(6), ScriptedLanes())

    def withdraw(_: int, before: int) -> Verdict:
        replica.targeting.suppressed = {1: "NO_CONSENT", 2: "NO_CONSENT"}
        return OK if before else UNKNOWN

    replica.lanes.verdict = withdraw
    dispatch_id = await replica.add()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 6, "UNKNOWN": 2, "ACCEPTED": 4, "RETRIED": 4}


async def test_what_may_have_been_taken_does_not_expire(pool: Pool) -> None:
    patient = RetryPolicy(first_wait=700 * MILLISECOND, unanswered_tries=9)
    replica = Replica(pool, ScriptedTargeting(3), ScriptedLanes(), retry=patient)
    replica.lanes.verdict = lambda number, _: UNKNOWN if number == 1 else RETRY
    dispatch_id = await replica.add(lasting=timedelta(seconds=1))
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) | {"RETRIED": 0} == {
        "RESOLVED": 3,
        "UNKNOWN": 1,
        "EXPIRED": 2,
        "RETRIED": 0,
    }


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


async def test_a_lane_that_does_not_come_back_does_not_stop_its_shard(pool: Pool) -> None:
    policy = replace(BRISK, send_within=50 * MILLISECOND)
    replica = Replica(pool, ScriptedTargeting(9), ScriptedLanes(deaf=True), policy=policy)
    dispatch_id = await replica.add(delivery=AT_MOST_ONCE)
    replica.lanes.may_answer.clear()
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 9, "UNKNOWN": 9}


async def test_a_fault_that_nobody_expected_does_not_end_the_dispatch(pool: Pool) -> None:
    class Faulty(ScriptedLanes):
        faults = 1

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


async def test_pages_of_finished_dispatches_are_forgotten_and_the_books_stay(pool: Pool) -> None:
    replica = Replica(pool, ScriptedTargeting(35), ScriptedLanes())
    dispatch_id = await replica.add(shards=2)
    async with replica.running():
        dispatch = await replica.finished(dispatch_id)
    await pool.execute("UPDATE page SET reported = true")
    forgetting = keep_forgetting(PostgresJournal(pool), SYSTEM_CLOCK, after=timedelta(0))
    task = asyncio.create_task(forgetting)
    while await pool.fetchval("SELECT count(*) FROM shard"):
        assert not task.done()
    task.cancel()
    assert await replica.dispatches.get(dispatch_id) == dispatch
