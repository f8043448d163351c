"""Rotation on the tables: every token is sealed anew, and none is lost."""

import asyncio
import base64
import json
import os
import sys
from asyncio.subprocess import PIPE
from datetime import timedelta
from pathlib import Path

import pytest

from nuncio_registry.domain.ports.sealed import Resealed
from nuncio_registry.domain.rotate import Rotate, Rotation
from nuncio_registry.domain.sealing import KeyRing, bound_to
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.key_files import make_missing_keys, newest_since, read_key_ring
from nuncio_registry.storage.sealed import PostgresSealedTokens
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.config import DatabaseSettings
from nuncio_runtime.postgres import dsn_of, open_pool
from tests.storage.registry.registering import register
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP, NOW, app, key, key_ring, registration

TOKENS = {number: f"{number:02x}" * 32 for number in range(1, 8)}

SEALED = "SELECT installation_id, token_sealed, token_key_id FROM installation"


async def filled(pool: Pool, *, keys: KeyRing) -> None:
    rows = [registration(number, token) for number, token in TOKENS.items()]
    await register(pool, rows, keys=keys)


async def opened(pool: Pool, keys: KeyRing, *, key_id: int) -> dict[int, str]:
    """The tokens that this key sealed, by number."""
    rows = [row for row in await pool.fetch(SEALED) if row["token_key_id"] == key_id]
    return {
        row["installation_id"].int: keys.open(
            row["token_sealed"], key_id=key_id, bound_to=bound_to(APP, row["installation_id"])
        ).decode()
        for row in rows
    }


def rotate(pool: Pool, keys: KeyRing, clock: ManualClock | None = None) -> Rotate:
    return Rotate(PostgresSealedTokens(pool), keys, clock or ManualClock(NOW))


@pytest.mark.parametrize("batch", [1, 3, 7, 100])
async def test_every_token_opens_with_the_new_key_alone(pool: Pool, batch: int) -> None:
    await filled(pool, keys=key_ring(1))
    rotation = await rotate(pool, key_ring(1, 2)).run(settled=NOW, batch=batch)
    assert rotation == Rotation(newest=2, resealed=7, walks=2, looked_at=7, in_use={2})
    assert await opened(pool, key_ring(2), key_id=2) == TOKENS


async def test_all_else_of_an_installation_stays(pool: Pool) -> None:
    await filled(pool, keys=key_ring(1))
    query = "SELECT to_jsonb(i) - 'token_sealed' - 'token_key_id' AS rest FROM installation AS i"
    before = [row["rest"] for row in await pool.fetch(f"{query} ORDER BY installation_id")]
    await rotate(pool, key_ring(1, 2)).run(settled=NOW)
    assert [row["rest"] for row in await pool.fetch(f"{query} ORDER BY installation_id")] == before


async def test_doing_it_again_changes_nothing(pool: Pool) -> None:
    await filled(pool, keys=key_ring(1, 2))
    before = await pool.fetch(f"{SEALED} ORDER BY 1")
    rotation = await rotate(pool, key_ring(1, 2)).run(settled=NOW)
    assert (rotation.resealed, rotation.walks) == (0, 1)
    assert await pool.fetch(f"{SEALED} ORDER BY 1") == before


async def test_tokens_that_do_not_open_are_counted_and_left(pool: Pool) -> None:
    await register(pool, [registration(1)], keys=key_ring(3))
    await register(pool, [registration(2, TOKENS[2])], keys=key_ring(1))
    rotation = await rotate(pool, key_ring(1, 2)).run(settled=NOW)
    assert (rotation.resealed, dict(rotation.unreadable)) == (1, {3: 1})
    assert rotation.in_use == {2, 3}
    assert await opened(pool, key_ring(2), key_id=2) == {2: TOKENS[2]}


