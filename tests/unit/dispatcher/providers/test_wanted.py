"""Lanes that rows are for, and that have no credential: they are listed while they are wanted."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from nuncio_dispatcher.domain.lane_status import LaneState
from nuncio_dispatcher.domain.model import Environment, Provider
from nuncio_dispatcher.providers.book import WANTED_FOR, FolderBook
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_runtime.clock import ManualClock

APP = "com.example.shop"


@pytest.fixture
def clock() -> ManualClock:
    return ManualClock(datetime(2026, 3, 31, tzinfo=UTC))


@pytest.fixture
def lanes(tmp_path: Path, clock: ManualClock) -> FolderLanes:
    return FolderLanes(tmp_path, clock=clock)


@pytest.fixture
def book(lanes: FolderLanes, clock: ManualClock) -> FolderBook:
    return FolderBook(lanes, clock=clock)


def listed(book: FolderBook) -> list[tuple[Provider, Environment, LaneState, str]]:
    return [
        (lane.provider, lane.environment, lane.condition.state, lane.condition.reason)
        for lane in book.lanes(APP)
    ]


def test_a_wanted_lane_without_a_section_is_listed_with_the_section(
    lanes: FolderLanes, book: FolderBook
) -> None:
    assert listed(book) == []
    lanes.lane(APP, Provider.APNS, Environment.SANDBOX)
    lanes.lane(APP, Provider.FCM, Environment.SANDBOX)
    no = f"NO_CREDENTIAL: {APP}.toml has no section"
    bad = LaneState.MISCONFIGURED
    assert listed(book) == [
        (Provider.APNS, Environment.SANDBOX, bad, f"{no} apns.sandbox"),
        (Provider.FCM, Environment.PRODUCTION, bad, f"{no} fcm"),
    ]


def test_it_is_forgotten_when_nothing_wants_it_any_more(
    lanes: FolderLanes, book: FolderBook, clock: ManualClock
) -> None:
    nearly = WANTED_FOR.total_seconds() - 1
    lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    clock.advance(nearly)
    assert len(listed(book)) == 1
    lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    clock.advance(nearly)
    assert len(listed(book)) == 1
    clock.advance(2)
    assert listed(book) == []
    assert book.lanes() == []


def test_it_is_shown_for_as_long_as_rows_that_wait_take_to_come_again(
    lanes: FolderLanes, clock: ManualClock
) -> None:
    book = FolderBook(lanes, clock=clock, probe_wait=WANTED_FOR)
    lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    clock.advance(2 * WANTED_FOR.total_seconds())
    assert len(listed(book)) == 1


def test_an_app_without_a_file_is_among_all_lanes(lanes: FolderLanes, book: FolderBook) -> None:
    lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    assert [lane.app_id for lane in book.lanes()] == [APP]


def test_a_section_that_cannot_be_used_says_what_is_wrong_with_it(
    lanes: FolderLanes, book: FolderBook, tmp_path: Path, clock: ManualClock
) -> None:
    lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)
    (tmp_path / f"{APP}.toml").write_text("[fcm]\n")
    clock.advance(2)
    ((_, _, state, reason),) = listed(book)
    assert state is LaneState.MISCONFIGURED
    assert "fcm.service_account_file" in reason
