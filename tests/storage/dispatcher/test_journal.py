"""The contract of domain.ports.Journal."""

import asyncio
from datetime import datetime, timedelta
from itertools import pairwise
from uuid import UUID, uuid4

import pytest

from nuncio_dispatcher.domain import books
from nuncio_dispatcher.domain.books import Outcome
from nuncio_dispatcher.domain.dispatch import Dispatch, DispatchState
from nuncio_dispatcher.domain.errors import LeaseLost
from nuncio_dispatcher.domain.model import Answers, Provider, Verdict
from nuncio_dispatcher.domain.pages import Lease, Page, Resolved, Shard
from nuncio_dispatcher.domain.settle import end_waiting, settle
from tests.storage.dispatcher.conftest import Storage
from tests.unit.dispatcher.builders import NOW, answers, new_dispatch, resolved, terms, work

TERM = timedelta(seconds=30)
OVER = timedelta(0)
LATER = NOW + timedelta(minutes=30)
A, F, W = Provider.APNS, Provider.FCM, Provider.WEB_PUSH
OK, DEAD, RETRY, UNKNOWN = Verdict.ACCEPTED, Verdict.TOKEN_DEAD, Verdict.RETRY, Verdict.UNKNOWN


async def stored(storage: Storage, *, shards: int = 1, created_at: datetime = NOW) -> UUID:
    wanted = work()
    ref = str(wanted.dispatch_id)
    new = new_dispatch(wanted, client_ref=ref, shards=shards, created_at=created_at)
    assert await storage.dispatches.add(new)
    return wanted.dispatch_id


async def claimed(storage: Storage, *, term: timedelta = TERM, owner: UUID | None = None) -> Shard:
    (shard,) = await storage.journal.claim(owner=owner or uuid4(), limit=1, term=term, now=LATER)
    return shard


async def opened(storage: Storage, lease: Lease, part: Resolved) -> Page:
    entries = books.opened(len(part.targets), part.suppressed)
    return await storage.journal.open_page(lease, part, entries, now=NOW)


async def closed(storage: Storage, lease: Lease, page: Page, given: Answers) -> None:
    settled = settle(page, given, terms=terms(), now=NOW, jitter=lambda: 0.5)
    await storage.journal.close_page(lease, page, settled, now=NOW)


async def finished(storage: Storage, lease: Lease) -> None:
    await storage.journal.end_walk(lease, failure="")
    await storage.journal.leave(lease, now=NOW, not_before=NOW)


def totals(dispatch: Dispatch) -> dict[str, int]:
    assert dispatch.books.add_up()
    found = {outcome.name: dispatch.books.total(outcome) for outcome in Outcome}
    return {name: count for name, count in found.items() if count}


async def test_a_shard_is_leased_to_one_owner_at_a_time(storage: Storage) -> None:
    await stored(storage, shards=5)
    claims = await asyncio.gather(
        *(storage.journal.claim(owner=uuid4(), limit=2, term=TERM, now=NOW) for _ in range(4))
    )
    numbers = [shard.lease.shard_no for shards in claims for shard in shards]
    assert sorted(numbers) == [1, 2, 3, 4, 5]


async def test_the_shards_cover_all_keys_without_overlap(storage: Storage) -> None:
    await stored(storage, shards=4)
    shards = await storage.journal.claim(owner=uuid4(), limit=9, term=TERM, now=NOW)
    ranges = sorted(shard.keys for shard in shards)
    assert ranges[0].low == b""
    assert ranges[-1].high == b""
    assert all(one.high == two.low for one, two in pairwise(ranges))


async def test_a_shard_is_not_leased_before_it_is_due(storage: Storage) -> None:
    await stored(storage)
    too_early = NOW - timedelta(seconds=1)
    assert not await storage.journal.claim(owner=uuid4(), limit=1, term=TERM, now=too_early)


