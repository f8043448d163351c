"""One simulator for all tests here; each test finds new books and no faults."""

import ssl
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from nuncio_simulator.client import AdminClient
from nuncio_simulator.process import Simulator, read_description
from tests.support.processes import serving_simulator


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a simulator serves from."""
    folder = tmp_path_factory.mktemp("simulator")
    with serving_simulator(folder):
        yield folder


@pytest.fixture
async def simulator(folder: Path) -> AsyncIterator[Simulator]:
    """The simulator, as new but for its tokens."""
    description = read_description(folder)
    async with AdminClient(description.admin_url) as admin:
        await admin.clear_faults()
        await admin.reset_ledger()
        yield Simulator(description, admin)


@pytest.fixture
def trust(simulator: Simulator) -> ssl.SSLContext:
    """Trusts the simulator's certificate authority and nobody else."""
    return ssl.create_default_context(cafile=str(simulator.ca_file))


@pytest.fixture
async def http2(trust: ssl.SSLContext) -> AsyncIterator[httpx.AsyncClient]:
    """An HTTP/2 client that no one here wrote."""
    async with httpx.AsyncClient(http1=False, http2=True, verify=trust, trust_env=False) as client:
        yield client
