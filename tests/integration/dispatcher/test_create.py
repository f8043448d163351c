"""What becomes of an order."""

from dataclasses import replace
from uuid import UUID

import asyncpg
import pytest

from nuncio_dispatcher.domain.browse import Browse
from nuncio_dispatcher.domain.create import Create, Order
from nuncio_dispatcher.domain.dispatch import Audience, DeliveryPolicy
from nuncio_dispatcher.domain.errors import DispatchExists
from nuncio_dispatcher.domain.model import Message
from nuncio_dispatcher.storage.postgres import PostgresDispatches
from nuncio_runtime.clock import ManualClock
from tests.integration.dispatcher.scripted import ScriptedLanes, ScriptedTargeting, away
from tests.unit.dispatcher.builders import installation_ids

ORDER = Order(
    app_id="shop",
    client_ref="first",
    campaign="",
    purpose="",
    test=False,
    delivery=DeliveryPolicy.AT_LEAST_ONCE,
    message=Message(title="Hello"),
    audience=Audience(expression="all()"),
    expires_at=None,
    content_digest=b"d" * 32,
)


class Desk:
    """Takes orders on a real database. told: the dispatches that were announced as new."""

    def __init__(self, pool: "asyncpg.Pool[asyncpg.Record]") -> None:
        self.targeting = ScriptedTargeting(0)
        self.told: list[UUID] = []
        self.pool = pool
        self.create = Create(
            PostgresDispatches(pool),
            self.targeting,
            ScriptedLanes(),
            clock=ManualClock(),
            shards=4,
            created=self.told.append,
        ).create

    async def shards(self, dispatch_id: UUID) -> int:
        query = "SELECT count(*) FROM shard WHERE dispatch_id = $1"
        count: int = await self.pool.fetchval(query, dispatch_id)
        return count


async def test_a_list_is_empty_when_nobody_can_say_whether_the_app_exists(desk: Desk) -> None:
    desk.targeting.problem = away()
    browse = Browse(PostgresDispatches(desk.pool), desk.targeting)
    assert await browse.page("shop", "", after=None, size=10) == ([], False)


@pytest.fixture
def desk(pool: "asyncpg.Pool[asyncpg.Record]") -> Desk:
    return Desk(pool)


async def test_a_new_dispatch_is_announced_once(desk: Desk) -> None:
    dispatch, created = await desk.create(ORDER)
    again, created_again = await desk.create(ORDER)
    assert (created, created_again) == (True, False)
    assert again == dispatch
    assert desk.told == [dispatch.dispatch_id]


async def test_a_test_is_stored_as_one(desk: Desk) -> None:
    dispatch, _ = await desk.create(replace(ORDER, test=True))
    other, _ = await desk.create(replace(ORDER, client_ref="second"))
    assert (dispatch.test, other.test) == (True, False)


async def test_an_expression_is_cut_into_shards_and_named_installations_are_not(
    desk: Desk,
) -> None:
    named = Audience(installation_ids=installation_ids(3))
    broad, _ = await desk.create(ORDER)
    narrow, _ = await desk.create(replace(ORDER, client_ref="second", audience=named))
    assert await desk.shards(broad.dispatch_id) == 4
    assert await desk.shards(narrow.dispatch_id) == 1


async def test_an_order_that_is_known_needs_no_neighbour(desk: Desk) -> None:
    await desk.create(ORDER)
    desk.targeting.problem = away()
    _, created = await desk.create(ORDER)
    assert not created


async def test_nothing_is_stored_of_an_order_that_cannot_be_checked(desk: Desk) -> None:
    desk.targeting.problem = away()
    with pytest.raises(type(away())):
        await desk.create(ORDER)
    desk.targeting.problem = None
    _, created = await desk.create(ORDER)
    assert created


async def test_other_content_under_the_same_name_is_refused(desk: Desk) -> None:
    dispatch, _ = await desk.create(ORDER)
    with pytest.raises(DispatchExists) as caught:
        await desk.create(replace(ORDER, content_digest=b"e" * 32))
    assert caught.value.metadata["dispatchId"] == str(dispatch.dispatch_id)