async def test_what_a_replica_seals_with_the_old_key_meanwhile_is_found(pool: Pool) -> None:
    """The walk that ends it begins after every replica has taken up the new key."""
    await filled(pool, keys=key_ring(1))
    clock, walked = ManualClock(NOW), asyncio.Event()
    rotation = asyncio.create_task(
        rotate(pool, key_ring(1, 2), clock).run(
            settled=NOW + timedelta(seconds=20), progress=lambda _: walked.set()
        )
    )
    await walked.wait()
    await register(pool, [registration(9, "09" * 32)], keys=key_ring(1))
    while not rotation.done():
        clock.advance(20)
        await asyncio.sleep(0)
    assert (await rotation).in_use == {2}
    assert await opened(pool, key_ring(2), key_id=2) == {**TOKENS, 9: "09" * 32}


async def test_a_token_that_changed_since_it_was_read_is_left(pool: Pool) -> None:
    await register(pool, [registration(1)], keys=key_ring(1))
    tokens, new = PostgresSealedTokens(pool), key_ring(1, 2)
    (read,) = await tokens.page(after=None, newest=2, limit=10)
    assert read.sealed is not None
    await register(pool, [registration(1, TOKENS[1])], keys=key_ring(1))
    bound = bound_to(APP, key(1))
    anew = new.seal_bytes(new.open(read.sealed, key_id=1, bound_to=bound), bound)
    assert await tokens.reseal([Resealed(APP, key(1), read.sealed, anew)], key_id=2) == 0
    assert await opened(pool, new, key_id=1) == {1: TOKENS[1]}


# --- the command ---------------------------------------------------------------------------------


async def rotate_keys(
    database: DatabaseSettings, folder: Path, *arguments: str
) -> tuple[int | None, dict[str, object], str]:
    """Exit code, report and what was written to stderr."""
    variables = {"DATABASE__DSN": dsn_of(database), "KEYS__FOLDER": str(folder)}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nuncio_registry", "rotate-keys", "--json", *arguments),
        env=os.environ
        | {f"NUNCIO_REGISTRY_{name}": value for name, value in variables.items()}
        | {"NUNCIO_REGISTRY_KEYS__RELOAD_INTERVAL": "PT1S"},
        stdout=PIPE,
        stderr=PIPE,
    )
    written, errors = await process.communicate()
    return process.returncode, json.loads(written or "{}"), errors.decode()


@pytest.mark.timeout(60)  # Programs take a while to start on a busy machine.
async def test_the_command_adds_a_key_seals_and_says_what_may_go(tmp_path: Path) -> None:
    make_missing_keys(tmp_path)
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        open_pool(database) as pool,
    ):
        await PostgresApps(pool).create(app())
        await filled(pool, keys=read_key_ring(tmp_path))
        code, report, errors = await rotate_keys(database, tmp_path, "--add", "--batch", "2")
        assert (code, report) == (
            0,
            {
                "newest": 2, "resealed": 7, "walks": 2, "tokens": 7, "unreadable": {},
                "removable": [1],
            },
        )  # fmt: skip
        assert "added seal-2.key" in errors
        (tmp_path / "seal-1.key").unlink()
        assert await opened(pool, read_key_ring(tmp_path), key_id=2) == TOKENS
        events = await pool.fetch("SELECT method, app_id, principal, details FROM audit_event")
        assert [(e["method"], e["app_id"], e["details"]) for e in events] == [
            ("rotate-keys", "", {"add": "true"})
        ]
        assert events[0]["principal"].startswith("os:")


@pytest.mark.timeout(60)
async def test_the_command_fails_when_some_tokens_keep_their_key(tmp_path: Path) -> None:
    (tmp_path / "lookup.key").write_bytes(base64.b64encode(bytes(32)))
    (tmp_path / "seal-2.key").write_bytes(base64.b64encode(bytes(32)))
    os.utime(tmp_path / "seal-2.key", (0, 0))
    assert newest_since(tmp_path).year == 1970
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        open_pool(database) as pool,
    ):
        await PostgresApps(pool).create(app())
        await filled(pool, keys=key_ring(1))
        code, report, errors = await rotate_keys(database, tmp_path)
        assert code == 1
        assert report["unreadable"] == {"1": 7}
        assert not any(token in errors for token in TOKENS.values())


@pytest.mark.timeout(60)
async def test_keys_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    async with fresh_database("nuncio_registry", "registry") as database:
        code, _, errors = await rotate_keys(database, tmp_path)
        assert code == 2
        assert "lookup.key" in errors
