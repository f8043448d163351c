"""What registering decides, row by row and for whole pages."""

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nuncio_registry.domain.decide import decide
from nuncio_registry.domain.limits import TOO_MANY_ATTRIBUTES
from nuncio_registry.domain.model import (
    Environment,
    Facts,
    Registration,
    RegistrationOutcome,
    TokenState,
    Value,
)
from nuncio_registry.domain.ports.registration import Known, Plan, Registered, Round
from tests.unit.registry.builders import NOW, key, key_ring, registration

KEYS = key_ring()
CREATED, REFRESHED, ROTATED, REASSIGNED, STALE = RegistrationOutcome
EARLIER = NOW - timedelta(days=1)


def plan_for(rows: list[Registration], known: list[Known], now: datetime = NOW) -> Plan:
    hashes = [KEYS.hash(row.provider, row.token) for row in rows]
    return decide(rows, hashes, known=known, now=now)


def outcomes(plan: Plan) -> list[RegistrationOutcome]:
    assert all(isinstance(result, Registered) for result in plan.results)
    return [result.outcome for result in plan.results if isinstance(result, Registered)]


def stored(
    row: Registration,
    *,
    live: bool = True,
    at: datetime = EARLIER,
    attributes: Iterable[str] = (),
) -> Known:
    token_hash, sizes = KEYS.hash(row.provider, row.token), dict.fromkeys(attributes, 10)
    return Known(
        row.installation_id,
        row.platform,
        row.environment,
        token_hash,
        1,
        TokenState.ACTIVE if live else TokenState.INVALID,
        at,
        at,
        attributes=sizes,
    )


def named(*numbers: int) -> dict[str, Value]:
    """Attributes with these numbers in their names."""
    return {f"a{number}": True for number in numbers}


def test_an_unknown_installation_is_created() -> None:
    plan = plan_for([registration()], [])
    assert plan.results == [(CREATED, NOW)]
    assert [row.is_new for row in plan.rounds[0].rows] == [True]


def test_the_same_token_refreshes_without_sealing_again() -> None:
    row = registration()
    plan = plan_for([row], [stored(row)])
    assert outcomes(plan) == [REFRESHED]
    assert plan.rounds[0].rows[0].key_id == 1


def test_another_token_rotates() -> None:
    plan = plan_for([registration()], [stored(registration())])
    assert outcomes(plan) == [ROTATED]
    assert plan.rounds[0].rows[0].key_id is None


def test_the_same_token_of_the_other_environment_rotates() -> None:
    row = registration(token="ab" * 32)
    sandbox = registration(token="ab" * 32, environment=Environment.SANDBOX)
    assert outcomes(plan_for([sandbox], [stored(row)])) == [ROTATED]


def test_a_row_that_would_leave_too_many_attributes_is_refused_and_does_nothing() -> None:
    full = stored(registration(), attributes=named(*range(99)))
    one = registration(facts=Facts(attributes=named(98, 99)))
    plan = plan_for([one], [full])
    assert outcomes(plan) == [ROTATED]
    two = registration(facts=Facts(attributes=named(99, 100)))
    plan = plan_for([two], [full])
    assert plan[:3] == ([TOO_MANY_ATTRIBUTES], [], [])


def test_attributes_add_up_over_the_rows_of_a_page() -> None:
    rows = [
        registration(facts=Facts(attributes=named(*numbers)))
        for numbers in (range(60), range(50, 100), (100,), (7,))
    ]
    plan = plan_for(rows, [])
    assert plan.results == [(CREATED, NOW), (ROTATED, NOW), TOO_MANY_ATTRIBUTES, (ROTATED, NOW)]


def test_a_dead_token_lives_again_when_its_installation_registers_it() -> None:
    row = registration()
    assert outcomes(plan_for([row], [stored(row, live=False)])) == [REFRESHED]


def test_a_token_that_lives_elsewhere_moves_and_replaces_its_owner() -> None:
    token = "cd" * 32
    plan = plan_for([registration(2, token)], [stored(registration(1, token))])
    assert outcomes(plan) == [REASSIGNED]
    assert plan.rounds[0].replaced == [key(1)]


def test_a_token_that_is_dead_elsewhere_is_free() -> None:
    token = "cd" * 32
    plan = plan_for([registration(2, token)], [stored(registration(1, token), live=False)])
    assert outcomes(plan) == [CREATED]
    assert plan.rounds[0].replaced == []


def test_hexadecimal_case_makes_no_other_token() -> None:
    known = stored(registration(1, "AB" * 32))
    assert outcomes(plan_for([registration(1, "ab" * 32)], [known])) == [REFRESHED]


def test_what_was_observed_before_the_stored_registration_is_stale() -> None:
    row = registration(observed_at=EARLIER - timedelta(seconds=1))
    plan = plan_for([row], [stored(registration())])
    assert plan.results == [(STALE, EARLIER)]
    assert plan.rounds == []


