"""ResolveAudience for those who are to be tried again: `only`."""

from uuid import UUID, uuid4

import pytest

from nuncio.common.v1 import target_pb2
from nuncio.targeting.v1 import audience_pb2
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from tests.integration.targeting.house import (
    House,
    expression,
    ids_of,
    installations,
    suppressed_of,
    these,
    users,
)

pytestmark = [pytest.mark.asyncio(loop_scope="session"), pytest.mark.timeout(60)]


@pytest.mark.parametrize(
    "audience", [users("anna"), expression('user_id = "anna"')], ids=["users", "expression"]
)
async def test_a_message_stays_with_its_user_when_another_one_logs_in(
    house: House, app: str, audience: audience_pb2.Audience
) -> None:
    shared, own = [await house.installed(app, user_id="anna") for _ in range(2)]
    assert set(ids_of(await house.pages(app, audience))) == {shared, own}
    await house.login(app, shared, "ben")
    again = await house.pages(app, audience, only=these([shared, own]))
    assert ids_of(again) == [own]
    assert suppressed_of(again) == {"NOT_FOUND": 1}


async def test_others_of_the_audience_are_not_tried_again(house: House, app: str) -> None:
    ids = [await house.installed(app, country="CH") for _ in range(3)]
    again = await house.pages(app, expression('country = "CH"'), only=these(ids[:1]))
    assert ids_of(again) == ids[:1]
    assert suppressed_of(again) == {}


async def test_named_installations_are_narrowed_too(house: House, app: str) -> None:
    named, denied, other = [
        await house.installed(app, permission=f"PERMISSION_{permission}")
        for permission in ("GRANTED", "DENIED", "GRANTED")
    ]
    audience = installations([named, denied, uuid4()])
    again = await house.pages(app, audience, only=these([named, denied, other, uuid4()]))
    assert ids_of(again) == [named]
    assert suppressed_of(again) == {"NO_PERMISSION": 1, "NOT_FOUND": 2}


async def test_an_alternative_does_not_let_others_in(house: House, app: str) -> None:
    swiss = await house.installed(app, country="CH")
    german = await house.installed(app, country="DE")
    french = await house.installed(app, country="FR")
    either = expression('country = "CH" OR topics:"news" OR country = "DE"')
    again = await house.pages(app, either, only=these([swiss, french]))
    assert ids_of(again) == [swiss]
    assert suppressed_of(again) == {"NOT_FOUND": 1}
    assert german not in ids_of(again)


@pytest.mark.parametrize("page_size", [1, 2, 3, 0])
async def test_all_are_accounted_for_wherever_reading_starts_again(
    house: House, app: str, page_size: int
) -> None:
    known = sorted([await house.installed(app, user_id="anna") for _ in range(3)])
    gone = [await house.installed(app, user_id="ben"), uuid4(), uuid4()]
    only = these([*known, *gone, *known])
    pages = await house.pages(app, users("anna"), only=only, page_size=page_size)
    assert ids_of(pages) == known
    assert suppressed_of(pages) == {"NOT_FOUND": 3}
    for read, page in enumerate(pages, start=1):
        rest = await house.pages(
            app, users("anna"), only=only, page_size=page_size, cursor=page.cursor
        )
        assert ids_of([*pages[:read], *rest]) == known
        assert suppressed_of([*pages[:read], *rest]) == {"NOT_FOUND": 3}


async def test_a_shard_counts_its_own_part_of_them(house: House, app: str) -> None:
    only = these([UUID(int=1), UUID(int=2**127)])
    upper = target_pb2.KeyRange(low=UUID(int=2**127).bytes)
    pages = await house.pages(app, expression("all()"), only=only, range=upper)
    assert suppressed_of(pages) == {"NOT_FOUND": 1}


async def test_a_cursor_goes_with_the_installations_that_it_came_from(
    house: House, app: str
) -> None:
    only, others = these([UUID(int=1), UUID(int=2)]), these([UUID(int=1), UUID(int=3)])
    audience = installations([UUID(int=1), UUID(int=2)])
    narrowed, *_ = await house.pages(app, audience, only=only, page_size=1)
    plain, *_ = await house.pages(app, audience, page_size=1)
    mistaken = [(others, narrowed.cursor), (None, narrowed.cursor), (only, plain.cursor)]
    for wanted, cursor in mistaken:
        with pytest.raises(RemoteError) as raised:
            await house.pages(app, audience, only=wanted, cursor=cursor)
        assert raised.value.kind is Kind.INVALID_ARGUMENT
        assert raised.value.metadata == {"field": "cursor"}


async def test_the_largest_expression_can_be_narrowed(house: House, app: str) -> None:
    anna = await house.installed(app, user_id="anna")
    # 996 comparisons that cannot be merged, the one that holds, and the OR around them.
    many = expression("user_id:* OR " + " OR ".join(["user_id:*"] * 996))
    deep = "user_id:*"
    for _ in range(19):
        deep = f"NOT (user_id:* AND {deep})"
    for audience in (many, expression(deep)):
        found = ids_of(await house.pages(app, audience))
        assert ids_of(await house.pages(app, audience, only=these([anna]))) == found
    assert ids_of(await house.pages(app, many)) == [anna]
