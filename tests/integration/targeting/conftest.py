"""The two services, started once for all tests of a run."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from tests.integration.targeting.house import House, running_house


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    async with running_house(tmp_path_factory.mktemp("keys")) as house:
        yield house


@pytest_asyncio.fixture(loop_scope="session")
async def app(house: House) -> str:
    """An app of the test's own."""
    return await house.app()
