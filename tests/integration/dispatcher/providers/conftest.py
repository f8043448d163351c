"""One simulator for all tests here, and lanes to it."""

from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest

from nuncio_dispatcher.domain.model import Environment, Provider
from nuncio_dispatcher.domain.ports import Lane
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_runtime.clock import SYSTEM_CLOCK, ManualClock
from nuncio_simulator.client import AdminClient
from nuncio_simulator.process import Simulator, read_description
from tests.integration.dispatcher.providers.sending import APP, write_credentials
from tests.support.processes import serving_simulator


@pytest.fixture(scope="session")
def simulator_folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a simulator serves from; none of its tokens is dead, slow or throttled by itself."""
    folder = tmp_path_factory.mktemp("simulator")
    shares = ("--dead-share", "0", "--throttled-share", "0", "--slow-share", "0")
    with serving_simulator(folder, *shares):
        yield folder


@pytest.fixture
async def simulator(simulator_folder: Path) -> AsyncIterator[Simulator]:
    """The simulator, with new books and no faults."""
    description = read_description(simulator_folder)
    async with AdminClient(description.admin_url) as admin:
        await admin.clear_faults()
        await admin.reset_ledger()
        yield Simulator(description, admin)


@pytest.fixture(params=["reference", "multiplex"])
def transport(request: pytest.FixtureRequest) -> str:
    """What carries the requests of the lanes."""
    return str(request.param)


@pytest.fixture
async def lanes(simulator: Simulator, tmp_path: Path, transport: str) -> AsyncIterator[FolderLanes]:
    """Lanes of one app to the simulator."""
    write_credentials(tmp_path, simulator, transport)
    lanes = FolderLanes(tmp_path, clock=SYSTEM_CLOCK)
    yield lanes
    await lanes.aclose()


@pytest.fixture
def hand_clock() -> ManualClock:
    """Shows the time of day, and moves only when it is told to."""
    return ManualClock(datetime.now(UTC))


@pytest.fixture
async def hand_lanes(
    simulator: Simulator, tmp_path: Path, transport: str, hand_clock: ManualClock
) -> AsyncIterator[FolderLanes]:
    """Lanes whose waits are on the hand clock."""
    write_credentials(tmp_path, simulator, transport)
    lanes = FolderLanes(tmp_path, clock=hand_clock)
    yield lanes
    await lanes.aclose()


@pytest.fixture
def apns(lanes: FolderLanes) -> Lane:
    """The app's lane to APNs, production."""
    return lanes.lane(APP, Provider.APNS, Environment.PRODUCTION)


@pytest.fixture
def fcm(lanes: FolderLanes) -> Lane:
    """The app's lane to FCM."""
    return lanes.lane(APP, Provider.FCM, Environment.PRODUCTION)


@pytest.fixture
def web_push(lanes: FolderLanes) -> Lane:
    """The app's lane to Web Push."""
    return lanes.lane(APP, Provider.WEB_PUSH, Environment.PRODUCTION)
