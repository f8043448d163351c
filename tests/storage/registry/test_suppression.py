"""The rule of who may be reached has one place in SQL, which costs no call."""

from datetime import timedelta
from pathlib import Path

import pytest

import nuncio_registry.storage as storage
from nuncio_registry.domain.keys import FIRST_KEY, LAST_KEY
from nuncio_registry.domain.model import Permission, Platform, TokenState
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.counting import Q as COUNTING
from nuncio_registry.storage.installations import Q as INSTALLATIONS
from nuncio_registry.storage.looking import Looking
from nuncio_registry.storage.selection import Q as SELECTION
from tests.unit.registry.builders import APP, NOW, key

FOLDER = Path(storage.__path__[0])
ACTIVE, DEAD = TokenState.ACTIVE, TokenState.INVALID
GRANTED, DENIED, ASKED = Permission.GRANTED, Permission.DENIED, Permission.UNDETERMINED
IOS, ANDROID = Platform.IOS, Platform.ANDROID
STALE_BEFORE = NOW - timedelta(days=30)
OLD = STALE_BEFORE - timedelta(microseconds=1)


@pytest.mark.parametrize(
    ("state", "permission", "platform", "seen", "purpose", "reason"),
    [
        (ACTIVE, GRANTED, IOS, NOW, "", 0),
        (ACTIVE, Permission.PROVISIONAL, IOS, STALE_BEFORE, "news", 0),
        (DEAD, DENIED, IOS, OLD, "tips", 2),
        (ACTIVE, DENIED, ANDROID, OLD, "tips", 3),
        (ACTIVE, ASKED, IOS, NOW, "", 3),
        (ACTIVE, ASKED, ANDROID, NOW, "", 0),
        (ACTIVE, GRANTED, IOS, OLD, "tips", 4),
        (ACTIVE, GRANTED, IOS, OLD, "news", 5),
        (ACTIVE, GRANTED, IOS, OLD, "", 5),
    ],
)
async def test_the_first_reason_counts(
    pool: Pool,
    state: TokenState,
    permission: Permission,
    platform: Platform,
    seen: object,
    purpose: str,
    reason: int,
) -> None:
    given = (state, permission, platform, ["news"], seen, purpose, STALE_BEFORE)
    assert await pool.fetchval("SELECT suppression($1, $2, $3, $4, $5, $6, $7)", *given) == reason


async def test_the_planner_puts_the_rule_in_the_place_of_each_call(pool: Pool) -> None:
    part, ids = (APP, FIRST_KEY, LAST_KEY, "", NOW), (APP, [key(1)], "", NOW)
    for query, *arguments in (
        (SELECTION.scan_targets, *part, 10, 20),
        (SELECTION.targets_among, *ids),
        (COUNTING.count_targets, *part),
        (COUNTING.count_among, *ids),
        (INSTALLATIONS.reachability, APP, ["ada"], "", NOW),
    ):
        assert "suppression(" in query
        async with Looking(pool).planned() as connection:
            lines = await connection.fetch(f"EXPLAIN (VERBOSE) {query}", *arguments)
        plan = "\n".join(line[0] for line in lines)
        assert "CASE WHEN" in plan
        assert "suppression(" not in plan


def test_no_statement_has_a_rule_of_its_own() -> None:
    for file in FOLDER.glob("*.sql"):
        if file.stem != "schema":
            assert "<> ALL (i.consents_granted)" not in file.read_text(encoding="utf-8"), file
