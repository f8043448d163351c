"""A migrated database for each test, and the ports on it."""

from collections.abc import AsyncIterator

import asyncpg
import pytest

from nuncio_feedback.storage.postgres import PostgresInvalidations, PostgresOutcomes
from nuncio_runtime.postgres import open_pool
from tests.support.postgres import fresh_database


@pytest.fixture
async def pool() -> AsyncIterator["asyncpg.Pool[asyncpg.Record]"]:
    async with fresh_database("nuncio_feedback", "feedback") as settings, open_pool(settings) as it:
        yield it


@pytest.fixture
def outcomes(pool: "asyncpg.Pool[asyncpg.Record]") -> PostgresOutcomes:
    return PostgresOutcomes(pool)


@pytest.fixture
def invalidations(pool: "asyncpg.Pool[asyncpg.Record]") -> PostgresInvalidations:
    return PostgresInvalidations(pool)
