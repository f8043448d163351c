"""Single registrations are written together, and each is answered for itself."""

import asyncio

import asyncpg

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.coalesce import Coalescer
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.model import Facts, Registration, RegistrationOutcome
from nuncio_registry.domain.ports.registration import Registered
from nuncio_registry.domain.register import Register
from nuncio_registry.domain.register_one import RegisterOne, WriteTogether
from nuncio_registry.domain.repeats import Repeats
from nuncio_registry.storage.apps import PostgresApps
from nuncio_registry.storage.connection import Pool
from nuncio_registry.storage.registration import PostgresRegistrations
from nuncio_runtime.clock import ManualClock
from nuncio_runtime.errors import InvalidField
from tests.unit.registry.builders import APP, NOW, key, key_ring, registration

# As many as there may be. See domain.limits.
MANY = {f"a{number}": True for number in range(100)}


def as_it_is(row: Registration) -> Registration:
    """What reads a row that needs no reading."""
    return row


async def register_at_once(pool: Pool, *rows: Registration) -> list[Registered | BaseException]:
    """Register rows of as many callers at the same time: they make one page."""
    clock = ManualClock(NOW)
    registrations, apps = PostgresRegistrations(pool), Apps(PostgresApps(pool), clock)
    keys, guard = key_ring(), EndpointGuard(hosts=())
    register = Register(registrations, apps, keys=keys, guard=guard, clock=clock)
    repeats = Repeats(registrations, apps, keys=keys, guard=guard, clock=clock)
    async with (
        Coalescer(WriteTogether(register), clock) as together,
        Coalescer(repeats.page, clock) as repeating,
    ):
        one = RegisterOne(register, together, repeating)
        return await asyncio.gather(
            *(one(APP, row, as_it_is) for row in rows), return_exceptions=True
        )


async def test_a_row_that_the_database_cannot_take_costs_its_neighbours_nothing(
    pool: Pool,
) -> None:
    poison = registration(2, facts=Facts(device_model="a\0b"))
    first, second, third = await register_at_once(pool, registration(1), poison, registration(3))
    assert isinstance(second, asyncpg.PostgresError)
    assert [first, third] == [(RegistrationOutcome.CREATED, NOW)] * 2
    stored = await pool.fetch("SELECT installation_id FROM installation ORDER BY 1")
    assert [row["installation_id"] for row in stored] == [key(1), key(3)]


async def test_a_row_that_breaks_a_rule_with_what_is_stored_is_refused_alone(pool: Pool) -> None:
    full = registration(1, facts=Facts(attributes=MANY))
    (created,) = await register_at_once(pool, full)
    assert isinstance(created, Registered)
    more = full._replace(facts=Facts(attributes={"one_more": True}))
    refused, other = await register_at_once(pool, more, registration(2))
    assert isinstance(refused, InvalidField)
    assert refused.violations[0].field.startswith("registration.facts.attributes")
    assert other == (RegistrationOutcome.CREATED, NOW)
