"""The contract of Lifecycle, on PostgreSQL: tokens die, and come back."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

import pytest

from nuncio_registry.domain.model import (
    ChangeKind,
    DeadToken,
    InvalidationOutcome,
    Registration,
    TokenState,
)
from nuncio_registry.domain.ports.lifecycle import Batch, Mark, RestoreOutcome, Window
from nuncio_registry.domain.sealing import TOKEN_REF_BYTES
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_registry.storage.lifecycle import PostgresLifecycle
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, hex_token, key, key_ring, registration

INVALIDATED, KEPT_NEWER, KEPT_OTHER_TOKEN, ALREADY_DEAD, UNKNOWN = InvalidationOutcome
RESTORED, REGISTERED_AGAIN, OWNED_BY_ANOTHER, GONE = RestoreOutcome
SECOND = timedelta(seconds=1)
LATER = NOW + timedelta(minutes=1)
MUCH_LATER = NOW + timedelta(hours=1)


def dead(row: Registration, **fields: Any) -> DeadToken:
    """The token of a row, called dead now; fields replace what is said of it."""
    token_ref = key_ring().hash(row.provider, row.token)[:TOKEN_REF_BYTES]
    plain = DeadToken(row.installation_id, token_ref, NOW, "Unregistered")
    return plain._replace(**fields)


class Tokens:
    """Tokens of the app, as tests make, kill and restore them."""

    def __init__(self, pool: Pool) -> None:
        self.pool = pool
        self.port = PostgresLifecycle(pool)

    async def die(
        self, *reports: DeadToken, now: datetime = LATER
    ) -> Sequence[InvalidationOutcome]:
        return await self.port.invalidate(APP, reports, now=now)

    async def restore(
        self,
        *,
        after: Mark | None = None,
        limit: int = 100,
        dry_run: bool = False,
        now: datetime = MUCH_LATER,
        **window: Any,
    ) -> Batch:
        """By default all that died."""
        wanted = Window(**{"start": NOW, "end": MUCH_LATER, **window})
        return await self.port.restore(
            APP, wanted, after=after, limit=limit, now=now, dry_run=dry_run
        )

    async def state(self, number: int) -> tuple[TokenState, str]:
        """The state of an installation's token, and the reason."""
        stored = await PostgresInstallations(self.pool).get(APP, key(number))
        assert stored is not None
        return stored.token_state, stored.token_state_reason

    async def owners(self) -> set[int]:
        """The installations that own a token; they are those that are ACTIVE."""
        rows = await self.pool.fetch("SELECT installation_id FROM live_token")
        active = await self.pool.fetch(
            "SELECT installation_id FROM installation WHERE token_state = 1"
        )
        owners = sorted(row["installation_id"].int for row in rows)
        assert owners == sorted(row["installation_id"].int for row in active)
        return set(owners)

    async def feed(self, kind: ChangeKind) -> list[tuple[int, str]]:
        """The installations of the feed's changes of a kind, in order, with their details."""
        rows = await self.pool.fetch(
            "SELECT installation_id, detail FROM change WHERE kind = $1 ORDER BY change_id", kind
        )
        return [(row["installation_id"].int, row["detail"]) for row in rows]


@pytest.fixture
def tokens(pool: Pool) -> Tokens:
    return Tokens(pool)


async def test_a_dead_token_has_no_owner_and_is_in_the_feed(pool: Pool, tokens: Tokens) -> None:
    rows = [registration(1), registration(2)]
    await register(pool, rows)
    assert await tokens.die(dead(rows[0], lane="apns/shop/production", campaign="spring")) == [
        INVALIDATED
    ]
    assert await tokens.state(1) == (TokenState.INVALID, "Unregistered")
    assert await tokens.owners() == {2}
    assert await tokens.feed(ChangeKind.INVALIDATED) == [(1, "Unregistered")]
    recorded = await pool.fetchrow(
        "SELECT dead_since, invalidated_at, restored_at, reason, lane, campaign FROM invalidation"
    )
    expected = (NOW, LATER, None, "Unregistered", "apns/shop/production", "spring")
    assert tuple(recorded or ()) == expected


async def test_a_page_does_to_a_token_what_its_reports_would_do_one_by_one(
    pool: Pool, tokens: Tokens
) -> None:
    row = registration(1)
    await register(pool, [row])
    early, late = dead(row, dead_since=NOW - SECOND), dead(row)
    other = dead(registration(1))
    outcomes = await tokens.die(early, other, late, early, late, other, dead(registration(7)))
    assert outcomes == [
        KEPT_NEWER,
        KEPT_OTHER_TOKEN,
        INVALIDATED,
        ALREADY_DEAD,
        ALREADY_DEAD,
        KEPT_OTHER_TOKEN,
        UNKNOWN,
    ]
    assert await tokens.feed(ChangeKind.INVALIDATED) == [(1, "Unregistered")]


