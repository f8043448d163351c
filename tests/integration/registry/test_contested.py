"""Hundreds of clients fight over a few tokens: each token ends with one live owner."""

import asyncio
import random
from collections.abc import Awaitable
from pathlib import Path
from typing import Any

import pytest

from nuncio.registry.v1 import app_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio_registry.domain.model import Provider
from nuncio_registry.domain.tokens import plain_token
from nuncio_registry.storage.key_files import read_key_ring
from nuncio_runtime.client import RemoteError
from nuncio_runtime.errors import Kind
from nuncio_runtime.postgres import open_pool
from tests.integration.registry.running import Registry, running_registry, timestamp
from tests.support.postgres import fresh_database
from tests.unit.registry.builders import APP, hex_token, key

CLIENTS = 240
INSTALLATIONS = 40
TOKENS = [hex_token() for _ in range(12)]
CALLS_EACH = 4

OWNERS = """
SELECT i.installation_id, i.token_hash, i.environment, o.installation_id AS owner
  FROM (SELECT * FROM installation WHERE token_state = 1) AS i
       FULL JOIN live_token AS o
         ON o.app_id = i.app_id AND o.token_hash = i.token_hash
        AND o.environment = i.environment AND o.installation_id = i.installation_id
"""


class Fight:
    """The calls of the clients."""

    def __init__(self, registry: Registry, refs: dict[str, bytes]) -> None:
        self._registry = registry
        self._refs = refs
        self._dice = random.Random(7)  # noqa: S311 - nothing here is secret
        self.answered = 0
        self.refused: list[RemoteError] = []

    async def client(self) -> None:
        """Call after call, whatever comes up."""
        for _ in range(CALLS_EACH):
            number, token = self._dice.randrange(INSTALLATIONS), self._dice.choice(TOKENS)
            try:
                await self._call(number, token)
            except RemoteError as error:
                self.refused.append(error)
            self.answered += 1

    def _call(self, number: int, token: str) -> Awaitable[Any]:
        match self._dice.randrange(6):
            case 0:
                request = pb.IdentifyInstallationRequest(
                    app_id=APP, installation_id=str(key(number)), user_id=f"user-{number % 5}"
                )
                return self._registry.stub.IdentifyInstallation(request)
            case 1:
                dead = pb.DeadToken(
                    installation_id=key(number).bytes,
                    token_ref=self._refs[token],
                    dead_since=timestamp(self._registry.clock, seconds=1),
                    reason="Unregistered",
                )
                return self._registry.stub.InvalidateTokens(
                    pb.InvalidateTokensRequest(app_id=APP, tokens=[dead])
                )
            case _:
                return self._registry.register(number, token)


@pytest.mark.timeout(60)
async def test_contested_tokens_end_with_one_live_owner_each(tmp_path: Path) -> None:
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        running_registry(database, tmp_path) as registry,
    ):
        await registry.stub.CreateApp(pb.CreateAppRequest(app=app_pb2.App(app_id=APP)))
        keys = read_key_ring(tmp_path)
        hashes = {token: keys.hash(Provider.APNS, plain_token(token)) for token in TOKENS}
        fight = Fight(registry, {token: value[:16] for token, value in hashes.items()})
        async with asyncio.TaskGroup() as group:
            for _ in range(CLIENTS):
                group.create_task(fight.client())
        # Then every token is registered once more, so that each has to have an owner.
        last = [await registry.register(n, token) for n, token in enumerate(TOKENS)]
        async with open_pool(database) as pool:
            rows = await pool.fetch(OWNERS)
    assert fight.answered == CLIENTS * CALLS_EACH
    # An installation cannot be identified before it was registered; nothing else is refused.
    assert {error.kind for error in fight.refused} <= {Kind.NOT_FOUND}
    assert all(answer.outcome for answer in last)
    assert all(row["installation_id"] == row["owner"] for row in rows)
    assert sorted(row["token_hash"] for row in rows) == sorted(hashes.values())
