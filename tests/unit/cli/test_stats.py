"""What `nuncio stats` makes of the registry's answer."""

import json
from datetime import timedelta

import pytest

from nuncio.common.v1.provider_pb2 import Platform
from nuncio.registry.v1.registry_service_pb2 import GetRegistryStatsResponse
from nuncio.registry.v1.statistics_pb2 import RegistryDay, RegistryStock
from nuncio_cli.commands import stats
from tests.unit.registry.builders import NOW

TODAY = "2026-03-31"


def answer_of(*days: RegistryDay, installations: int = 0) -> GetRegistryStatsResponse:
    """An answer whose stock was counted at the end of March."""
    stock = RegistryStock(installations=installations, active=installations)
    stock.count_time.FromJsonString(f"{TODAY}T12:00:00Z")
    return GetRegistryStatsResponse(stock=stock, days=days)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [
        (-5, "1 second ago"),
        (0.4, "1 second ago"),
        (40, "40 seconds ago"),
        (119, "119 seconds ago"),
        (120, "2 minutes ago"),
        (3_599, "59 minutes ago"),
        (7_300, "2 hours ago"),
        (200_000, "2 days ago"),
    ],
)
def test_an_age_is_a_whole_number_of_one_unit(seconds: float, words: str) -> None:
    assert stats.ago(NOW - timedelta(seconds=seconds), now=NOW) == words


def test_what_was_never_counted_is_not_shown_as_zeros(capsys: pytest.CaptureFixture[str]) -> None:
    never = GetRegistryStatsResponse(days=[RegistryDay(day=TODAY, registered=7)])
    stats.show(never)
    shown = capsys.readouterr().out
    assert shown.splitlines()[0] == stats.NOT_COUNTED
    assert shown.splitlines()[-1].split()[:3] == [TODAY, "-", "7"]
    assert "installations" not in shown
    assert stats.as_document(never)["stock"] is None
    assert json.dumps(stats.as_document(answer_of())["stock"])


def test_live_installations_are_known_of_the_day_of_the_last_count(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stats.show(answer_of(RegistryDay(day="2026-03-30"), RegistryDay(day=TODAY)))
    shown = [line.split()[:2] for line in capsys.readouterr().out.splitlines()]
    assert ["2026-03-30", "-"] in shown
    assert [TODAY, "0"] in shown


def test_an_app_that_was_empty_gets_words_and_no_table_of_zeros(
    capsys: pytest.CaptureFixture[str],
) -> None:
    stats.show(answer_of(RegistryDay(day=TODAY)))
    assert stats.WAS_EMPTY in capsys.readouterr().out.splitlines()
    stats.show(answer_of(RegistryDay(day=TODAY, registered=200)))
    shown = capsys.readouterr().out
    assert shown.splitlines()[1] == "200 more have registered since, and are counted soon"
    assert "installations" not in shown
    stats.show(answer_of(RegistryDay(day=TODAY), installations=3))
    assert "installations" in capsys.readouterr().out


def test_lines_that_are_left_out_are_counted(capsys: pytest.CaptureFixture[str]) -> None:
    answer = answer_of(RegistryDay(day=TODAY), installations=12)
    for number in range(12):
        answer.stock.opt_ins.add(platform=Platform.PLATFORM_IOS, app_version=f"1.{number}")
    stats.show(answer)
    shown = capsys.readouterr().out
    assert "1.9" in shown
    assert "1.10" not in shown
    assert "and 2 more lines, which --json has" in shown.splitlines()


@pytest.mark.parametrize(
    ("installations", "registered", "erased", "since"),
    [(0, 200, 0, 200), (0, 200, 50, 150), (100, 110, 0, 10), (100, 109, 0, 0), (200, 200, 0, 0)],
)
def test_who_registered_after_the_count_is_told_of(
    installations: int, registered: int, erased: int, since: int
) -> None:
    day = RegistryDay(day=TODAY, registered=registered, erased=erased)
    assert stats.registered_since(answer_of(day, installations=installations)) == since
