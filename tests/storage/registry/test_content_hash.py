"""Who changes what a registration tells takes the hash of its content away."""

import re
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

import nuncio_registry.storage as storage
from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentState,
    FactsChange,
    Touch,
)
from nuncio_registry.domain.ports.lifecycle import Window
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from nuncio_runtime.postgres import parse_queries
from tests.storage.registry.registering import register
from tests.storage.registry.repeating import (
    HOUR,
    LATER,
    OTHER_HASH,
    die,
    moved,
    repeat,
    reseal,
    rows,
    told,
)
from tests.unit.registry.builders import APP, NOW, hex_token, key, key_ring, registration


async def update(pool: Pool) -> None:
    change = FactsChange(add_tags=("x",))
    assert await PostgresInstallations(pool).update(APP, key(1), change, now=NOW)


async def remove(pool: Pool) -> None:
    change = FactsChange(remove_attributes=("c",))
    assert await PostgresInstallations(pool).update(APP, key(1), change, now=NOW)


async def identify(pool: Pool) -> None:
    assert await PostgresInstallations(pool).set_user(APP, key(1), "eve", now=NOW) == "ada"


async def forget(pool: Pool) -> None:
    assert await PostgresInstallations(pool).set_user(APP, key(1), "", now=NOW) == "ada"


async def merge(pool: Pool) -> None:
    merged = await PostgresInstallations(pool).merge_users(
        APP, from_user="ada", into_user="eve", limit=9, now=NOW
    )
    assert merged == 1


async def deny(pool: Pool) -> None:
    changes = (ConsentChange("news", ConsentState.DENIED),)
    assert await PostgresInstallations(pool).set_consent(APP, key(1), changes=changes, now=NOW)


@pytest.mark.parametrize("change", [update, remove, identify, forget, merge, deny])
async def test_who_changes_what_a_registration_tells_takes_the_hash_away(
    pool: Pool, change: Callable[[Pool], Awaitable[None]]
) -> None:
    await register(pool, [told(1)])
    await change(pool)
    assert (await rows(pool))[1]["content_hash"] is None
    assert await moved(pool, repeat(1)) == {}


async def test_another_registration_puts_its_own_hash_in_the_place(pool: Pool) -> None:
    token = hex_token()
    await register(pool, [told(1, token)])
    await register(pool, [told(1, token)._replace(content_hash=OTHER_HASH)])
    assert await moved(pool, repeat(1)) == {}
    assert await moved(pool, repeat(1, OTHER_HASH)) == {0: LATER}
    await register(pool, [registration(1, token)])
    assert await moved(pool, repeat(1, OTHER_HASH)) == {}


async def test_a_stale_registration_leaves_the_hash(pool: Pool) -> None:
    await register(pool, [told(1)])
    late = told(1, observed_at=NOW - HOUR)._replace(content_hash=OTHER_HASH)
    await register(pool, [late], now=LATER)
    assert await moved(pool, repeat(1)) == {0: LATER}


async def touch(pool: Pool) -> None:
    assert await PostgresInstallations(pool).touch(APP, [Touch(key(1), LATER, LATER)])


async def die_and_live_again(pool: Pool) -> None:
    await die(pool)
    window = Window(NOW, LATER)
    await PostgresLifecycle(pool).restore(APP, window, after=None, limit=9, now=NOW, dry_run=False)


@pytest.mark.parametrize("change", [touch, die_and_live_again])
async def test_times_and_states_are_no_content(
    pool: Pool, change: Callable[[Pool], Awaitable[None]]
) -> None:
    await register(pool, [told(1)])
    await change(pool)
    assert await moved(pool, repeat(1)) == {0: LATER}


async def test_a_token_that_was_sealed_anew_is_still_the_same(pool: Pool) -> None:
    await register(pool, [told(1)])
    await reseal(pool)
    assert await moved(pool, repeat(1), key_id=2) == {0: LATER}
    # And what a new key seals at a registration is the same content, too.
    token = hex_token()
    await register(pool, [told(2, token)])
    await register(pool, [told(2, token)], keys=key_ring(1, 2))
    assert await moved(pool, repeat(2), key_id=2) == {0: LATER}


# What a registration does not tell, or what its times tell; all else is in its content. The key
# is asked for by itself.
UNTOLD = {
    "token_state", "token_state_reason", "token_sealed", "token_key_id", "registered_at",
    "token_changed_at", "observed_at", "created_at", "last_seen_at", "last_opened_at", "died_at",
    "content_hash", "app_version_parts", "os_version_parts", "identified_at", "facts_updated_at",
    "consents_set_at",
}  # fmt: skip
TOLD_BY_KEY = {"app_id", "installation_id"}
FOLDER = Path(storage.__path__[0])
SETTING = re.compile(
    r"(?:UPDATE installation\b(?: AS \w+)?|INSERT INTO installation\b.*?DO UPDATE)\s+SET\b(.*)",
    re.DOTALL,
)
END = re.compile(r"(?<!DISTINCT )\b(?:FROM|WHERE|RETURNING)\b")


def columns_set(statement: str) -> list[set[str]]:
    """The columns that each update of installations in the statement sets."""
    statement = re.sub(r"--[^\n]*", "", statement)
    found = []
    while (setting := SETTING.search(statement)) is not None:
        statement = setting[1]
        flat, before = statement, ""
        while flat != before:  # What is in brackets sets nothing.
            flat, before = re.sub(r"\([^()]*\)", "", flat), flat
        assignments = END.split(flat, maxsplit=1)[0].split(",")
        found.append({assignment.partition("=")[0].strip() for assignment in assignments})
    return found


def updates() -> dict[str, list[set[str]]]:
    files = [path for path in FOLDER.glob("*.sql") if path.stem != "schema"]
    queries = [parse_queries(path.read_text(encoding="utf-8")) for path in files]
    found = {name: columns_set(getattr(named, name)) for named in queries for name in named}
    return {name: sets for name, sets in found.items() if sets}


async def test_each_statement_that_changes_what_is_told_changes_the_hash(pool: Pool) -> None:
    query = "SELECT column_name FROM information_schema.columns WHERE table_name = 'installation'"
    columns = {row["column_name"] for row in await pool.fetch(query)}
    assert columns > UNTOLD | TOLD_BY_KEY
    told_columns = columns - UNTOLD - TOLD_BY_KEY
    found = updates()
    # It finds what is there, and reads it rightly.
    assert {sum(map(len, sets)) > 0 for sets in found.values()} == {True}
    assert all(set_ <= columns for sets in found.values() for set_ in sets), found
    changing = {name for name, sets in found.items() if any(set_ & told_columns for set_ in sets)}
    assert changing == {
        "write_installations", "update_installation", "set_user", "merge_users", "set_consents",
    }  # fmt: skip
    assert {"move_times_on", "replace_owners", "touch_installations"} <= found.keys() - changing
    for name in changing:
        assert all("content_hash" in set_ for set_ in found[name] if set_ & told_columns), name
