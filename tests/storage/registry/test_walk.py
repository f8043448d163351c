"""The roads through a selection, on PostgreSQL: how far each looks, and what it finds."""

from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import pytest

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.keys import FIRST_KEY, LAST_KEY, KeySpan
from nuncio_registry.domain.model import Facts, Permission, Registration, Suppression
from nuncio_registry.domain.ports.selection import SelectedRows, Selection
from nuncio_registry.domain.predicate import AllOf, Comparison, Field, Operator, Predicate
from nuncio_registry.domain.select import Select, TargetPage
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.looking import Q as LOOKING
from nuncio_registry.storage.predicate import indexed, where, where_indexed
from nuncio_registry.storage.selection import PostgresSelections, Q, open_walks
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.postgres import open_pool
from tests.storage.registry.registering import register
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP, NOW, app, key, key_ring, registration

NEWS = Comparison(Field.TOPICS, Operator.HAS, ("news",))
SWISS = Comparison(Field.COUNTRY, Operator.IN, ("CH",))
OF_ANNA = Comparison(Field.USER_ID, Operator.IN, ("anna", "nobody"))
GERMAN = Comparison(Field.COUNTRY, Operator.IN, ("DE",))


@dataclass
class Database:
    """Connections for all, and those for walks."""

    pool: Pool
    walks: Pool

    @property
    def selections(self) -> PostgresSelections:
        """The port under test."""
        return PostgresSelections(self.pool, walks=self.walks)


@pytest.fixture
async def database() -> AsyncIterator[Database]:
    """A database with one app, as the service opens it."""
    async with (
        fresh_database("nuncio_registry", "registry") as settings,
        open_pool(settings) as pool,
        open_walks(settings) as walks,
    ):
        await PostgresApps(pool).create(app())
        yield Database(pool, walks)


def person(number: int, **facts: Any) -> Registration:
    """Somebody who may be reached; a user named anna for every third."""
    user = "anna" if number % 3 == 0 else None
    return registration(
        number, user_id=user, facts=Facts(permission=Permission.GRANTED)._replace(**facts)
    )


def those(predicate: Predicate | None = None, *, first: int = 0) -> Selection:
    return Selection(
        APP, predicate, "", NOW - timedelta(days=30), key(first) if first else FIRST_KEY, LAST_KEY
    )


def numbers(ids: bytes) -> list[int]:
    return [int.from_bytes(ids[at : at + 16]) for at in range(0, len(ids), 16)]


async def test_a_scan_looks_at_so_many_keys_and_tells_the_last(database: Database) -> None:
    rows = [person(n, country="CH" if n in (2, 7) else "DE") for n in range(1, 10)]
    await register(database.pool, rows)
    page = await database.selections.scan(those(SWISS), limit=5, keys=4)
    assert (numbers(page.ids), page.cursor, page.ended) == ([2], key(4), False)
    page = await database.selections.scan(those(SWISS, first=5), limit=5, keys=4)
    assert (numbers(page.ids), page.cursor, page.ended) == ([7], key(8), False)
    page = await database.selections.scan(those(SWISS, first=9), limit=5, keys=4)
    assert (page.ids, page.is_empty, page.ended) == (b"", True, True)


async def test_a_full_page_ends_at_its_last_row_and_not_at_its_last_key(
    database: Database,
) -> None:
    await register(database.pool, [person(n) for n in range(1, 6)])
    page = await database.selections.scan(those(), limit=2, keys=4)
    assert (numbers(page.ids), page.cursor, page.ended) == ([1, 2], key(2), False)
    page = await database.selections.scan(those(first=3), limit=9, keys=9)
    assert (numbers(page.ids), page.cursor, page.ended) == ([3, 4, 5], key(5), True)


async def test_only_a_scan_that_hardly_found_anything_is_sparse(database: Database) -> None:
    await register(
        database.pool, [person(n, country="CH" if n < 3 else "DE") for n in range(1, 202)]
    )
    selections = database.selections
    assert not (await selections.scan(those(SWISS), limit=100, keys=200)).sparse  # 2 of 200
    assert (await selections.scan(those(SWISS, first=2), limit=100, keys=199)).sparse  # 1 of 199
    # At the end there is nothing left to be found in another way.
    assert not (await selections.scan(those(SWISS, first=100), limit=100, keys=200)).sparse


