"""Migrations on PostgreSQL: order, phases, repetition, races."""

import asyncio

import pytest
from pydantic import SecretStr

from nuncio_runtime.errors import Kind
from nuncio_runtime.migrate import check_schema, migrate
from nuncio_runtime.postgres import SchemaTooOld, StorageUnavailable, dsn_of, open_pool
from tests.support.postgres import empty_database, fresh_database

SAMPLE = "tests.storage.runtime.sample_service"


async def test_all_revisions_are_applied_in_order_and_once() -> None:
    async with empty_database("sample") as settings:
        assert await migrate(settings, SAMPLE) == ["0001", "0002", "0003"]
        assert await migrate(settings, SAMPLE) == []


async def test_until_pre_stops_before_what_old_code_cannot_bear() -> None:
    async with empty_database("sample") as settings:
        assert await migrate(settings, SAMPLE, until="pre") == ["0001", "0002"]
        assert await migrate(settings, SAMPLE, until="pre") == []
        assert await migrate(settings, SAMPLE) == ["0003"]
        assert await migrate(settings, SAMPLE, until="pre") == []


async def test_colons_semicolons_and_percent_signs_arrive_as_they_are_written() -> None:
    async with fresh_database(SAMPLE, "sample") as settings, open_pool(settings) as pool:
        bodies = await pool.fetch("SELECT body FROM note ORDER BY note_id")
        assert [row["body"] for row in bodies] == ["100% :sure", {"kind": ":none;"}]
        assert await pool.fetchval("SELECT note_count()") == 2


async def test_of_migrations_at_the_same_time_one_does_the_work() -> None:
    async with empty_database("sample") as settings:
        applied = await asyncio.gather(*(migrate(settings, SAMPLE) for _ in range(3)))
    assert sorted(applied) == [[], [], ["0001", "0002", "0003"]]


async def test_the_version_is_kept_inside_the_services_schema() -> None:
    async with fresh_database(SAMPLE, "sample") as settings, open_pool(settings) as pool:
        assert await pool.fetchval("SELECT version_num FROM sample.alembic_version") == "0003"


async def test_a_schema_that_lacks_a_pre_revision_is_refused() -> None:
    async with empty_database("sample") as settings, open_pool(settings) as pool:
        with pytest.raises(SchemaTooOld, match="found none, needed 0002") as refused:
            await check_schema(pool, SAMPLE)
    assert refused.value.kind is Kind.FAILED_PRECONDITION


async def test_a_schema_that_lacks_only_post_revisions_is_good_enough() -> None:
    async with empty_database("sample") as settings, open_pool(settings) as pool:
        await migrate(settings, SAMPLE, until="pre")
        await check_schema(pool, SAMPLE)


async def test_a_schema_of_a_newer_program_is_left_alone_and_good_enough() -> None:
    async with fresh_database(SAMPLE, "sample") as settings, open_pool(settings) as pool:
        await pool.execute("UPDATE alembic_version SET version_num = '0099'")
        assert await migrate(settings, SAMPLE) == []
        await check_schema(pool, SAMPLE)


async def test_a_missing_schema_is_made_when_the_role_may() -> None:
    async with empty_database("sample") as settings:
        admin = SecretStr(dsn_of(settings).replace("nuncio_sample@", "postgres@"))
        another = settings.model_copy(update={"schema": "another", "dsn": admin})
        assert await migrate(another, SAMPLE) == ["0001", "0002", "0003"]


async def test_a_server_that_is_not_there_is_storage_unavailable() -> None:
    async with empty_database("sample") as settings:
        dsn = SecretStr("postgresql://nobody@127.0.0.1:1/none")
        with pytest.raises(StorageUnavailable):
            await migrate(settings.model_copy(update={"dsn": dsn}), SAMPLE)
