"""The pool: what it sets up, and what it makes of faults."""

import asyncio
import uuid
from datetime import timedelta

import asyncpg
import pytest
from pydantic import SecretStr

from nuncio_runtime.errors import Kind
from nuncio_runtime.postgres import (
    StorageUnavailable,
    is_reachable,
    load_queries,
    open_pool,
    storage_fault,
)
from tests.support.postgres import empty_database, fresh_database

SAMPLE = "tests.storage.runtime.sample_service"


async def test_statements_find_the_services_schema() -> None:
    async with empty_database("sample") as settings, open_pool(settings) as pool:
        assert await pool.fetchval("SELECT current_schema()") == "sample"
        assert await pool.fetchval("SHOW application_name") == "nuncio_sample"


async def test_json_goes_in_and_comes_out_as_python_values() -> None:
    queries = load_queries(f"{SAMPLE}.storage")
    body = {"text": "ä", "numbers": [1, 2.5, None]}
    async with fresh_database(SAMPLE, "sample") as settings, open_pool(settings) as pool:
        await pool.fetchval(queries.add_note, body)
        rows = await pool.fetch(queries.note_bodies)
    assert rows[-1]["body"] == body


async def test_uuids_are_uuids() -> None:
    async with empty_database("sample") as settings, open_pool(settings) as pool:
        value = uuid.uuid4()
        assert await pool.fetchval("SELECT $1::uuid", value) == value


async def test_a_database_of_a_test_starts_as_the_template_and_ends_with_it() -> None:
    async with fresh_database(SAMPLE, "sample") as first, open_pool(first) as pool:
        await pool.execute("DELETE FROM note")
    async with fresh_database(SAMPLE, "sample") as second, open_pool(second) as pool:
        assert await pool.fetchval("SELECT count(*) FROM note") == 2
    assert first.dsn != second.dsn
    with pytest.raises(asyncpg.InvalidCatalogNameError):
        async with open_pool(first.model_copy(update={"pool_min": 1})):
            pass


async def test_a_server_that_is_not_there_is_storage_unavailable() -> None:
    async with empty_database("sample") as settings:
        away = settings.model_copy(
            update={"dsn": SecretStr("postgresql://x@127.0.0.1:1/x"), "pool_min": 1}
        )
        with pytest.raises(StorageUnavailable) as failed:
            async with open_pool(away):
                pass
    assert failed.value.kind is Kind.UNAVAILABLE
    assert failed.value.retry_after == timedelta(seconds=1)


async def test_a_cut_connection_is_a_fault_of_the_storage() -> None:
    async with empty_database("sample") as settings, open_pool(settings) as pool:
        with pytest.raises(asyncpg.PostgresError, match="terminat") as cut:
            await pool.fetchval("SELECT pg_terminate_backend(pg_backend_pid())")
    assert isinstance(storage_fault(cut.value), StorageUnavailable)


async def test_a_statement_that_takes_too_long_is_a_fault_of_the_storage() -> None:
    async with empty_database("sample") as settings:
        hasty = settings.model_copy(update={"statement_timeout": timedelta(milliseconds=20)})
        async with open_pool(hasty) as pool:
            with pytest.raises(asyncpg.QueryCanceledError) as cancelled:
                await pool.execute("SELECT pg_sleep(5)")
    assert isinstance(storage_fault(cancelled.value), StorageUnavailable)


async def test_waiting_in_vain_for_a_connection_is_a_fault_of_the_storage() -> None:
    async with empty_database("sample") as settings:
        small = settings.model_copy(update={"pool_max": 1})
        async with open_pool(small) as pool, pool.acquire():
            with pytest.raises(TimeoutError) as waited:
                await pool.acquire(timeout=0.02)
    assert isinstance(storage_fault(waited.value), StorageUnavailable)


async def test_a_closed_pool_is_a_fault_of_the_storage_and_not_reachable() -> None:
    async with empty_database("sample") as settings:
        async with open_pool(settings) as pool:
            assert await is_reachable(pool)
        assert not await is_reachable(pool)
        with pytest.raises(asyncpg.InterfaceError) as closed:
            await pool.fetchval("SELECT 1")
    assert isinstance(storage_fault(closed.value), StorageUnavailable)


async def test_a_mistake_of_ours_is_no_fault_of_the_storage() -> None:
    async with empty_database("sample") as settings, open_pool(settings) as pool:
        with pytest.raises(asyncpg.PostgresSyntaxError) as mistake:
            await pool.execute("SELEC 1")
        with pytest.raises(asyncpg.InterfaceError) as misuse:
            await pool.fetchval("SELECT $1::int")
    assert storage_fault(mistake.value) is None
    assert storage_fault(misuse.value) is None
    assert storage_fault(ConnectionRefusedError()) is None


async def test_connections_in_use_do_not_hold_up_the_end_for_ever() -> None:
    async with (
        asyncio.timeout(8),
        empty_database("sample") as settings,
        open_pool(settings) as pool,
    ):
        await pool.acquire()
