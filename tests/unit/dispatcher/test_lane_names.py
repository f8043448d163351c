"""Feedback is told which lane answered for each row."""

from uuid import UUID

import pytest

from nuncio_dispatcher.clients.feedback import outcome_page
from nuncio_dispatcher.domain.lane_names import lane_name
from nuncio_dispatcher.domain.model import Environment, Provider, Verdict
from nuncio_dispatcher.domain.pages import Outcomes, OutcomesOf
from nuncio_dispatcher.storage.packing import pack_environments, unpack_environments
from tests.unit.dispatcher.builders import rows

PRODUCTION, SANDBOX = Environment
ACCEPTED, RETRY = Verdict.ACCEPTED, Verdict.RETRY


def outcomes(*kinds: tuple[int, int], verdicts: bytes = b"") -> Outcomes:
    """A page with rows of these providers and environments, all of them accepted."""
    count = len(kinds)
    return Outcomes(
        of=OutcomesOf(UUID(int=1), "shop", "", False),
        shard_no=1,
        number=1,
        rows=rows(*(provider for provider, _ in kinds)),
        verdicts=verdicts or bytes([ACCEPTED]) * count,
        reasons=[0] * count,
        reason_names=[""],
        sent_at=[1] * count,
        dead_since=[0] * count,
        environments=bytes(environment for _, environment in kinds),
    )


def told(page: Outcomes) -> list[str]:
    """The name of each row's lane."""
    sent = outcome_page(page)
    return [sent.lane_names[place] for place in sent.lanes]


def test_each_row_names_its_lane() -> None:
    page = outcomes(
        (Provider.APNS, SANDBOX), (Provider.FCM, PRODUCTION), (Provider.APNS, PRODUCTION)
    )
    assert told(page) == ["apns/shop/sandbox", "fcm/shop/production", "apns/shop/production"]


def test_rows_of_one_lane_share_its_name() -> None:
    page = outcomes(*[(Provider.WEB_PUSH, PRODUCTION)] * 3)
    assert told(page) == ["web_push/shop/production"] * 3
    assert list(outcome_page(page).lane_names) == ["web_push/shop/production"]


def test_an_environment_that_is_not_known_is_sent_to_as_production() -> None:
    assert told(outcomes((Provider.APNS, 0), (Provider.APNS, 9))) == ["apns/shop/production"] * 2


def test_a_provider_that_is_not_known_has_no_lane() -> None:
    assert told(outcomes((9, PRODUCTION), (Provider.FCM, PRODUCTION))) == [
        "",
        "fcm/shop/production",
    ]


def test_rows_that_were_never_sent_tell_no_lanes() -> None:
    page = outcomes()
    assert told(page) == []
    assert not outcome_page(page).lane_names


def test_lanes_stay_with_their_rows_when_others_follow_up() -> None:
    kinds = [(Provider.APNS, PRODUCTION), (Provider.APNS, SANDBOX), (Provider.FCM, PRODUCTION)]
    page = outcomes(*kinds, verdicts=bytes([RETRY, ACCEPTED, ACCEPTED]))
    assert told(page.final()) == ["apns/shop/sandbox", "fcm/shop/production"]


@pytest.mark.parametrize("provider", [Provider.FCM, Provider.WEB_PUSH])
def test_only_apns_has_a_sandbox(provider: Provider) -> None:
    assert lane_name("shop", (provider, SANDBOX)) == lane_name("shop", (provider, PRODUCTION))
    assert lane_name("shop", (Provider.APNS, SANDBOX)) == "apns/shop/sandbox"


@pytest.mark.parametrize("environments", [b"", b"\1", b"\1\1\1", b"\2\2", b"\1\2\1"])
def test_environments_are_kept(environments: bytes) -> None:
    packed = pack_environments(environments)
    assert unpack_environments(packed, count=len(environments)) == environments


def test_equal_environments_take_one_byte() -> None:
    assert pack_environments(b"\1" * 1000) == b"\1"
