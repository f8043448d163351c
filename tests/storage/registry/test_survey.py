"""Counts and lists: no statement looks at more than so many keys, and nothing is passed by."""

import asyncio
from collections.abc import Callable, Sequence
from uuid import UUID

import pytest

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.keys import LAST_KEY
from nuncio_registry.domain.model import (
    Facts,
    Installation,
    Permission,
    Platform,
    Suppression,
    Version,
)
from nuncio_registry.domain.ports.selection import CountedRows, ListedRows, Selection
from nuncio_registry.domain.predicate import (
    AllOf,
    AnyOf,
    Comparison,
    Field,
    NoneOf,
    Operator,
    Predicate,
)
from nuncio_registry.domain.survey import LISTING_SECONDS, Survey
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.counting import PostgresCountings
from nuncio_registry.storage.counting import Q as COUNTING
from nuncio_registry.storage.listings import PostgresListings
from nuncio_registry.storage.listings import Q as LISTINGS
from nuncio_registry.storage.looking import Looking
from nuncio_registry.storage.predicate import where
from nuncio_runtime.clock import ManualClock
from tests.storage.registry.registering import register
from tests.storage.registry.surveying import counted, listed, those
from tests.unit.registry.builders import APP, NOW, key, registration

NEWS = Comparison(Field.TOPICS, Operator.HAS, ("news",))
SWISS = Comparison(Field.COUNTRY, Operator.IN, ("CH",))
OF_ANNA = Comparison(Field.USER_ID, Operator.IN, ("anna",))
NARROW = 2


async def populate(pool: Pool, count: int, *, news: Sequence[int] = (), denied: int = 0) -> None:
    """People from Switzerland, every third of them anna; the first `denied` may not be reached."""
    await register(
        pool,
        [
            registration(
                n,
                user_id="anna" if n % 3 == 0 else None,
                facts=Facts(
                    country="CH",
                    language="pt-BR",
                    app_version="2.3",
                    topics=("news",) if n in news else (),
                    permission=Permission.DENIED if n <= denied else Permission.GRANTED,
                ),
            )
            for n in range(1, count + 1)
        ],
    )


class NarrowListings(PostgresListings):
    """Scans two keys at a time; each scan takes so many seconds of the clock."""

    def __init__(self, pool: Pool, clock: ManualClock, *, seconds: float) -> None:
        super().__init__(pool)
        self._clock = clock
        self._seconds = seconds
        self.scans = 0

    async def scan(self, selection: Selection, *, limit: int, keys: int) -> ListedRows:
        assert keys > NARROW
        self.scans += 1
        self._clock.advance(self._seconds)
        return await super().scan(selection, limit=limit, keys=NARROW)


class NarrowCountings(PostgresCountings):
    """Scans two keys at a time. under_way: set when it does so again."""

    def __init__(self, pool: Pool) -> None:
        super().__init__(pool)
        self.scans = 0
        self.under_way = asyncio.Event()

    async def scan(self, selection: Selection, *, limit: int, keys: int) -> CountedRows:
        assert keys > NARROW
        self.scans += 1
        if self.scans > 1:
            self.under_way.set()
        return await super().scan(selection, limit=limit, keys=NARROW)


def taking(numbers: list[int]) -> Callable[[Installation], bool]:
    """Takes all installations, by their numbers."""

    def take(installation: Installation) -> bool:
        numbers.append(installation.installation_id.int)
        return True

    return take


class House:
    """A survey of an app, and what it reads from."""

    def __init__(self, pool: Pool, *, seconds: float = 0) -> None:
        clock = ManualClock(NOW)
        self.countings = NarrowCountings(pool)
        self.listings = NarrowListings(pool, clock, seconds=seconds)
        self.survey = Survey(self.countings, self.listings, Apps(PostgresApps(pool), clock), clock)

    async def pages(self, predicate: Predicate | None, *, limit: int) -> list[list[int]]:
        """The numbers on all pages of a list."""
        pages: list[list[int]] = []
        after: UUID | None = None
        while True:
            pages.append([])
            take = taking(pages[-1])
            after = await self.survey.page(APP, take, predicate=predicate, after=after, limit=limit)
            if after is None:
                return pages


