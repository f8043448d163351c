"""Errors of the server, as they leave the storage: what they are, and what they do not tell."""

import traceback

import asyncpg
import pytest

from nuncio_runtime.postgres import StorageUnavailable, open_pool, storage_faults
from tests.support.postgres import empty_database

TABLE = "CREATE TABLE person (user_id text PRIMARY KEY, age int CHECK (age > 0))"
ADD = "INSERT INTO person VALUES ($1, $2)"


# As a replica fails a long count, when the primary has removed rows that it still reads.
CONFLICT = """
    DO $$ BEGIN RAISE 'canceling statement due to conflict with recovery'
                      USING ERRCODE = 'serialization_failure'; END $$
"""


async def add_twice(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    with storage_faults():
        try:
            await pool.execute(ADD, "ada", 36)
            await pool.execute(ADD, "ada", 36)
        except asyncpg.UniqueViolationError as error:
            raise LookupError from error


async def add_unborn(pool: "asyncpg.Pool[asyncpg.Record]") -> None:
    with storage_faults():
        await pool.execute(ADD, "eve", -1)


async def test_neither_an_error_nor_what_led_to_it_quotes_a_row() -> None:
    async with empty_database("sample") as settings, open_pool(settings) as pool:
        await pool.execute(TABLE)
        with pytest.raises(asyncpg.CheckViolationError) as unborn:
            await add_unborn(pool)
        with pytest.raises(LookupError) as twice:
            await add_twice(pool)
    told = "".join(traceback.format_exception(unborn.value))
    assert "person_age_check" in told
    assert "Failing row" not in told
    told = "".join(traceback.format_exception(twice.value))
    assert "person_pkey" in told
    assert "already exists" not in told


async def test_a_conflict_with_recovery_is_the_storages_trouble() -> None:
    async with empty_database("sample") as settings, open_pool(settings) as pool:
        with pytest.raises(StorageUnavailable), storage_faults():
            await pool.execute(CONFLICT)