def test_what_was_observed_at_the_same_time_is_not_stale() -> None:
    row = registration(observed_at=EARLIER)
    assert outcomes(plan_for([row], [stored(registration())])) == [ROTATED]


def test_an_old_observation_takes_no_token_from_a_newer_owner() -> None:
    token = "cd" * 32
    row = registration(2, token, observed_at=EARLIER - timedelta(seconds=1))
    assert outcomes(plan_for([row], [stored(registration(1, token))])) == [STALE]


def test_without_an_observation_nothing_is_stale_whatever_the_clocks_say() -> None:
    ahead = stored(registration(), at=NOW + timedelta(seconds=5))
    plan = plan_for([registration()], [ahead])
    assert plan.results == [(ROTATED, NOW + timedelta(seconds=5))]


def test_rows_of_one_installation_act_one_after_the_other() -> None:
    first, second = registration(1), registration(1)
    plan = plan_for([first, second, second], [])
    assert outcomes(plan) == [CREATED, ROTATED, REFRESHED]
    assert [[row.row for row in round_.rows] for round_ in plan.rounds] == [[0], [1], [2]]


def test_a_token_that_moves_within_the_page_ends_with_the_last_row() -> None:
    token = "ef" * 32
    plan = plan_for([registration(1, token), registration(2, token)], [])
    assert outcomes(plan) == [CREATED, REASSIGNED]
    assert [round_.replaced for round_ in plan.rounds] == [[], [key(1)]]


def test_installations_may_swap_their_tokens_in_one_page() -> None:
    one, two = "aa" * 32, "bb" * 32
    known = [stored(registration(1, one)), stored(registration(2, two))]
    plan = plan_for([registration(1, two), registration(2, one)], known)
    assert outcomes(plan) == [REASSIGNED, ROTATED]
    assert len(plan.rounds) == 1


def test_rows_that_have_nothing_in_common_are_written_at_once() -> None:
    plan = plan_for([registration(n) for n in range(1000)], [])
    assert len(plan.rounds) == 1


TOKENS = tuple(f"{n:02x}" * 4 for n in range(4))
ROWS = st.builds(
    lambda number, token, environment, age: registration(
        number,
        token,
        environment=environment,
        observed_at=None if age is None else NOW - timedelta(minutes=age),
    ),
    st.integers(1, 5),
    st.sampled_from(TOKENS),
    st.sampled_from(list(Environment)),
    st.none() | st.integers(0, 3),
)


class Table:
    """The tables as the plans of pages leave them; refuses what the key of live_token would."""

    def __init__(self) -> None:
        self.rows: dict[UUID, Known] = {}
        self.owners: dict[tuple[Environment, bytes], UUID] = {}

    def carry_out(self, page: list[Registration], now: datetime) -> Plan:
        plan = plan_for(page, list(self.rows.values()), now)
        for round_ in plan.rounds:
            self._free_tokens(round_)
            ids = [page[new.row].installation_id for new in round_.rows]
            assert len(set(ids)) == len(ids)
            for new in round_.rows:
                row = page[new.row]
                assert new.is_new == (row.installation_id not in self.rows)
                written = stored(row)._replace(
                    registered_at=now, observed_at=row.observed_at or now
                )
                self.rows[row.installation_id] = written
                if new.takes_token:
                    assert (written.environment, written.token_hash) not in self.owners
                    self.owners[written.environment, written.token_hash] = row.installation_id
            assert self.owners == {
                (row.environment, row.token_hash): row.installation_id
                for row in self.rows.values()
                if row.live
            }
        return plan

    def _free_tokens(self, round_: Round) -> None:
        for id_, token_hash, environment in round_.released:
            assert self.owners.pop((environment, token_hash)) == id_
        for id_ in round_.replaced:
            self.rows[id_] = self.rows[id_]._replace(state=TokenState.REPLACED)


@given(st.lists(st.lists(ROWS, max_size=6), max_size=4))
def test_a_token_has_one_live_owner_after_any_pages(pages: list[list[Registration]]) -> None:
    table = Table()
    for number, page in enumerate(pages):
        table.carry_out(page, NOW + timedelta(seconds=number))


@given(st.lists(ROWS, max_size=8))
def test_a_page_does_what_its_rows_would_do_one_by_one(page: list[Registration]) -> None:
    whole, single = Table(), Table()
    together = outcomes(whole.carry_out(page, NOW))
    apart = [outcomes(single.carry_out([row], NOW))[0] for row in page]
    assert together == apart
    assert whole.rows == single.rows


@pytest.mark.parametrize("rows", [[], [registration(observed_at=EARLIER - timedelta(days=1))]])
def test_a_page_that_changes_nothing_writes_nothing(rows: list[Registration]) -> None:
    assert plan_for(rows, [stored(registration())]).rounds == []