async def test_a_scan_counts_so_many_keys_and_tells_the_last(pool: Pool) -> None:
    await populate(pool, 9, denied=3)
    countings = PostgresCountings(pool)
    rows = await countings.scan(those(), limit=1, keys=4)
    assert rows.counts == ({Platform.IOS: 1}, {Suppression.NO_PERMISSION: 3})
    assert (rows.cursor, rows.ended) == (key(4), False)
    rows = await countings.scan(those(first=key(9)), limit=1, keys=4)
    assert rows.counts == ({Platform.IOS: 1}, {})
    assert rows.ended


async def test_a_scan_lists_so_many_keys_or_rows_and_tells_the_last(pool: Pool) -> None:
    await populate(pool, 9, news=(2, 7))
    listings = PostgresListings(pool)
    rows = await listings.scan(those(NEWS), limit=5, keys=4)
    assert ([row.installation_id for row in rows.installations], rows.cursor) == ([key(2)], key(4))
    rows = await listings.scan(those(), limit=3, keys=4)
    assert (len(rows.installations), rows.cursor, rows.ended) == (3, key(3), False)
    rows = await listings.scan(those(NEWS, first=key(8)), limit=5, keys=4)
    assert (rows.installations, rows.ended) == ([], True)


async def test_rows_among_ids_have_to_match(pool: Pool) -> None:
    await populate(pool, 6, news=(2, 4, 5), denied=2)
    ids = [key(n) for n in (2, 3, 4, 77)]
    listed_ = await PostgresListings(pool).among(those(NEWS), ids)
    assert [row.installation_id.int for row in listed_.installations] == [2, 4]
    assert (listed_.cursor, listed_.ended) == (key(77), False)
    counted_ = await PostgresCountings(pool).among(those(NEWS), ids)
    assert counted_.counts == ({Platform.IOS: 1}, {Suppression.NO_PERMISSION: 1})
    assert counted_.cursor == key(77)


async def test_only_what_hardly_matches_is_sparse(pool: Pool) -> None:
    await populate(pool, 201, news=(1, 2))
    for roads in (PostgresListings(pool), PostgresCountings(pool)):
        assert not (await roads.scan(those(NEWS), limit=100, keys=200)).sparse  # 2 of 200
        assert (await roads.scan(those(NEWS, first=key(2)), limit=100, keys=199)).sparse
        assert not (await roads.scan(those(NEWS, first=key(100)), limit=100, keys=200)).sparse
        # That a page is full says nothing of those behind it.
    assert not (await PostgresListings(pool).scan(those(), limit=1, keys=200)).sparse


@pytest.mark.parametrize("limit", [1, 2, 3, 4, 100])
async def test_all_pages_together_have_everybody_once(pool: Pool, limit: int) -> None:
    await populate(pool, 9)
    for predicate, expected in ((None, [*range(1, 10)]), (OF_ANNA, [3, 6, 9])):
        pages = await House(pool).pages(predicate, limit=limit)
        assert [number for page in pages for number in page] == expected
        assert all(len(page) == limit for page in pages[:-1])


async def test_a_list_that_takes_long_gives_what_it_has(pool: Pool) -> None:
    await populate(pool, 20, news=(1, 17))
    rare = AllOf((SWISS, Comparison(Field.LANGUAGE, Operator.IN, ("fr",))))
    house = House(pool, seconds=LISTING_SECONDS / 2)
    pages = await house.pages(AnyOf((rare, NEWS)), limit=10)
    assert [number for page in pages for number in page] == [1, 17]
    assert house.listings.scans == 11
    # A page is what two scans of two keys find.
    assert pages == [[1], [], [], [], [17], []]


async def test_a_list_that_hardly_finds_anything_asks_the_index(pool: Pool) -> None:
    await populate(pool, 20, news=(9, 19))
    house = House(pool)
    assert await house.pages(NEWS, limit=10) == [[9, 19]]
    assert house.listings.scans == 1


async def test_a_count_is_the_sum_of_its_parts(pool: Pool) -> None:
    await populate(pool, 9, denied=2)
    house = House(pool)
    counts = await house.survey.count(APP, SWISS, "")
    assert counts == ({Platform.IOS: 7}, {Suppression.NO_PERMISSION: 2})
    assert house.countings.scans == 5
    counts = await house.survey.count(APP, None, "news")
    assert counts == ({}, {Suppression.NO_PERMISSION: 2, Suppression.NO_CONSENT: 7})


