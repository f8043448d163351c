"""Single registrations are written together, and each is answered for itself."""

import asyncio
from contextlib import AbstractAsyncContextManager
from functools import partial
from typing import NamedTuple

import asyncpg
import pytest

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.coalesce import Again
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.errors import AppNotFound
from nuncio_registry.domain.model import Facts, Registration, RegistrationOutcome
from nuncio_registry.domain.ports.registration import Registered
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.register_one import (
    RegisterOne,
    Row,
    SettleTogether,
    Unread,
    WriteTogether,
    open_register_one,
)
from nuncio_registry.domain.repeats import Repeats
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.errors import FieldViolation, InvalidField
from tests.storage.registry.creating import until_somebody_waits
from tests.storage.registry.repeating import OTHER_HASH, repeat, told
from tests.unit.registry.builders import APP, NOW, hex_token, key, key_ring, registration

CREATED, REFRESHED, *_ = RegistrationOutcome
TOKEN = hex_token()

# As many as there may be. See domain.limits.
MANY = {f"a{number}": True for number in range(100)}


def as_it_is(row: Registration) -> Registration:
    """What reads a row that needs no reading."""
    return row


class Registering(NamedTuple):
    """What writes the pages."""

    together: WriteTogether
    settling: SettleTogether


def parts(pool: Pool) -> tuple[Register, Repeats, ManualClock]:
    clock = ManualClock(NOW)
    registrations, apps = PostgresRegistrations(pool), Apps(PostgresApps(pool), clock)
    keys, guard = key_ring(), EndpointGuard(hosts=())
    register = Register(registrations, apps, keys=keys, guard=guard, clock=clock)
    return register, Repeats(registrations, apps, keys=keys, guard=guard, clock=clock), clock


def registering(pool: Pool) -> Registering:
    register, repeats, _ = parts(pool)
    return Registering(WriteTogether(register, repeats), SettleTogether(register))


def register_one(pool: Pool) -> AbstractAsyncContextManager[RegisterOne]:
    register, repeats, clock = parts(pool)
    return open_register_one(register, repeats, clock)


async def register_at_once(
    pool: Pool, *rows: Registration, app_id: str = APP
) -> list[Registered | BaseException]:
    """Register rows of as many callers at the same time: they make one page."""
    async with register_one(pool) as one:
        return await asyncio.gather(
            *(one(app_id, None, partial(one.read, row, as_it_is)) for row in rows),
            return_exceptions=True,
        )


async def test_a_row_that_the_database_cannot_take_costs_its_neighbours_nothing(
    pool: Pool,
) -> None:
    poison = registration(2, facts=Facts(device_model="a\0b"))
    first, second, third = await register_at_once(pool, registration(1), poison, registration(3))
    assert isinstance(second, asyncpg.PostgresError)
    assert [first, third] == [(CREATED, NOW)] * 2
    stored = await pool.fetch("SELECT installation_id FROM installation ORDER BY 1")
    assert [row["installation_id"] for row in stored] == [key(1), key(3)]


async def test_nor_does_it_cost_those_something_that_only_repeat(pool: Pool) -> None:
    write = registering(pool).together
    await write(APP, [told(1)])
    poison = registration(2, facts=Facts(device_model="a\0b"))
    rows: list[Row] = [poison, Unread(repeat(1), Reading(1)), told(3)]
    error, *others = await write(APP, rows)
    assert isinstance(error, asyncpg.PostgresError)
    assert others == [(REFRESHED, NOW), (CREATED, NOW)]


async def test_what_the_database_cannot_take_is_alone_when_it_is_settled_too(pool: Pool) -> None:
    settle = registering(pool).settling
    poison = registration(2, facts=Facts(device_model="a\0b"))
    error, *others = await settle(APP, [poison, registration(3)])
    assert isinstance(error, asyncpg.PostgresError)
    assert others == [(CREATED, NOW)]


async def test_a_row_that_breaks_a_rule_with_what_is_stored_is_refused_alone(pool: Pool) -> None:
    full = registration(1, facts=Facts(attributes=MANY))
    (created,) = await register_at_once(pool, full)
    assert isinstance(created, Registered)
    more = full._replace(facts=Facts(attributes={"one_more": True}))
    refused, other = await register_at_once(pool, more, registration(2))
    assert isinstance(refused, InvalidField)
    assert refused.violations[0].field.startswith("registration.facts.attributes")
    assert other == (CREATED, NOW)