async def test_what_was_seen_before_its_death_dies_however_late_it_came_in(
    pool: Pool, tokens: Tokens
) -> None:
    imported = registration(1, observed_at=NOW - timedelta(days=30))
    await register(pool, [imported])
    assert await tokens.die(dead(imported, dead_since=NOW - timedelta(days=1))) == [INVALIDATED]


async def test_what_was_seen_after_its_death_survives(pool: Pool, tokens: Tokens) -> None:
    told = registration(1, observed_at=NOW - timedelta(days=1) + SECOND)
    untold = registration(2)
    await register(pool, [told, untold])
    died = NOW - timedelta(days=1)
    reports = (dead(told, dead_since=died), dead(untold, dead_since=NOW - SECOND))
    assert await tokens.die(*reports) == [KEPT_NEWER, KEPT_NEWER]
    assert await tokens.owners() == {1, 2}


async def test_crossing_pages_of_reports_settle(pool: Pool, tokens: Tokens) -> None:
    rows = [registration(number) for number in range(1, 101)]
    await register(pool, rows)
    reports = [dead(row) for row in rows]
    pages = await asyncio.gather(
        *(tokens.die(*(reports if turn % 2 else reports[::-1])) for turn in range(8))
    )
    assert Counter(outcome for page in pages for outcome in page) == {
        INVALIDATED: 100,
        ALREADY_DEAD: 700,
    }
    assert len(await tokens.feed(ChangeKind.INVALIDATED)) == 100


async def test_a_restored_token_is_as_before_its_death(pool: Pool, tokens: Tokens) -> None:
    rows = [registration(1), registration(2)]
    await register(pool, rows)
    await tokens.die(*map(dead, rows))
    assert await tokens.restore() == Batch([RESTORED, RESTORED], None)
    assert await tokens.state(1) == (TokenState.ACTIVE, "")
    assert await tokens.owners() == {1, 2}
    assert sorted(await tokens.feed(ChangeKind.RESTORED)) == [(1, ""), (2, "")]
    died = await pool.fetch("SELECT died_at FROM installation")
    assert [row["died_at"] for row in died] == [None, None]


async def test_restoring_twice_restores_once(pool: Pool, tokens: Tokens) -> None:
    row = registration(1)
    await register(pool, [row])
    await tokens.die(dead(row))
    assert (await tokens.restore()).outcomes == [RESTORED]
    assert (await tokens.restore()).outcomes == [REGISTERED_AGAIN]
    assert len(await tokens.feed(ChangeKind.RESTORED)) == 1


async def test_a_death_that_an_older_release_did_not_record_stays(
    pool: Pool, tokens: Tokens
) -> None:
    row = registration(1)
    await register(pool, [row])
    await tokens.die(dead(row))
    await tokens.restore()
    await pool.execute("DELETE FROM live_token")
    await pool.execute(
        "UPDATE installation"
        " SET token_state = 2, token_state_reason = 'Unregistered', died_at = $1",
        NOW,
    )
    assert (await tokens.restore()).outcomes == [REGISTERED_AGAIN]
    assert await tokens.owners() == set()


async def test_a_dry_run_changes_nothing(pool: Pool, tokens: Tokens) -> None:
    row = registration(1)
    await register(pool, [row])
    await tokens.die(dead(row))
    for _ in range(2):
        assert (await tokens.restore(dry_run=True)).outcomes == [RESTORED]
    assert await tokens.state(1) == (TokenState.INVALID, "Unregistered")
    assert await tokens.owners() == set()
    assert await tokens.feed(ChangeKind.RESTORED) == []


@pytest.mark.parametrize(
    ("window", "expected"),
    [
        ({}, {1, 2, 3}),
        ({"reasons": ("Unregistered",)}, {1}),
        ({"reasons": ("Unregistered", "UNREGISTERED")}, {1, 2}),
        ({"lane": "fcm/shop/production"}, {2}),
        ({"campaign": "spring"}, {1, 3}),
        ({"campaign": "spring", "reasons": ("Gone",)}, {3}),
        ({"start": LATER + SECOND}, {2, 3}),
        ({"end": LATER + SECOND}, {1}),
        ({"start": LATER + SECOND, "end": LATER + 2 * SECOND}, {2}),
        ({"lane": "nowhere"}, set()),
    ],
)
async def test_only_what_was_asked_for_is_restored(
    pool: Pool, tokens: Tokens, window: dict[str, Any], expected: set[int]
) -> None:
    rows = [registration(number) for number in (1, 2, 3)]
    await register(pool, rows)
    await tokens.die(dead(rows[0], lane="apns/shop/production", campaign="spring"))
    said: dict[str, Any] = {"reason": "UNREGISTERED", "lane": "fcm/shop/production"}
    await tokens.die(dead(rows[1], **said), now=LATER + SECOND)
    await tokens.die(dead(rows[2], reason="Gone", campaign="spring"), now=LATER + 2 * SECOND)
    assert len((await tokens.restore(**window)).outcomes) == len(expected)
    assert await tokens.owners() == expected