async def test_what_is_named_or_rare_is_counted_by_key(pool: Pool) -> None:
    await populate(pool, 20, news=(9, 19))
    ids = Comparison(Field.INSTALLATION_ID, Operator.IN, tuple(str(key(n)) for n in (8, 2, 99)))
    for predicate, number, scans in ((ids, 2, 0), (OF_ANNA, 6, 0), (NEWS, 2, 1)):
        house = House(pool)
        assert await house.survey.count(APP, predicate, "") == ({Platform.IOS: number}, {})
        assert house.countings.scans == scans
    nobody = AllOf((ids, NoneOf(SWISS)))
    assert await House(pool).survey.count(APP, nobody, "") == ({}, {})


async def test_a_call_that_is_cancelled_ends_between_two_statements(pool: Pool) -> None:
    await populate(pool, 20)
    house = House(pool)
    counting = asyncio.create_task(house.survey.count(APP, SWISS, ""))
    await house.countings.under_way.wait()
    counting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await counting
    assert house.countings.scans < 11
    assert await counted(pool, those()) == ({Platform.IOS: 20}, {})


async def plan(pool: Pool, query: Sequence[object]) -> str:
    statement, *arguments = query
    async with Looking(pool).planned() as connection:
        lines = await connection.fetch(f"EXPLAIN {statement}", *arguments)
    return "\n".join(line[0] for line in lines)


async def test_statements_go_by_key_on_tables_that_look_small(pool: Pool) -> None:
    await populate(pool, 50)
    await pool.execute("ANALYZE installation")
    part = (APP, key(1), LAST_KEY)
    for query in (
        where(LISTINGS.installations, SWISS, (*part, 10)),
        where(LISTINGS.installations_among, SWISS, (APP, [key(1)])),
        where(COUNTING.count_targets, SWISS, (*part, "", NOW)),
        where(COUNTING.count_among, SWISS, (APP, [key(1)], "", NOW)),
    ):
        found = await plan(pool, query)
        assert "installation_0_pkey on installation_0" in found
        assert "Seq Scan" not in found
        assert "Bitmap" not in found


NOBODY = tuple(f"nobody-{n}" for n in range(20))
FOREIGN = tuple(f"{a}{b}" for a in "bcdfgh" for b in "rstuv")
LONG: list[tuple[Predicate, bool]] = [
    (Comparison(Field.USER_ID, Operator.IN, (*NOBODY, "anna")), True),
    (Comparison(Field.USER_ID, Operator.IN, NOBODY), False),
    (NoneOf(Comparison(Field.USER_ID, Operator.IN, NOBODY)), True),
    (Comparison(Field.COUNTRY, Operator.IN, (*NOBODY, "CH")), True),
    (Comparison(Field.COUNTRY, Operator.IN, NOBODY), False),
    (Comparison(Field.LANGUAGE, Operator.IN, (*FOREIGN, "pt")), True),
    (Comparison(Field.LANGUAGE, Operator.IN, (*FOREIGN, "pt-BR")), True),
    (Comparison(Field.LANGUAGE, Operator.IN, FOREIGN), False),
    (Comparison(Field.TIME_ZONE, Operator.IN, NOBODY), False),
    (NoneOf(Comparison(Field.TIME_ZONE, Operator.IN, NOBODY)), True),
    (
        Comparison(
            Field.APP_VERSION, Operator.IN, tuple(Version(f"{n}.3.0") for n in range(2, 30))
        ),
        True,
    ),
    (NoneOf(Comparison(Field.OS_VERSION, Operator.IN, (Version("1"), Version("2")))), True),
    (
        Comparison(
            Field.LAST_SEEN, Operator.IN, (NOW, *[NOW.replace(year=y) for y in range(1990, 2010)])
        ),
        True,
    ),
]


async def test_long_lists_are_looked_up_and_mean_the_same(pool: Pool) -> None:
    """Compared one by one, 10,000 values times 20,000 keys take seconds."""
    await populate(pool, 3)
    for predicate, matches in LONG:
        numbers = [row.installation_id.int for row in await listed(pool, those(predicate))]
        assert (3 in numbers) is matches, predicate
        query = where(COUNTING.count_targets, predicate, (APP, key(1), LAST_KEY, "", NOW))
        found = await plan(pool, query)
        assert "hashed SubPlan" in found, predicate
        assert "Join" not in found, predicate


async def test_short_lists_are_compared(pool: Pool) -> None:
    few = Comparison(Field.COUNTRY, Operator.IN, tuple(f"C{n}" for n in range(8)))
    query = where(COUNTING.count_targets, few, (APP, key(1), LAST_KEY, "", NOW))
    assert "SubPlan" not in await plan(pool, query)