async def test_the_longest_due_come_first_and_new_ones_are_a_minute_ahead(
    storage: Storage,
) -> None:
    known = await stored(storage, created_at=NOW)
    await storage.journal.leave((await claimed(storage)).lease, now=NOW, not_before=NOW)
    new = await stored(storage, created_at=NOW + timedelta(seconds=59))
    late = await stored(storage, created_at=NOW + timedelta(seconds=61))
    assert await storage.journal.queue(limit=2, now=LATER) == (1, 1)
    assert await storage.journal.queue(limit=9, now=LATER) == (2, 1)
    claims = [(await claimed(storage)).lease.dispatch_id for _ in range(3)]
    assert claims == [new, known, late]
    assert await storage.journal.queue(limit=9, now=LATER) == (0, 0)


async def test_a_shard_that_cannot_be_read_is_left_and_the_others_are_claimed(
    storage: Storage,
) -> None:
    unreadable = await stored(storage)
    readable = await stored(storage)
    update = "UPDATE dispatch SET message = $2 WHERE dispatch_id = $1"
    await storage.pool.execute(update, unreadable, {"title": "no time to live"})
    (shard,) = await storage.journal.claim(owner=uuid4(), limit=9, term=TERM, now=NOW)
    assert shard.work.dispatch_id == readable
    assert await storage.journal.queue(limit=9, now=NOW) == (0, 0)
    assert await storage.journal.queue(limit=9, now=LATER) == (0, 1)


async def test_an_expired_lease_is_taken_over_and_its_former_holder_cannot_write(
    storage: Storage,
) -> None:
    dispatch_id = await stored(storage)
    former = await claimed(storage, term=OVER)
    page = await opened(storage, former.lease, resolved(A, F))
    new = await claimed(storage)
    assert new.lease.epoch == former.lease.epoch + 1

    for write in (
        opened(storage, former.lease, resolved(A, first=9)),
        storage.journal.reopen_page(former.lease, page, books.reopened(0, 0, {}), now=NOW),
        closed(storage, former.lease, page, answers(OK, OK)),
        storage.journal.end_walk(former.lease, failure=""),
        storage.journal.leave(former.lease, now=NOW, not_before=NOW),
    ):
        with pytest.raises(LeaseLost):
            await write
    assert totals(await storage.dispatches.get(dispatch_id)) == {"RESOLVED": 2, "IN_FLIGHT": 2}


async def test_an_owner_takes_nothing_from_itself(storage: Storage) -> None:
    await stored(storage)
    owner = uuid4()
    shard = await claimed(storage, term=OVER, owner=owner)
    again = await storage.journal.claim(
        owner=owner, limit=1, term=TERM, now=LATER, held=[shard.lease]
    )
    assert not again
    assert await storage.journal.renew(owner, [shard.lease], term=TERM) == {shard.lease}


async def test_renewing_gives_only_the_leases_that_are_still_held(storage: Storage) -> None:
    await stored(storage, shards=2)
    owner = uuid4()
    kept, lost = await storage.journal.claim(owner=owner, limit=2, term=OVER, now=NOW)
    assert await storage.journal.renew(owner, [kept.lease], term=TERM) == {kept.lease}
    other = await claimed(storage)
    assert other.lease.shard_no == lost.lease.shard_no
    held = [kept.lease, lost.lease]
    assert await storage.journal.renew(owner, held, term=TERM) == {kept.lease}


async def test_a_lease_that_was_given_back_cannot_be_renewed(storage: Storage) -> None:
    await stored(storage)
    owner = uuid4()
    shard = await claimed(storage, owner=owner)
    await storage.journal.leave(shard.lease, now=NOW, not_before=NOW)
    assert not await storage.journal.renew(owner, [shard.lease], term=TERM)


async def test_the_first_page_starts_the_dispatch(storage: Storage) -> None:
    dispatch_id = await stored(storage)
    shard = await claimed(storage)
    await opened(storage, shard.lease, resolved(A, W, suppressed={"NO_CONSENT": 3}))
    dispatch = await storage.dispatches.get(dispatch_id)
    assert dispatch.state is DispatchState.RUNNING
    assert dispatch.started_at == NOW
    assert totals(dispatch) == {"RESOLVED": 5, "SUPPRESSED": 3, "IN_FLIGHT": 2}


