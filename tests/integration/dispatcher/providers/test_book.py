"""The lanes as operators see them, against the simulator: their states, and reloads."""

import re
from pathlib import Path

import pytest

from nuncio_dispatcher.domain.lane_status import (
    AlarmCause,
    CredentialKind,
    LaneState,
    LaneStatus,
    LaneTransport,
)
from nuncio_dispatcher.domain.lanes import keep_alarming
from nuncio_dispatcher.domain.model import Environment, Platform, Provider
from nuncio_dispatcher.metrics import ALARMS, PrometheusMeters
from nuncio_dispatcher.providers.book import FolderBook
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_runtime.clock import SYSTEM_CLOCK, ManualClock
from nuncio_simulator.contract import FaultKind, ProviderName
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.providers.meddling import change, closed_port, fault
from tests.integration.dispatcher.providers.sending import (
    APP,
    MESSAGE,
    plain,
    rows,
    soon,
)

APNS, SANDBOX = f"apns/{APP}/production", f"apns/{APP}/sandbox"
FCM, WEB_PUSH = f"fcm/{APP}/production", f"web_push/{APP}/production"
ORIGIN_OF = {Provider.APNS: ProviderName.APNS, Provider.FCM: ProviderName.FCM}


@pytest.fixture
def book(lanes: FolderLanes) -> FolderBook:
    return FolderBook(lanes, clock=SYSTEM_CLOCK)


def status(book: FolderBook, provider: Provider) -> LaneStatus:
    """The lane of a provider, production."""
    (found,) = (
        lane
        for lane in book.lanes(APP)
        if (lane.provider, lane.environment) == (provider, Environment.PRODUCTION)
    )
    return found


async def send(
    lanes: FolderLanes, simulator: Simulator, provider: Provider, count: int = 1
) -> None:
    origin = ORIGIN_OF[provider]
    assert origin in (ProviderName.APNS, ProviderName.FCM)
    minted = await simulator.admin.mint(origin, count)
    lane = lanes.lane(APP, provider, Environment.PRODUCTION)
    platform = Platform.IOS if provider is Provider.APNS else Platform.ANDROID
    await lane.send(MESSAGE, rows(plain(minted.tokens), platform), expires_at=soon())


async def test_every_section_is_a_lane_that_is_ready(
    book: FolderBook, simulator: Simulator
) -> None:
    found = book.lanes()
    assert [(lane.provider, lane.environment) for lane in found] == [
        (Provider.APNS, Environment.PRODUCTION),
        (Provider.APNS, Environment.SANDBOX),
        (Provider.FCM, Environment.PRODUCTION),
        (Provider.WEB_PUSH, Environment.PRODUCTION),
    ]
    assert {lane.condition.state for lane in found} == {LaneState.READY}
    assert [list(lane.origins) for lane in found] == [
        [simulator.apns.origin],
        [simulator.apns.sandbox_origin],
        [simulator.fcm.origin],
        [],
    ]
    kinds = [lane.credential.kind for lane in found if lane.credential]
    assert kinds == [
        CredentialKind.PROVIDER_TOKEN,
        CredentialKind.PROVIDER_TOKEN,
        CredentialKind.SERVICE_ACCOUNT,
        CredentialKind.VAPID,
    ]


@pytest.mark.parametrize("transport", LaneTransport)
async def test_a_lane_says_what_carries_its_requests(
    book: FolderBook, tmp_path: Path, transport: LaneTransport
) -> None:
    chosen = f'transport = "{transport.name.lower()}"\n'
    change(tmp_path, lambda text: re.sub("^transport = .*\n", "", text, flags=re.MULTILINE))
    change(tmp_path, lambda text: text.replace("ca_file", f"{chosen}ca_file"))
    assert {lane.transport for lane in book.lanes()} == {transport}


async def test_a_status_shows_no_secret(book: FolderBook, simulator: Simulator) -> None:
    shown = repr(book.lanes())
    for file in (simulator.apns.key_file, simulator.fcm.service_account_file):
        lines = file.read_text().replace("\\n", "\n").splitlines()
        secrets = [line for line in lines if len(line) == 64]
        assert secrets
        assert not any(secret in shown for secret in secrets)


async def test_what_was_sent_shows_in_traffic_and_answers(
    lanes: FolderLanes, book: FolderBook, simulator: Simulator
) -> None:
    await send(lanes, simulator, Provider.APNS, 30)
    await fault(simulator, ProviderName.APNS, kind=FaultKind.ANSWER, status=500, count=1)
    await send(lanes, simulator, Provider.APNS)
    found = status(book, Provider.APNS)
    assert found.answers == (30, 0, 1)
    assert found.traffic.connections == 1
    assert found.traffic.stream_limit > 1
    assert (found.traffic.in_flight, found.traffic.waiting) == (0, 0)
    assert status(book, Provider.FCM).answers == (0, 0, 0)


async def test_a_refused_credential_pauses_its_lane_only(
    lanes: FolderLanes, book: FolderBook, simulator: Simulator
) -> None:
    await fault(simulator, ProviderName.APNS, kind=FaultKind.CREDENTIAL)
    before = SYSTEM_CLOCK.now()
    await send(lanes, simulator, Provider.APNS)
    condition = status(book, Provider.APNS).condition
    assert (condition.state, condition.reason) == (LaneState.PAUSED, "InvalidProviderToken")
    assert condition.since is not None
    assert condition.next_probe_at is not None
    assert before <= condition.since < condition.next_probe_at
    assert status(book, Provider.FCM).condition.state is LaneState.READY


