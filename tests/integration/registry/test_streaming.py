"""SelectTargets with more installations than anybody should hold at once."""

from pathlib import Path

import asyncpg
import pytest

from nuncio.registry.v1 import app_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.domain.sealing import bound_to
from nuncio_registry.domain.tokens import plain_token
from nuncio_registry.storage.key_files import read_key_ring
from nuncio_runtime.metrics import REGISTRY
from nuncio_runtime.postgres import open_pool
from tests.integration.registry.running import running_registry
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP, NOW, key

INSTALLATIONS = 60_000
TOKEN = "ab" * 200  # The longest that there is: together 26 MB.

# What the registry reads ahead is one page; gRPC's flow control holds about 4 MiB of a stream.
MOST_BYTES_IN_FLIGHT = 8 * 1024 * 1024

INSERT = """
INSERT INTO installation (
         app_id, installation_id, token_sealed, token_hash,
         platform, provider, environment, token_state, token_key_id, permission,
         registered_at, token_changed_at, observed_at, created_at, last_seen_at,
         topics, attributes, consents_granted, consents_denied)
SELECT $1, new.id, new.sealed, sha256(uuid_send(new.id)), 1, 1, 1, 1, 1, 2, $2, $2, $2, $2, $2,
       '{}', '{}', '{}', '{}'
  FROM unnest($3::uuid[], $4::bytea[]) AS new (id, sealed)
"""


async def install(pool: "asyncpg.Pool[asyncpg.Record]", folder: Path) -> None:
    """Put rows in as they are stored: registering so many would take longer than the test."""
    keys = read_key_ring(folder)
    token, ids = plain_token(TOKEN), [key(number) for number in range(INSTALLATIONS)]
    sealed = [keys.seal(token, bound_to(APP, each)) for each in ids]
    await pool.execute(INSERT, APP, NOW, ids, sealed)
    await pool.execute("ANALYZE installation")


def given() -> int:
    """Targets that the registry has given to the transport so far."""
    labels = {"result": "TARGET"}
    return int(REGISTRY.get_sample_value("registry_selected_rows_total", labels) or 0)


@pytest.mark.timeout(60)
async def test_a_slow_reader_holds_the_registry_back(tmp_path: Path) -> None:
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        running_registry(database, tmp_path) as registry,
    ):
        await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
        async with open_pool(database) as pool:
            await install(pool, tmp_path)
        before, taken, most = given(), 0, 0
        async for response in registry.stub.SelectTargets(pb.SelectTargetsRequest(app_id=APP)):
            # The registry may run ahead while the reader waits for these, at first for many.
            for _ in range(1 if taken else 300):
                await registry.stub.GetApp(pb.GetAppRequest(app_id=APP))
            taken += response.page.count
            row = response.ByteSize() // response.page.count
            most = max(most, (given() - before - taken) * row)
    assert taken == INSTALLATIONS
    assert most <= MOST_BYTES_IN_FLIGHT
