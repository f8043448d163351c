"""What a pool does next, for any state that it may be in."""

from datetime import timedelta

from hypothesis import given
from hypothesis import strategies as st

from nuncio_dispatcher.http2.assign import MOST_DRAINING, Plan, Policy, Seat, assign, next_look

NOW = 1_000.0
POLICY = Policy(connections=3, idle_after=timedelta(seconds=100), age_limit=timedelta(seconds=500))

moments = st.floats(0, NOW)
seats = st.lists(
    st.builds(
        Seat,
        room=st.integers(0, 50),
        in_flight=st.integers(0, 3),
        answered=st.integers(0, 2),
        is_draining=st.booleans(),
        opened_at=moments,
        unused_since=moments,
    ),
    max_size=5,
)


def seat(
    *,
    room: int = 10,
    in_flight: int = 0,
    answered: int = 1,
    is_draining: bool = False,
    opened_at: float = NOW,
    unused_since: float = NOW,
) -> Seat:
    return Seat(room, in_flight, answered, is_draining, opened_at, unused_since)


def plan(*of: Seat, waiting: int = 0, may_open: bool = True, policy: Policy = POLICY) -> Plan:
    return assign(of, waiting=waiting, may_open=may_open, policy=policy, now=NOW)


@given(seats, st.integers(0, 200), st.booleans())
def test_no_more_is_written_than_waits_or_has_room(
    of: list[Seat], waiting: int, may_open: bool
) -> None:
    writes = plan(*of, waiting=waiting, may_open=may_open).writes
    assert len(writes) == len(of)
    assert sum(writes) <= waiting
    assert all(0 <= count <= one.room for count, one in zip(writes, of, strict=True))


@given(seats, st.integers(1, 200))
def test_nothing_waits_while_there_is_room(of: list[Seat], waiting: int) -> None:
    made = plan(*of, waiting=waiting)
    room = sum(
        one.room for at, one in enumerate(of) if not one.is_draining and at not in made.drains
    )
    assert sum(made.writes) == min(waiting, room)


@given(seats, st.integers(0, 200))
def test_nothing_is_written_to_a_connection_that_takes_no_more(
    of: list[Seat], waiting: int
) -> None:
    made = plan(*of, waiting=waiting)
    for at, one in enumerate(of):
        if one.is_draining or at in made.drains or at in made.closes:
            assert made.writes[at] == 0


@given(seats, st.integers(0, 200), st.booleans())
def test_one_more_is_opened_only_when_it_is_needed_and_allowed(
    of: list[Seat], waiting: int, may_open: bool
) -> None:
    made = plan(*of, waiting=waiting, may_open=may_open)
    usable = [one for at, one in enumerate(of) if not one.is_draining and at not in made.drains]
    assert made.opens is (
        may_open
        and waiting > sum(made.writes)
        and len(usable) < POLICY.connections
        and all(one.answered for one in usable)
    )


@given(seats, st.integers(0, 200))
def test_only_what_is_unused_is_closed(of: list[Seat], waiting: int) -> None:
    made = plan(*of, waiting=waiting)
    for at in made.closes:
        assert of[at].in_flight == made.writes[at] == 0
        is_idle = NOW - of[at].unused_since >= 100
        assert of[at].is_draining or is_idle or at in made.drains


@given(seats, st.integers(0, 200))
def test_only_what_is_too_old_is_drained(of: list[Seat], waiting: int) -> None:
    drained = set(plan(*of, waiting=waiting).drains)
    assert drained == {
        at for at, one in enumerate(of) if not one.is_draining and NOW - one.opened_at >= 500
    }


@given(seats)
def test_once_carried_out_a_plan_leaves_nothing_to_do(of: list[Seat]) -> None:
    made = plan(*of)
    left = [
        one._replace(is_draining=one.is_draining or at in made.drains)
        for at, one in enumerate(of)
        if at not in made.closes
    ]
    again = plan(*left)
    assert (list(again.drains), list(again.closes), again.opens) == ([], [], False)
    assert all(next_look(one, policy=POLICY) > NOW for one in left)


def test_the_first_connections_are_filled_first() -> None:
    assert plan(seat(), seat(), waiting=12).writes == [10, 2]


def test_the_first_connection_is_opened_for_the_first_row() -> None:
    assert plan(waiting=1).opens
    assert not plan(waiting=0).opens
    assert not plan(waiting=1, may_open=False).opens


def test_a_connection_without_an_answer_yet_may_be_about_to_allow_more() -> None:
    assert not plan(seat(room=1, answered=0), waiting=5).opens
    assert plan(seat(room=1), waiting=5).opens


def test_draining_connections_do_not_count_as_open_ones() -> None:
    draining = [seat(is_draining=True, in_flight=1, answered=0)] * 5
    assert plan(*draining, waiting=1).opens


def test_an_idle_connection_is_used_rather_than_closed() -> None:
    idle = seat(unused_since=NOW - 100)
    assert plan(idle).closes == [0]
    assert plan(idle, waiting=1) == Plan([1], opens=False, drains=[], closes=[])


def test_a_connection_that_owes_answers_is_never_idle() -> None:
    assert plan(seat(in_flight=1, unused_since=0)).closes == []


def test_an_old_connection_ends_what_is_under_way_and_goes() -> None:
    old = seat(opened_at=NOW - 500, in_flight=1)
    assert plan(old, waiting=1) == Plan([0], opens=True, drains=[0], closes=[])
    assert plan(old._replace(is_draining=True)).closes == []
    assert plan(old._replace(is_draining=True, in_flight=0)).closes == [0]
    assert plan(old._replace(in_flight=0)).closes == [0]


def test_without_an_age_limit_a_connection_grows_as_old_as_it_likes() -> None:
    policy = Policy(idle_after=timedelta(seconds=100))
    assert plan(seat(opened_at=-1e9), waiting=1, policy=policy).writes == [1]


def test_no_more_are_opened_while_many_are_on_their_way_out() -> None:
    leaving = [seat(in_flight=1, is_draining=True)] * MOST_DRAINING
    assert not plan(*leaving, waiting=1).opens
    assert plan(*leaving[1:], waiting=1).opens
