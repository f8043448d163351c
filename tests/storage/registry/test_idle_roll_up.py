"""Counting costs nothing where nothing happens."""

from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.statistics import PostgresStatistics
from tests.storage.registry.registering import changes_in_sight, register
from tests.unit.registry.builders import APP, registration

# Who locks a row, or changes it, leaves a number there.
TOUCHED_BY = "SELECT xmin, xmax FROM bookmark WHERE name = 'flow'"


async def test_an_app_without_news_is_left_alone(pool: Pool) -> None:
    statistics = PostgresStatistics(pool)
    await register(pool, [registration()])
    await changes_in_sight(pool)
    assert await statistics.roll_up(APP, limit=100) > 0
    before = await pool.fetch(TOUCHED_BY)
    assert await statistics.roll_up(APP, limit=100) == 0
    assert await pool.fetch(TOUCHED_BY) == before


async def test_the_bookmark_is_there_before_the_first_change(pool: Pool) -> None:
    """Without it no change would ever be deleted."""
    assert await PostgresStatistics(pool).roll_up(APP, limit=100) == 0
    assert len(await pool.fetch(TOUCHED_BY)) == 1