async def test_rows_among_ids_have_to_match_still(database: Database) -> None:
    rows = [person(n, country="CH" if n != 3 else "DE") for n in range(1, 6)]
    await register(database.pool, rows)
    ids = [key(2), key(3), key(4), key(77)]
    page = await database.selections.among(those(SWISS), ids)
    assert (numbers(page.ids), page.cursor, page.ended) == ([2, 4], key(77), False)
    await database.pool.execute("UPDATE installation SET permission = 4")
    page = await database.selections.among(those(SWISS), ids)
    assert (page.ids, page.suppressed) == (b"", {Suppression.NO_PERMISSION: 2})


async def test_the_index_gives_the_keys_of_users_and_of_sets_in_order(database: Database) -> None:
    rows = [person(n, topics=("news",) if n % 2 else (), country="CH") for n in range(9, 0, -1)]
    await register(database.pool, rows)
    found = database.selections.find
    assert await found(those(OF_ANNA), most=9) == [key(3), key(6), key(9)]
    assert await found(those(NEWS), most=9) == [key(n) for n in (1, 3, 5, 7, 9)]
    assert await found(those(AllOf((NEWS, GERMAN))), most=9) == []
    assert await found(those(NEWS, first=5), most=9) == [key(n) for n in (5, 7, 9)]


async def test_what_no_index_knows_or_too_many_share_is_not_found(database: Database) -> None:
    await register(database.pool, [person(n, topics=("news",)) for n in range(1, 10)])
    found = database.selections.find
    assert await found(those(SWISS), most=9) is None
    assert await found(those(NEWS), most=8) is None
    assert await found(those(OF_ANNA), most=2) is None
    assert await found(those(NEWS), most=9) is not None


async def test_rows_of_other_apps_are_on_no_road(database: Database) -> None:
    await PostgresApps(database.pool).create(app("com.example.other"))
    await register(database.pool, [person(3, topics=("news",))])
    selections = database.selections
    other = those(NEWS)._replace(app_id="com.example.other")
    assert (await selections.scan(other, limit=9, keys=9)).is_empty
    assert (await selections.among(other, [key(3)])).is_empty
    assert await selections.find(other, most=9) == []
    users = other._replace(predicate=OF_ANNA)
    assert await selections.find(users, most=9) == []


async def plan(connections: Pool, query: Sequence[object], *, settings: str = "RESET jit") -> str:
    statement, *arguments = query
    async with connections.acquire() as connection:
        await connection.execute(settings)
        lines = await connection.fetch(f"EXPLAIN {statement}", *arguments)
    return "\n".join(line[0] for line in lines)


async def test_every_road_takes_its_own_index(database: Database) -> None:
    """On tables so small that the planner, left alone, would read them whole."""
    await register(database.pool, [person(n, topics=("news",)) for n in range(1, 50)])
    await database.pool.execute("ANALYZE installation")
    part = (APP, FIRST_KEY, LAST_KEY)
    scan = where(Q.scan_targets, NEWS, (*part, "", NOW, 10, 20))
    among = where(Q.targets_among, NEWS, (APP, [key(1)], "", NOW))
    users = (LOOKING.find_by_users, *part, 10, ["anna"])
    for query, index in ((scan, "pkey"), (among, "pkey"), (users, "user_id_idx")):
        found = await plan(database.walks, query)
        assert "Seq Scan" not in found
        assert "Bitmap" not in found
        assert f"_{index} on installation_0" in found
    assert "Sort  " not in await plan(database.walks, scan)
    some = indexed(NEWS)
    assert some is not None
    sets = where_indexed(LOOKING.find_by_sets, NEWS, some, (*part, 10))
    found = await plan(database.pool, sets, settings="SET enable_seqscan = off")
    assert "Bitmap Index Scan on installation_0_topics_tags_attributes_idx" in found


class Narrow(PostgresSelections):
    """Scans two keys at a time. Each scan takes so many seconds of the clock."""

    def __init__(self, database: Database, clock: ManualClock, *, seconds: float = 0) -> None:
        super().__init__(database.pool, walks=database.walks)
        self._clock = clock
        self._seconds = seconds
        self.scans = 0

    async def scan(self, selection: Selection, *, limit: int, keys: int) -> SelectedRows:
        assert keys > 2
        self.scans += 1
        self._clock.advance(self._seconds)
        return await super().scan(selection, limit=limit, keys=2)


async def all_pages(
    database: Database,
    predicate: Predicate | None = None,
    *,
    seconds: float = 0,
    span: KeySpan = KeySpan(),  # noqa: B008 - it cannot be changed
    page_size: int = 1000,
) -> tuple[list[TargetPage], int]:
    """The pages, and how many scans they took."""
    clock = ManualClock(NOW)
    narrow = Narrow(database, clock, seconds=seconds)
    apps = Apps(PostgresApps(database.pool), clock)
    select = Select(narrow, apps, keys=key_ring(), clock=clock)
    pages = select.pages(APP, predicate, purpose="", span=span, page_size=page_size)
    return [page async for page in pages], narrow.scans


