"""One simulator for all tests here; each test finds new books and no faults."""

import ssl
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import httpx
import pytest

from nuncio_simulator.client import AdminClient
from nuncio_simulator.process import Simulator, read_description


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """Where a simulator serves from."""
    folder = tmp_path_factory.mktemp("simulator")
    command = [sys.executable, "-m", "nuncio_simulator", "serve", "--folder", str(folder)]
    with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert b'"ready"' in process.stdout.readline()
        yield folder
        process.terminate()
        assert process.wait(timeout=5) == 0


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