async def test_pages_count_from_one_and_their_cursors_move_the_shard(storage: Storage) -> None:
    await stored(storage)
    shard = await claimed(storage)
    one = await opened(storage, shard.lease, resolved(A, A))
    await closed(storage, shard.lease, one, answers(OK, OK))
    two = await opened(storage, shard.lease, resolved(A, first=3))
    await closed(storage, shard.lease, two, answers(OK))
    assert (one.number, two.number) == (1, 2)
    await storage.journal.leave(shard.lease, now=NOW, not_before=NOW)
    again = await claimed(storage)
    assert again.cursor == two.cursor
    assert not again.walked


async def test_a_page_that_was_only_opened_leaves_the_cursor_and_is_in_doubt(
    storage: Storage,
) -> None:
    await stored(storage)
    former = await claimed(storage, term=OVER)
    page = await opened(storage, former.lease, resolved(A, F))
    shard = await claimed(storage)
    assert shard.cursor == b""
    assert await storage.journal.in_doubt(shard.lease) == [page]


async def test_stragglers_wait_in_pages_of_their_own(storage: Storage) -> None:
    dispatch_id = await stored(storage)
    shard = await claimed(storage)
    page = await opened(storage, shard.lease, resolved(A, F, W))
    await closed(storage, shard.lease, page, answers(OK, RETRY, RETRY, unsent=[2]))
    assert totals(await storage.dispatches.get(dispatch_id)) == {
        "RESOLVED": 3,
        "ACCEPTED": 1,
        "QUEUED": 2,
    }
    assert await storage.journal.due_page(shard.lease, now=NOW) is None
    soon = await storage.journal.due_page(shard.lease, now=LATER)
    assert soon is not None
    assert (soon.number, soon.tries, soon.sent_before) == (3, 1, False)
    assert soon.rows == page.rows.pick([2])


async def test_a_follow_up_is_sent_with_the_rows_that_are_left(storage: Storage) -> None:
    dispatch_id = await stored(storage)
    shard = await claimed(storage)
    page = await opened(storage, shard.lease, resolved(A, F, W))
    await closed(storage, shard.lease, page, answers(RETRY, RETRY, RETRY))
    waiting = await storage.journal.due_page(shard.lease, now=LATER)
    assert waiting is not None
    left = Page(number=waiting.number, rows=waiting.rows.pick([1]), tries=1, sent_before=True)
    entries = books.reopened(3, 1, {"NO_CONSENT": 2})
    reopened = await storage.journal.reopen_page(shard.lease, left, entries, now=NOW)
    assert totals(await storage.dispatches.get(dispatch_id)) == {
        "RESOLVED": 3,
        "SUPPRESSED": 2,
        "IN_FLIGHT": 1,
    }
    await closed(storage, shard.lease, reopened, answers(DEAD))
    dispatch = await storage.dispatches.get(dispatch_id)
    assert totals(dispatch) == {"RESOLVED": 3, "SUPPRESSED": 2, "TOKEN_DEAD": 1, "RETRIED": 1}
    assert await storage.journal.due_page(shard.lease, now=LATER) is None


async def test_a_page_without_any_outcome_waits_in_its_own_row(storage: Storage) -> None:
    dispatch_id = await stored(storage)
    shard = await claimed(storage)
    page = await opened(storage, shard.lease, resolved(A, F, W))
    for tries in (1, 2):
        await closed(storage, shard.lease, page, answers(UNKNOWN, UNKNOWN, UNKNOWN))
        waiting = await storage.journal.due_page(shard.lease, now=LATER)
        assert waiting is not None
        assert (waiting.number, waiting.tries, waiting.in_doubt) == (1, tries, True)
        assert (waiting.rows, waiting.cursor, waiting.opened_at) == (page.rows, None, None)
        assert totals(await storage.dispatches.get(dispatch_id)) | {"RETRIED": 0} == {
            "RESOLVED": 3,
            "QUEUED": 3,
            "RETRIED": 0,
        }
        entries = books.reopened(3, 3, {})
        page = await storage.journal.reopen_page(shard.lease, waiting, entries, now=NOW)
    await storage.journal.leave(shard.lease, now=NOW, not_before=NOW)
    assert (await claimed(storage)).cursor == resolved(A, F, W).cursor


