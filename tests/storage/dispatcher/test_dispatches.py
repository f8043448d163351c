"""The contract of domain.ports.Dispatches."""

from dataclasses import replace
from datetime import timedelta
from uuid import uuid4

import pytest

from nuncio_dispatcher.domain.books import Books, Outcome
from nuncio_dispatcher.domain.dispatch import Audience, DeliveryPolicy, DispatchState
from nuncio_dispatcher.domain.errors import DispatchNotFound
from nuncio_dispatcher.domain.ports import Known, ListCursor
from tests.storage.dispatcher.conftest import Storage
from tests.unit.dispatcher.builders import NOW, new_dispatch, work


async def test_a_stored_dispatch_is_read_back_with_empty_books(storage: Storage) -> None:
    new = new_dispatch(work(campaign="spring", test=True))
    assert await storage.dispatches.add(new)
    found = await storage.dispatches.get(new.work.dispatch_id)
    assert found.state is DispatchState.ACCEPTED
    assert (found.app_id, found.client_ref, found.campaign) == ("shop", "first", "spring")
    assert found.test
    assert found.created_at == NOW
    assert found.expires_at == new.work.expires_at
    assert found.books == Books({})


async def test_what_workers_need_survives_the_storage(storage: Storage) -> None:
    audience = Audience(installation_ids=b"i" * 32)
    wanted = replace(work(), audience=audience)
    await storage.dispatches.add(new_dispatch(wanted))
    (shard,) = await storage.journal.claim(
        owner=uuid4(), limit=4, term=timedelta(seconds=5), now=NOW
    )
    assert shard.work == wanted


async def test_a_client_ref_is_stored_once_per_app(storage: Storage) -> None:
    first = new_dispatch()
    assert await storage.dispatches.add(first)
    assert not await storage.dispatches.add(new_dispatch())
    assert await storage.dispatches.add(new_dispatch(work(app_id="other")))
    found = await storage.dispatches.find("shop", "first")
    assert found == Known(first.work.dispatch_id, first.content_digest)


async def test_a_client_ref_that_nobody_used_is_not_found(storage: Storage) -> None:
    assert await storage.dispatches.find("shop", "never") is None


async def test_an_unknown_dispatch_is_not_found(storage: Storage) -> None:
    with pytest.raises(DispatchNotFound):
        await storage.dispatches.get(uuid4())


async def test_lists_are_newest_first_and_go_on_after_the_cursor(storage: Storage) -> None:
    moments = [NOW + timedelta(minutes=minute) for minute in (0, 1, 1, 2)]
    for number, moment in enumerate(moments):
        await storage.dispatches.add(new_dispatch(client_ref=str(number), created_at=moment))
    await storage.dispatches.add(new_dispatch(work(app_id="other")))

    first = await storage.dispatches.list("shop", "", after=None, limit=2)
    last = ListCursor(first[-1].created_at, first[-1].dispatch_id)
    second = await storage.dispatches.list("shop", "", after=last, limit=5)

    refs = [dispatch.client_ref for dispatch in (*first, *second)]
    assert (refs[0], refs[3]) == ("3", "0")
    assert sorted(refs) == ["0", "1", "2", "3"]


async def test_lists_can_be_of_one_campaign(storage: Storage) -> None:
    await storage.dispatches.add(new_dispatch(work(campaign="spring"), client_ref="a"))
    await storage.dispatches.add(new_dispatch(work(campaign="summer"), client_ref="b"))
    found = await storage.dispatches.list("shop", "summer", after=None, limit=10)
    assert [dispatch.client_ref for dispatch in found] == ["b"]


async def test_what_a_newer_release_wrote_can_be_read(storage: Storage) -> None:
    new = new_dispatch()
    dispatch_id = new.work.dispatch_id
    await storage.dispatches.add(new)
    await storage.pool.execute("UPDATE dispatch SET state = 77, delivery_policy = 78")
    entries = "INSERT INTO tally VALUES ($1, 1, 1, 0, '', 5), ($1, 1, 11, 0, '', 2), "
    await storage.pool.execute(entries + "($1, 1, 79, 0, '', 3)", dispatch_id)
    (found,) = await storage.dispatches.list("shop", "", after=None, limit=9)
    assert found.state is DispatchState.RUNNING
    assert found.delivery is DeliveryPolicy.AT_MOST_ONCE
    assert found.books.add_up()
    assert found.books.total(Outcome.UNKNOWN) == 5


async def test_a_mark_changes_with_the_state_and_with_the_books(storage: Storage) -> None:
    one, two = new_dispatch(), new_dispatch(client_ref="second")
    ids = [one.work.dispatch_id, two.work.dispatch_id]
    for new in (one, two):
        await storage.dispatches.add(new)
    seen = [await storage.dispatches.marks(ids)]
    assert await storage.dispatches.marks([*ids, uuid4()]) == seen[0]
    for change in (
        "INSERT INTO tally VALUES ($1, 1, 1, 0, '', 5)",
        "UPDATE tally SET count = 6 WHERE dispatch_id = $1",
        "UPDATE dispatch SET state = 2 WHERE dispatch_id = $1",
    ):
        await storage.pool.execute(change, ids[0])
        seen.append(await storage.dispatches.marks(ids))
    assert len({marks[ids[0]] for marks in seen}) == 4
    assert len({marks[ids[1]] for marks in seen}) == 1
    assert await storage.dispatches.marks([]) == {}
