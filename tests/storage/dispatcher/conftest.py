"""A database for each test, and the ports on it."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

import asyncpg
import pytest

from nuncio_dispatcher.storage.postgres import PostgresDispatches, PostgresJournal, PostgresOutbox
from nuncio_runtime.postgres import open_pool
from tests.support.postgres import fresh_database


@dataclass(frozen=True)
class Storage:
    pool: "asyncpg.Pool[asyncpg.Record]"
    dispatches: PostgresDispatches
    journal: PostgresJournal
    outbox: PostgresOutbox


@pytest.fixture
async def storage() -> AsyncIterator[Storage]:
    async with (
        fresh_database("nuncio_dispatcher", "dispatcher") as settings,
        open_pool(settings) as pool,
    ):
        yield Storage(pool, PostgresDispatches(pool), PostgresJournal(pool), PostgresOutbox(pool))
