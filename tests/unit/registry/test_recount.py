"""When a stock is counted again before its turn."""

from dataclasses import replace
from datetime import timedelta

import pytest

from nuncio_registry.domain.recount import SOONEST, Beginning, first_day, recount_of
from nuncio_registry.domain.tally import Tally
from tests.unit.registry.builders import NOW

BEGINNING = Beginning(first_day(NOW), changes=1_000, at=0.0)
EMPTY = Tally().stock(NOW)


@pytest.mark.parametrize(
    ("installations", "more"), [(0, 1), (1, 1), (19, 1), (20, 2), (1_000_000, 100_000)]
)
def test_a_tenth_of_the_stock_has_to_change_and_one_change_at_least(
    installations: int, more: int
) -> None:
    recount = recount_of(replace(EMPTY, installations=installations), BEGINNING, seconds=0.0)
    assert (recount.since, recount.changes) == (BEGINNING.since, 1_000 + more)


@pytest.mark.parametrize(("seconds", "wait"), [(0.0, 30), (1.0, 30), (1.5, 30), (60.0, 20 * 60)])
def test_walks_take_a_twentieth_of_the_time_at_most(seconds: float, wait: int) -> None:
    recount = recount_of(EMPTY, BEGINNING, seconds=seconds)
    assert recount.not_before - NOW == timedelta(seconds=wait) >= SOONEST


def test_changes_of_the_day_before_count_too() -> None:
    midnight = NOW.replace(hour=0, minute=0)
    assert first_day(midnight) == (midnight - timedelta(seconds=1)).date()