async def test_what_is_named_is_never_scanned(database: Database) -> None:
    await register(database.pool, [person(n) for n in range(1, 10)])
    ids = Comparison(Field.INSTALLATION_ID, Operator.IN, tuple(str(key(n)) for n in (8, 2, 5)))
    pages, scans = await all_pages(database, ids, page_size=2)
    assert [numbers(page.installation_ids) for page in pages] == [[2, 5], [8]]
    assert scans == 0
    pages, scans = await all_pages(database, OF_ANNA, page_size=2)
    assert [numbers(page.installation_ids) for page in pages] == [[3, 6], [9]]
    assert scans == 0
    after = KeySpan().after(key(3))
    pages, scans = await all_pages(database, OF_ANNA, page_size=2, span=after)
    assert [numbers(page.installation_ids) for page in pages] == [[6, 9]]


async def test_a_walk_that_finds_hardly_anything_asks_the_index_for_the_rest(
    database: Database,
) -> None:
    rows = [person(n, topics=("news",) if n > 18 else (), country="CH") for n in range(1, 21)]
    await register(database.pool, rows)
    pages, scans = await all_pages(database, NEWS)
    assert [numbers(page.installation_ids) for page in pages] == [[19, 20]]
    assert scans == 1
    # No index knows countries: ten scans, and one that finds the end.
    pages, scans = await all_pages(database, SWISS)
    assert [number for page in pages for number in numbers(page.installation_ids)] == [
        *range(1, 21)
    ]
    assert scans == 11


async def test_where_nothing_matches_the_stream_tells_each_second_how_far_it_is(
    database: Database,
) -> None:
    await register(database.pool, [person(n, country="DE") for n in range(1, 21)])
    quiet, scans = await all_pages(database, SWISS)
    assert (quiet, scans) == ([], 11)
    slow, _ = await all_pages(database, SWISS, seconds=0.4)
    assert [page.tokens for page in slow] == [[]] * len(slow)
    cursors = [page.cursor.int for page in slow]
    assert cursors == sorted(set(cursors))
    assert 3 <= len(slow) <= 5  # 11 scans of 0.4 seconds, an answer a second.
    rest, _ = await all_pages(database, GERMAN, span=KeySpan().after(slow[-1].cursor))
    assert numbers(b"".join(page.installation_ids for page in rest)) == [
        *range(slow[-1].cursor.int + 1, 21)
    ]


async def test_who_matches_throughout_comes_once_whoever_comes_and_goes(
    database: Database,
) -> None:
    """Between any two pages some come before the cursor, some behind it, and some go."""
    await register(database.pool, [person(10 * n) for n in range(1, 31)])
    clock = ManualClock(NOW)
    narrow = Narrow(database, clock)
    apps = Apps(PostgresApps(database.pool), clock)
    select = Select(narrow, apps, keys=key_ring(), clock=clock)
    seen: list[int] = []
    gone: set[int] = set()
    pages = select.pages(APP, None, purpose="", span=KeySpan(), page_size=3)
    async with aclosing(pages):
        async for page in pages:
            seen += numbers(page.installation_ids)
            at = page.cursor.int
            await register(database.pool, [person(at - 5), person(at + 55), person(at + 301)])
            gone.add(at + 40)
            await database.pool.execute(
                "DELETE FROM installation WHERE installation_id = $1", key(at + 40)
            )
            if len(seen) > 40:
                break
    there_throughout = {10 * n for n in range(1, 31)} - gone
    assert seen == sorted(set(seen))
    reached = {number for number in there_throughout if number <= seen[-1]}
    assert reached <= set(seen)


async def test_a_consent_taken_back_holds_for_candidates_that_are_known(
    database: Database,
) -> None:
    await register(database.pool, [person(n) for n in range(3, 13, 3)])
    clock = ManualClock(NOW)
    apps = Apps(PostgresApps(database.pool), clock)
    select = Select(database.selections, apps, keys=key_ring(), clock=clock)
    pages = select.pages(APP, OF_ANNA, purpose="", span=KeySpan(), page_size=1)
    async with aclosing(pages):
        assert numbers((await anext(pages)).installation_ids) == [3]
        # One page is ahead; the one after it is not read yet, and its key is known.
        await database.pool.execute(
            "UPDATE installation SET permission = 4, user_id = 'ben' WHERE installation_id = $1",
            key(9),
        )
        left = [number async for page in pages for number in numbers(page.installation_ids)]
    assert left == [6, 12]