async def test_rows_that_wait_for_different_times_part_and_keep_one_row_of_their_own(
    storage: Storage,
) -> None:
    await stored(storage)
    shard = await claimed(storage)
    page = await opened(storage, shard.lease, resolved(A, F, W))
    for _ in range(2):  # The second time changes nothing.
        await closed(storage, shard.lease, page, answers(RETRY, UNKNOWN, RETRY, unsent=[2]))
    waiting = await storage.pool.fetch("SELECT page_no, providers FROM page ORDER BY page_no")
    assert [tuple(row) for row in waiting] == [(1, bytes([A])), (2, bytes([F])), (3, bytes([W]))]
    two = await opened(storage, shard.lease, resolved(A, first=4))
    assert two.number == 4


async def test_a_waiting_page_can_end_without_being_opened(storage: Storage) -> None:
    dispatch_id = await stored(storage)
    shard = await claimed(storage)
    page = await opened(storage, shard.lease, resolved(A, F))
    await closed(storage, shard.lease, page, answers(RETRY, RETRY))
    waiting = await storage.journal.due_page(shard.lease, now=LATER)
    assert waiting is not None
    ended = end_waiting(waiting, Verdict.EXPIRED, reason="EXPIRED")
    for _ in range(2):
        await storage.journal.close_page(shard.lease, waiting, ended, now=NOW)
    assert totals(await storage.dispatches.get(dispatch_id)) == {"RESOLVED": 2, "EXPIRED": 2}


async def test_closing_a_page_again_counts_nothing_twice(storage: Storage) -> None:
    dispatch_id = await stored(storage)
    shard = await claimed(storage)
    page = await opened(storage, shard.lease, resolved(A, F))
    for _ in range(2):
        await closed(storage, shard.lease, page, answers(OK, RETRY))
    assert totals(await storage.dispatches.get(dispatch_id)) == {
        "RESOLVED": 2,
        "ACCEPTED": 1,
        "QUEUED": 1,
    }


async def test_a_shard_that_waits_is_due_with_its_next_page(storage: Storage) -> None:
    dispatch_id = await stored(storage)
    shard = await claimed(storage)
    page = await opened(storage, shard.lease, resolved(A))
    await closed(storage, shard.lease, page, answers(RETRY))
    await finished(storage, shard.lease)
    assert (await storage.dispatches.get(dispatch_id)).finished_at is None
    assert not await storage.journal.claim(owner=uuid4(), limit=1, term=TERM, now=NOW)
    assert (await claimed(storage)).walked


async def test_a_shard_can_be_left_alone_for_a_while(storage: Storage) -> None:
    await stored(storage)
    shard = await claimed(storage)
    await storage.journal.leave(shard.lease, now=NOW, not_before=LATER)
    just_before = LATER - timedelta(seconds=1)
    assert not await storage.journal.claim(owner=uuid4(), limit=1, term=TERM, now=just_before)
    await claimed(storage)


async def test_the_last_shard_finishes_the_dispatch(storage: Storage) -> None:
    dispatch_id = await stored(storage, shards=2)
    one, two = await storage.journal.claim(owner=uuid4(), limit=2, term=TERM, now=NOW)
    await finished(storage, one.lease)
    assert (await storage.dispatches.get(dispatch_id)).finished_at is None
    await finished(storage, two.lease)
    dispatch = await storage.dispatches.get(dispatch_id)
    assert dispatch.state is DispatchState.COMPLETED
    assert dispatch.finished_at == NOW


