"""The registry's tables in a database of their own."""

from collections.abc import AsyncIterator

import pytest

from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_registry.storage.selection import PostgresSelections
from nuncio_runtime.postgres import open_pool
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import app


@pytest.fixture
async def pool() -> AsyncIterator[Pool]:
    """Connections to a database with all migrations, and one app."""
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        open_pool(database) as connections,
    ):
        await PostgresApps(connections).create(app())
        yield connections


@pytest.fixture
def installations(pool: Pool) -> PostgresInstallations:
    """The port under test."""
    return PostgresInstallations(pool)


@pytest.fixture
def selections(pool: Pool) -> PostgresSelections:
    """The port under test."""
    return PostgresSelections(pool)


@pytest.fixture
def lifecycle(pool: Pool) -> PostgresLifecycle:
    """The port under test."""
    return PostgresLifecycle(pool)
