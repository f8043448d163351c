"""An app's policies: what they may be, and what they mean at a time."""

from datetime import timedelta

import pytest

from nuncio_registry.domain.apps import Policies, under
from nuncio_registry.domain.hygiene import cutoffs_of
from nuncio_runtime.errors import FieldViolation, InvalidField
from tests.unit.registry.builders import NOW, app

DAY = timedelta(days=1)


def test_what_is_not_told_stays() -> None:
    changed = under(app(), Policies(expire_after=100 * DAY))
    assert (changed.stale_after, changed.expire_after) == (30 * DAY, 100 * DAY)
    assert changed.retention == app().retention


@pytest.mark.parametrize(
    ("policies", "field", "rule"),
    [
        (Policies(stale_after=270 * DAY), "stale_after", "must be shorter than expire_after"),
        (Policies(expire_after=30 * DAY), "expire_after", "must be longer than stale_after"),
        (Policies(2 * DAY, 1 * DAY), "expire_after", "must be longer than stale_after"),
        (Policies(expire_after=36_501 * DAY), "expire_after", "must be at most 36500 days"),
        (Policies(retention=36_501 * DAY), "retention", "must be at most 36500 days"),
    ],
)
def test_policies_that_contradict_each_other_are_refused(
    policies: Policies, field: str, rule: str
) -> None:
    with pytest.raises(InvalidField) as refused:
        under(app(), policies, path="app.")
    assert refused.value.violations == (FieldViolation(f"app.{field}", rule),)


def test_an_old_app_that_breaks_the_rule_can_be_renamed() -> None:
    old = app(stale_after=365 * DAY)
    assert under(old, Policies()) == old


def test_policies_become_times() -> None:
    cutoffs = cutoffs_of(app(), NOW)
    assert cutoffs.stale == NOW - 30 * DAY
    assert cutoffs.expire == NOW - 270 * DAY
    assert cutoffs.delete == NOW - 90 * DAY


def test_nothing_expires_before_it_is_stale() -> None:
    assert cutoffs_of(app(stale_after=365 * DAY), NOW).expire == NOW - 365 * DAY