class Reading:
    """Reads the row with a number, and says how often it was asked."""

    def __init__(self, number: int, error: InvalidField | None = None) -> None:
        self.times = 0
        self._number = number
        self._error = error

    def __call__(self) -> Registration:
        self.times += 1
        if self._error is not None:
            raise self._error
        return told(self._number, TOKEN)


@pytest.mark.parametrize("beside", [[], [told(9)]])
async def test_each_row_of_a_page_is_answered_in_its_place(
    pool: Pool, beside: list[Registration]
) -> None:
    """Whether first registrations are beside those that may be repeats or not."""
    write = registering(pool).together
    assert await write(APP, [told(1), told(2)]) == [(CREATED, NOW)] * 2
    refused = InvalidField(FieldViolation("registration.platform", "must be another one"))
    reading = [Reading(1), Reading(3), Reading(4, refused), Reading(2)]
    unread = [
        Unread(repeat(number), read) for number, read in zip((1, 3, 4, 2), reading, strict=True)
    ]
    rows: list[Row] = [unread[0], unread[1], *beside, unread[2], unread[3]]
    created = [(CREATED, NOW)] * len(beside)
    assert await write(APP, rows) == [
        (REFRESHED, NOW), Again(told(3, TOKEN)), *created, refused, (REFRESHED, NOW),
    ]  # fmt: skip
    assert [read.times for read in reading] == [0, 1, 1, 0]


async def test_who_only_repeats_does_not_wait_for_a_row_that_is_settled(pool: Pool) -> None:
    await registering(pool).together(APP, [told(1), told(2)])
    changed = told(2, TOKEN, user_id="eve")._replace(content_hash=OTHER_HASH)
    async with register_one(pool) as one, pool.acquire() as other, asyncio.TaskGroup() as group:
        await other.execute("BEGIN")
        await other.execute(
            "SELECT FROM installation WHERE installation_id = $1 FOR UPDATE", key(2)
        )
        waiting = group.create_task(one(APP, repeat(2, OTHER_HASH), lambda: changed))
        await until_somebody_waits(other)
        for _ in range(3):
            assert await one(APP, repeat(1), Reading(1)) == (REFRESHED, NOW)
        assert not waiting.done()
        await other.execute("COMMIT")
        assert await waiting == (RegistrationOutcome.ROTATED, NOW)


async def test_leaving_waits_for_rows_that_go_on_from_page_to_page(pool: Pool) -> None:
    await registering(pool).together(APP, [told(1), told(2)])
    changed = [told(number, hex_token(), user_id="eve") for number in (1, 2)]
    async with register_one(pool) as one:
        callers = [asyncio.create_task(one(APP, None, partial(as_it_is, row))) for row in changed]
        await asyncio.sleep(0)  # They have come, and nothing is written yet.
    assert [caller.result() for caller in callers] == [(RegistrationOutcome.ROTATED, NOW)] * 2


async def test_whoever_comes_is_served_while_a_large_page_is_read(pool: Pool) -> None:
    write, served = registering(pool).together, 0

    async def serve() -> None:
        nonlocal served
        while True:
            await asyncio.sleep(0)
            served += 1

    rows: list[Row] = [Unread(repeat(number), Reading(number)) for number in range(500)]
    serving = asyncio.create_task(serve())
    await write("nobody", rows)
    serving.cancel()
    assert served >= 4


async def test_of_an_unknown_app_a_bad_row_is_bad_and_a_good_one_is_told(pool: Pool) -> None:
    write = registering(pool).together
    refused = InvalidField(FieldViolation("registration.platform", "must be another one"))
    rows: list[Row] = [
        Unread(repeat(1), Reading(1, refused)),
        told(2),
        Unread(repeat(3), Reading(3)),
    ]
    bad, good, unread = await write("nobody", rows)
    assert bad is refused
    assert isinstance(good, AppNotFound)
    assert unread == Again(told(3, TOKEN))


def test_what_waits_prints_no_token_and_no_user() -> None:
    row = told(1, TOKEN)
    printed = repr(Unread(repeat(1), partial(as_it_is, row)))
    assert TOKEN not in printed
    assert "ada" not in printed
    assert str(key(1)) in printed
