"""The contract of domain.ports.Outbox."""

from datetime import timedelta
from uuid import UUID, uuid4

from nuncio_dispatcher.domain import books
from nuncio_dispatcher.domain.model import Answers, Provider, Verdict
from nuncio_dispatcher.domain.settle import settle
from tests.storage.dispatcher.conftest import Storage
from tests.unit.dispatcher.builders import NOW, answers, new_dispatch, resolved, rows, terms, work

HOLD = timedelta(minutes=1)
A, F, W = Provider.APNS, Provider.FCM, Provider.WEB_PUSH
OK, DEAD, RETRY = Verdict.ACCEPTED, Verdict.TOKEN_DEAD, Verdict.RETRY
MICROS = int(NOW.timestamp()) * 1_000_000


async def closed_page(storage: Storage, given: Answers) -> UUID:
    """A dispatch whose only page has these answers; returns its id."""
    wanted = work(campaign="spring", test=True)
    await storage.dispatches.add(new_dispatch(wanted, client_ref=str(wanted.dispatch_id)))
    (shard,) = await storage.journal.claim(
        owner=uuid4(), limit=1, term=HOLD, now=NOW + timedelta(hours=1)
    )
    part = resolved(A, F, W)
    page = await storage.journal.open_page(shard.lease, part, books.opened(3, {}), now=NOW)
    settled = settle(page, given, terms=terms(), now=NOW, jitter=lambda: 0.5)
    await storage.journal.close_page(shard.lease, page, settled, now=NOW)
    return wanted.dispatch_id


async def test_a_closed_page_is_given_with_all_its_columns(storage: Storage) -> None:
    dispatch_id = await closed_page(storage, answers(OK, DEAD, OK, unsent=[2]))
    (page,) = await storage.outbox.take(8, hold=HOLD)
    assert page.page_id == f"{dispatch_id}/1/1"
    assert page.of == (dispatch_id, "shop", "spring", True)
    assert page.rows == rows(A, F, W)
    assert page.verdicts == bytes([OK, DEAD, OK])
    assert [page.reason_names[place] for place in page.reasons] == ["", "TOKEN_DEAD", ""]
    assert list(page.sent_at) == [MICROS, MICROS, 0]
    assert list(page.dead_since) == [0, MICROS, 0]


async def test_only_final_outcomes_are_given(storage: Storage) -> None:
    await closed_page(storage, answers(RETRY, DEAD, RETRY))
    (page,) = await storage.outbox.take(8, hold=HOLD)
    assert page.verdicts == bytes([DEAD])
    assert page.rows == rows(A, F, W).pick([1])
    assert list(page.sent_at) == [MICROS]


async def test_a_page_of_stragglers_is_never_given(storage: Storage) -> None:
    await closed_page(storage, answers(RETRY, RETRY, RETRY))
    assert not await storage.outbox.take(8, hold=HOLD)


async def test_pages_are_held_for_whoever_took_them(storage: Storage) -> None:
    await closed_page(storage, answers(OK, OK, OK))
    assert len(await storage.outbox.take(8, hold=HOLD)) == 1
    assert not await storage.outbox.take(8, hold=HOLD)


async def test_pages_come_back_when_nobody_says_that_they_are_reported(storage: Storage) -> None:
    await closed_page(storage, answers(OK, OK, OK))
    await storage.outbox.take(8, hold=timedelta(0))
    assert len(await storage.outbox.take(8, hold=HOLD)) == 1


async def test_reported_pages_do_not_come_back(storage: Storage) -> None:
    await closed_page(storage, answers(OK, OK, OK))
    await closed_page(storage, answers(OK, OK, DEAD))
    one, two = await storage.outbox.take(8, hold=timedelta(0))
    await storage.outbox.mark_reported([one])
    assert await storage.outbox.take(8, hold=HOLD) == [two]


async def test_a_page_without_targets_is_never_given(storage: Storage) -> None:
    await storage.dispatches.add(new_dispatch())
    (shard,) = await storage.journal.claim(owner=uuid4(), limit=1, term=HOLD, now=NOW)
    page = await storage.journal.open_page(
        shard.lease, resolved(suppressed={"STALE": 4}), books.opened(0, {"STALE": 4}), now=NOW
    )
    settled = settle(page, answers(), terms=terms(), now=NOW, jitter=lambda: 0.5)
    await storage.journal.close_page(shard.lease, page, settled, now=NOW)
    assert not await storage.outbox.take(8, hold=HOLD)
