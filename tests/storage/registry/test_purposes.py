"""How many purposes an installation may have, on PostgreSQL."""

import asyncio

import pytest

from nuncio_registry.domain.limits import MAX_PURPOSES, PURPOSES_RULE
from nuncio_registry.domain.model import ConsentChange, ConsentState
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.installations import PostgresInstallations
from nuncio_runtime.errors import FieldViolation, InvalidField
from tests.storage.registry.registering import register
from tests.unit.registry.builders import APP, NOW, hex_token, key, registration

GRANTED, DENIED = ConsentState
PAGE = 20


def told(*numbers: int, state: ConsentState = GRANTED) -> list[ConsentChange]:
    return [ConsentChange(f"p{number:04}", state) for number in numbers]


async def ask(pool: Pool, installations: PostgresInstallations, count: int, token: str) -> None:
    """An installation that has said something to so many purposes, every second time no."""
    await register(pool, [registration(1, token)])
    changes = [
        ConsentChange(change.purpose, GRANTED if number % 2 else DENIED)
        for number, change in enumerate(told(*range(count)))
    ]
    for start in range(0, count, PAGE):
        page = changes[start : start + PAGE]
        await installations.set_consent(APP, key(1), changes=page, now=NOW)


async def history(pool: Pool) -> tuple[int, int]:
    return (
        await pool.fetchval("SELECT count(*) FROM consent_event"),
        await pool.fetchval("SELECT count(*) FROM change"),
    )


async def test_set_consent_adds_up_to_the_limit_and_not_beyond(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await ask(pool, installations, MAX_PURPOSES, hex_token())
    before = await installations.get(APP, key(1)), await history(pool)
    for changes in (told(9999), told(0, 1, 9999, state=DENIED)):
        with pytest.raises(InvalidField) as refused:
            await installations.set_consent(APP, key(1), changes=changes, now=NOW)
        assert refused.value.violations == (FieldViolation("changes", PURPOSES_RULE),)
    assert (await installations.get(APP, key(1)), await history(pool)) == before


async def test_what_is_there_changes_even_beyond_the_limit(
    pool: Pool, installations: PostgresInstallations
) -> None:
    """As in an installation from before there was a limit."""
    token = hex_token()
    await ask(pool, installations, 0, token)
    many = [change.purpose for change in told(*range(3 * MAX_PURPOSES))]
    await pool.execute("UPDATE installation SET consents_granted = $1", many)
    refused = told(0, 1, state=DENIED)
    consents = await installations.set_consent(APP, key(1), changes=refused, now=NOW)
    assert consents is not None
    assert (len(consents), consents["p0001"]) == (len(many), DENIED)
    await register(pool, [registration(1, token, consents=tuple(told(2, state=DENIED)))])
    stored = await installations.get(APP, key(1))
    assert stored is not None
    assert (len(stored.consents), stored.consents["p0002"]) == (len(many), DENIED)
    for changes in (told(9999), told(0, 9999)):
        with pytest.raises(InvalidField):
            await installations.set_consent(APP, key(1), changes=changes, now=NOW)


async def test_registrations_add_up_to_the_limit_and_not_beyond(
    pool: Pool, installations: PostgresInstallations
) -> None:
    """Granted and denied ones of what is stored count, too."""
    token = hex_token()
    await ask(pool, installations, MAX_PURPOSES - 1, token)
    await register(pool, [registration(1, token, consents=tuple(told(9999)))])
    before = await history(pool)
    with pytest.raises(AssertionError):  # the row is refused
        await register(pool, [registration(1, token, consents=tuple(told(0, 9998)))])
    assert await history(pool) == before
    # What is there changes, and rows without consents are none the worse.
    await register(pool, [registration(1, token, consents=tuple(told(0, 9999, state=DENIED)))])
    await register(pool, [registration(1, hex_token())])
    stored = await installations.get(APP, key(1))
    assert stored is not None
    assert (len(stored.consents), stored.consents["p9999"]) == (MAX_PURPOSES, DENIED)


async def test_calls_at_the_same_time_do_not_pass_the_limit_together(
    pool: Pool, installations: PostgresInstallations
) -> None:
    await ask(pool, installations, MAX_PURPOSES - 1, hex_token())
    calls = (
        installations.set_consent(APP, key(1), changes=told(number), now=NOW)
        for number in range(9_000, 9_008)
    )
    answers = await asyncio.gather(*calls, return_exceptions=True)
    assert sum(isinstance(answer, InvalidField) for answer in answers) == len(answers) - 1
    stored = await installations.get(APP, key(1))
    assert stored is not None
    assert len(stored.consents) == MAX_PURPOSES
