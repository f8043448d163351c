"""A registry for each test."""

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from nuncio.registry.v1 import app_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from tests.integration.registry.running import Registry, running_registry
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP


@pytest.fixture
async def registry(tmp_path: Path) -> AsyncIterator[Registry]:
    """A running registry that has the app of the tests."""
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        running_registry(database, tmp_path) as running,
    ):
        await running.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
        yield running