async def test_a_provider_out_of_reach_takes_its_lane_down(
    lanes: FolderLanes, book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    nowhere = f"https://127.0.0.1:{closed_port()}"
    change(tmp_path, lambda text: text.replace(simulator.fcm.origin, nowhere))
    await send(lanes, simulator, Provider.FCM, 60)
    condition = status(book, Provider.FCM).condition
    assert (condition.state, condition.reason) == (LaneState.DOWN, "LANE_DOWN")
    assert condition.since is not None


async def test_a_quota_slows_a_lane_down(
    lanes: FolderLanes, book: FolderBook, simulator: Simulator
) -> None:
    await fault(simulator, ProviderName.FCM, kind=FaultKind.RETRY_AFTER, retry_after=7, count=1)
    await send(lanes, simulator, Provider.FCM)
    found = status(book, Provider.FCM)
    assert found.condition.state is LaneState.SLOWED
    assert found.condition.next_probe_at is not None
    assert (found.rate, found.allowed_rate) == (0, 10_000)


async def test_a_credential_that_cannot_be_used_is_listed_with_its_problem(
    book: FolderBook, simulator: Simulator, tmp_path: Path
) -> None:
    change(tmp_path, lambda text: text.replace(str(simulator.fcm.service_account_file), "gone"))
    found = status(book, Provider.FCM)
    assert found.condition.state is LaneState.MISCONFIGURED
    assert "cannot read gone" in found.condition.reason
    assert (found.credential, found.transport) == (None, None)
    assert status(book, Provider.APNS).condition.state is LaneState.READY


async def test_a_file_that_cannot_be_read_at_all_concerns_every_lane(
    book: FolderBook, tmp_path: Path
) -> None:
    change(tmp_path, lambda _: "[apns")
    found = book.lanes(APP)
    assert [lane.condition.state for lane in found] == [LaneState.MISCONFIGURED] * 4


async def test_an_app_without_a_file_has_no_lanes(book: FolderBook) -> None:
    assert book.lanes("com.example.other") == []
    assert book.lanes("../outside") == []


async def test_lanes_in_trouble_raise_alarms_and_lower_them_again(
    simulator: Simulator, tmp_path: Path, hand_lanes: FolderLanes, hand_clock: ManualClock
) -> None:
    book = FolderBook(hand_lanes, clock=hand_clock)

    async def alarms() -> dict[tuple[str, str], float]:
        """What the gauges show after one look."""
        looking = keep_alarming(book, PrometheusMeters(), hand_clock)
        looking.send(None)  # runs to its sleep
        looking.close()
        return {
            (sample.labels["provider"], sample.labels["cause"]): sample.value
            for metric in ALARMS.collect()
            for sample in metric.samples
            if sample.value
        }

    assert await alarms() == {}
    await fault(simulator, ProviderName.APNS, kind=FaultKind.CREDENTIAL)
    await send(hand_lanes, simulator, Provider.APNS)
    change(tmp_path, lambda text: text.replace(str(simulator.fcm.service_account_file), "gone"))
    hand_clock.advance(2)
    assert await alarms() == {
        ("apns", AlarmCause.CREDENTIAL.value): 1,
        ("fcm", AlarmCause.CREDENTIAL.value): 1,
    }
    (tmp_path / f"{APP}.toml").unlink()
    hand_clock.advance(2)
    assert await alarms() == {}


async def test_a_reload_sees_changes_at_once_and_says_which(
    book: FolderBook, tmp_path: Path
) -> None:
    assert set(book.reload().made) == {APNS, SANDBOX, FCM, WEB_PUSH}
    change(tmp_path, lambda text: text.replace('key_id = "first"', 'key_id = "second"'))
    change(tmp_path, lambda text: text.replace("[fcm]", "[fcn]"))
    found = book.reload()
    assert (found.made, found.let_go, found.unchanged) == ([WEB_PUSH], [FCM], [APNS, SANDBOX])
    assert found.problems == [f"{APP}.toml: unknown: fcn"]


async def test_a_second_reload_changes_nothing(book: FolderBook) -> None:
    book.reload()
    again = book.reload()
    assert (again.made, again.let_go, again.problems) == ([], [], [])
    assert list(again.unchanged) == [APNS, SANDBOX, FCM, WEB_PUSH]


async def test_a_reload_after_the_file_is_gone_lets_all_lanes_go(
    book: FolderBook, tmp_path: Path
) -> None:
    book.reload()
    (tmp_path / f"{APP}.toml").unlink()
    assert book.reload().let_go == [APNS, SANDBOX, FCM, WEB_PUSH]


async def test_a_reload_finds_new_apps(book: FolderBook, tmp_path: Path) -> None:
    book.reload()
    text = (tmp_path / f"{APP}.toml").read_text()
    (tmp_path / "com.example.new.toml").write_text(text)
    assert "fcm/com.example.new/production" in book.reload().made
