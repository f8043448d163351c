"""Pages of lists that end where there is no more room, and pages of more than one statement."""

from collections.abc import Sequence
from uuid import UUID

import pytest

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.model import Installation
from nuncio_registry.domain.predicate import Comparison, Field, Operator, Predicate
from nuncio_registry.domain.survey import LISTED_AT_ONCE, Survey
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.counting import PostgresCountings
from nuncio_registry.storage.listings import PostgresListings
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, registration

PEOPLE = LISTED_AT_ONCE + 9
OF_ANNA = Comparison(Field.USER_ID, Operator.IN, ("anna",))


async def pages(
    pool: Pool, predicate: Predicate | None, *, limit: int, room: int
) -> Sequence[list[int]]:
    """The numbers on all pages of a list whose pages have room for so many."""
    clock = ManualClock(NOW)
    apps = Apps(PostgresApps(pool), clock)
    survey = Survey(PostgresCountings(pool), PostgresListings(pool), apps, clock)
    found: list[list[int]] = []
    after: UUID | None = None

    def take(installation: Installation) -> bool:
        found[-1].append(installation.installation_id.int)
        return len(found[-1]) < room

    while not found or after is not None:
        found.append([])
        after = await survey.page(APP, take, predicate=predicate, after=after, limit=limit)
    return found


@pytest.mark.parametrize("predicate", [None, OF_ANNA], ids=["scanned", "named"])
async def test_a_page_ends_where_there_is_no_more_room_and_the_next_goes_on(
    pool: Pool, predicate: Predicate | None
) -> None:
    await register(pool, [registration(n, user_id="anna") for n in range(1, PEOPLE + 1)])
    everybody = [*range(1, PEOPLE + 1)]
    for limit, room in (
        (LISTED_AT_ONCE, PEOPLE),
        (LISTED_AT_ONCE + 1, PEOPLE),
        (PEOPLE - 1, PEOPLE),
        (PEOPLE, PEOPLE),
        (1_000, PEOPLE),
        (1_000, LISTED_AT_ONCE),
        (1_000, 100),
        (100, 1_000),
    ):
        found = await pages(pool, predicate, limit=limit, room=room)
        assert [number for page in found for number in page] == everybody
        assert {len(page) for page in found[:-1]} <= {min(limit, room)}
        assert 0 < len(found[-1]) <= min(limit, room)