async def test_shards_that_end_at_once_finish_the_dispatch(storage: Storage) -> None:
    for _ in range(5):
        wanted = work()
        ref = str(wanted.dispatch_id)
        await storage.dispatches.add(new_dispatch(wanted, client_ref=ref, shards=4))
        shards = await storage.journal.claim(owner=uuid4(), limit=4, term=TERM, now=NOW)
        await asyncio.gather(*(finished(storage, shard.lease) for shard in shards))
        dispatch = await storage.dispatches.get(wanted.dispatch_id)
        assert dispatch.state is DispatchState.COMPLETED


async def test_a_walk_that_failed_fails_the_dispatch_once_everything_is_closed(
    storage: Storage,
) -> None:
    dispatch_id = await stored(storage)
    shard = await claimed(storage)
    page = await opened(storage, shard.lease, resolved(A))
    await storage.journal.end_walk(shard.lease, failure="no such segment")
    assert (await storage.dispatches.get(dispatch_id)).state is DispatchState.RUNNING
    await closed(storage, shard.lease, page, answers(OK))
    await storage.journal.leave(shard.lease, now=NOW, not_before=NOW)
    dispatch = await storage.dispatches.get(dispatch_id)
    assert (dispatch.state, dispatch.failure) == (DispatchState.FAILED, "no such segment")
    assert totals(dispatch) == {"RESOLVED": 1, "ACCEPTED": 1}


async def test_books_add_up_at_every_read_while_shards_are_written(storage: Storage) -> None:
    dispatch_id = await stored(storage, shards=3)
    shards = await storage.journal.claim(owner=uuid4(), limit=3, term=TERM, now=NOW)
    done = asyncio.Event()

    async def write(shard: Shard) -> None:
        for first in range(1, 25):
            part = resolved(A, F, W, first=first * 3, suppressed={"STALE": first})
            page = await opened(storage, shard.lease, part)
            await closed(storage, shard.lease, page, answers(OK, RETRY, DEAD))

    async def read() -> int:
        reads = 0
        while not done.is_set():
            assert (await storage.dispatches.get(dispatch_id)).books.add_up()
            reads += 1
        return reads

    reading = asyncio.create_task(read())
    await asyncio.gather(*(write(shard) for shard in shards))
    done.set()
    assert await reading > 1
    assert totals(await storage.dispatches.get(dispatch_id)) == {
        "RESOLVED": 3 * (24 * 3 + 300),
        "SUPPRESSED": 3 * 300,
        "ACCEPTED": 72,
        "TOKEN_DEAD": 72,
        "QUEUED": 72,
    }


async def test_what_finished_long_ago_is_forgotten_once_feedback_has_it(storage: Storage) -> None:
    old, unfinished = await stored(storage, shards=2), await stored(storage)
    unreported = await stored(storage)
    shards = await storage.journal.claim(owner=uuid4(), limit=9, term=TERM, now=NOW)
    for shard in shards:
        page = await opened(storage, shard.lease, resolved(A, F))
        await closed(storage, shard.lease, page, answers(OK, DEAD))
        if shard.lease.dispatch_id != unfinished:
            await finished(storage, shard.lease)
    outcomes = await storage.outbox.take(9, hold=OVER)
    told = [each for each in outcomes if each.of.dispatch_id != unreported]
    await storage.outbox.mark_reported(told)

    before = await storage.dispatches.get(old)
    assert not await storage.journal.forget(finished_before=NOW, limit=9)
    forgotten = [await storage.journal.forget(finished_before=LATER, limit=1) for _ in range(4)]
    assert sum(forgotten) == 4
    for table in ("page", "shard"):
        rows = await storage.pool.fetch(f"SELECT DISTINCT dispatch_id FROM {table}")  # noqa: S608
        assert {row["dispatch_id"] for row in rows} == {unfinished, unreported}
    assert await storage.dispatches.get(old) == before


async def test_the_backlog_counts_what_waits(storage: Storage) -> None:
    await stored(storage)
    shard = await claimed(storage)
    page = await opened(storage, shard.lease, resolved(A, F, W))
    await closed(storage, shard.lease, page, answers(OK, RETRY, RETRY))
    assert await storage.journal.backlog() == (2, 1, 1)
