"""A database for each test, and real neighbours for the tests that need them."""

from collections.abc import AsyncIterator

import asyncpg
import pytest
import pytest_asyncio

from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.postgres import open_pool
from tests.integration.dispatcher.neighbourhood import PROVIDERS, Neighbourhood, neighbourhood
from tests.support.postgres import fresh_database


@pytest.fixture
async def database() -> AsyncIterator[DatabaseSettings]:
    async with fresh_database("nuncio_dispatcher", "dispatcher") as settings:
        yield settings


@pytest.fixture
async def pool(database: DatabaseSettings) -> "AsyncIterator[asyncpg.Pool[asyncpg.Record]]":
    async with open_pool(database) as pool:
        yield pool


@pytest_asyncio.fixture(scope="package", loop_scope="package")
async def around(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Neighbourhood]:
    """Real neighbours, and 40 installations of each provider."""
    async with neighbourhood(tmp_path_factory.mktemp("around")) as found:
        for provider in PROVIDERS:
            await found.install(provider, 40)
        yield found