async def test_whoever_registered_again_since_is_left_alone(pool: Pool, tokens: Tokens) -> None:
    same, rotated = registration(1), registration(2)
    await register(pool, [same, rotated])
    await tokens.die(dead(same), dead(rotated))
    await register(pool, [same, registration(2)], now=LATER + SECOND)
    assert (await tokens.restore()).outcomes == [REGISTERED_AGAIN, REGISTERED_AGAIN]
    assert await tokens.owners() == {1, 2}
    assert await tokens.feed(ChangeKind.RESTORED) == [(1, "")]  # By its registration.


async def test_a_later_death_is_not_taken_back_with_an_earlier_one(
    pool: Pool, tokens: Tokens
) -> None:
    # The second death has the first one's time and reason: an import had brought the token back.
    row = registration(1, observed_at=NOW - timedelta(days=1))
    await register(pool, [row])
    await tokens.die(dead(row, campaign="spring"))
    await register(pool, [row], now=LATER + SECOND)
    await tokens.die(dead(row, campaign="summer"), now=LATER + 2 * SECOND)
    assert (await tokens.restore(campaign="spring")).outcomes == [REGISTERED_AGAIN]
    assert await tokens.state(1) == (TokenState.INVALID, "Unregistered")
    assert (await tokens.restore()).outcomes == [RESTORED, REGISTERED_AGAIN]


async def test_a_token_that_lives_elsewhere_stays_there(pool: Pool, tokens: Tokens) -> None:
    token = hex_token()
    first = registration(1, token)
    await register(pool, [first])
    await tokens.die(dead(first))
    await register(pool, [registration(2, token)], now=LATER + SECOND)
    assert (await tokens.restore(dry_run=True)).outcomes == [OWNED_BY_ANOTHER]
    assert (await tokens.restore()).outcomes == [OWNED_BY_ANOTHER]
    assert await tokens.owners() == {2}


async def test_of_two_that_had_the_token_the_later_one_gets_it(pool: Pool, tokens: Tokens) -> None:
    token = hex_token()
    first, second = registration(2, token), registration(1, token)
    await register(pool, [first])
    await tokens.die(dead(first))
    await register(pool, [second], now=LATER + SECOND)
    await tokens.die(dead(second, dead_since=LATER + SECOND), now=LATER + 2 * SECOND)
    assert (await tokens.restore()).outcomes == [RESTORED, OWNED_BY_ANOTHER]
    assert await tokens.owners() == {1}
    assert (await tokens.restore()).outcomes == [REGISTERED_AGAIN, OWNED_BY_ANOTHER]


async def test_what_is_gone_is_counted_as_gone(pool: Pool, tokens: Tokens) -> None:
    row = registration(1)
    await register(pool, [row])
    await tokens.die(dead(row))
    await pool.execute("DELETE FROM installation")
    assert (await tokens.restore()).outcomes == [GONE]
    assert await tokens.owners() == set()


async def test_batches_neither_skip_nor_repeat(pool: Pool, tokens: Tokens) -> None:
    rows = [registration(number) for number in range(1, 11)]
    await register(pool, rows)
    for number, row in enumerate(rows):
        await tokens.die(dead(row), now=LATER + number // 4 * SECOND)
    outcomes: list[RestoreOutcome] = []
    mark: Mark | None = None
    for size in (3, 3, 3, 1, 0):
        batch = await tokens.restore(after=mark, limit=3)
        assert len(batch.outcomes) == size
        outcomes += batch.outcomes
        mark = batch.mark
        if mark is None:
            break
    assert outcomes == [RESTORED] * 10
    assert await tokens.owners() == set(range(1, 11))


async def test_restoring_and_registering_at_the_same_time_settle(
    pool: Pool, tokens: Tokens
) -> None:
    shared = [hex_token() for _ in range(60)]
    rows = [registration(number, token) for number, token in enumerate(shared, start=1)]
    movers = [registration(1000 + number, token) for number, token in enumerate(shared)]
    await register(pool, rows)
    await tokens.die(*map(dead, rows))
    await asyncio.gather(
        *(tokens.restore(limit=25) for _ in range(3)),
        *(register(pool, rows[at::4][::-1], now=MUCH_LATER) for at in range(4)),
        *(register(pool, movers[at::2], now=MUCH_LATER) for at in range(2)),
        *(tokens.die(*map(dead, rows[::-1])) for _ in range(3)),
    )
    owners = await tokens.owners()
    hashes = await pool.fetch("SELECT token_hash FROM installation WHERE token_state = 1")
    assert len({row["token_hash"] for row in hashes}) == len(hashes) == len(owners) == 60
