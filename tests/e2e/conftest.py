"""One suite for all tests that leave it as they found it."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from nuncio_simulator.client import AdminClient
from nuncio_simulator.contract import ProviderName, Shares
from tests.e2e.running import RunningSuite, running_suite
from tests.support.folders import reachable_folder

APP = "demo"  # The app that `nuncio up --with-simulator` makes, with credentials.
PER_PLATFORM = 20
ALL_ALIVE = Shares(dead=0, dead_before=0, throttled=0, slow=0)


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """Of all suites here."""
    with reachable_folder() as made:
        yield made


@pytest.fixture(scope="session")
def suite(folder: Path) -> Iterator[RunningSuite]:
    with running_suite(folder / "shared") as started:
        yield started


class Installations:
    """Installations that were imported, and the tokens that nobody may see."""

    def __init__(self, file: Path, secrets: list[str], users: list[str]) -> None:
        self.file = file
        self.secrets = secrets
        self.users = users


@pytest.fixture(scope="session")
def installations(suite: RunningSuite, folder: Path) -> Installations:
    """Live ones on three platforms, registered through `nuncio tokens import`."""
    rows, secrets = asyncio.run(_minted(suite.simulator))
    file = folder / "installations.ndjson"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    summary = suite.json("tokens", "import", str(file), "--app", APP)
    assert summary["outcomes"] == {"created": len(rows)}, summary
    return Installations(file, secrets, [str(row["user_id"]) for row in rows])


async def _minted(admin_url: str) -> tuple[list[dict[str, object]], list[str]]:
    async with AdminClient(admin_url) as simulator:
        apns = await simulator.mint(ProviderName.APNS, PER_PLATFORM, shares=ALL_ALIVE)
        fcm = await simulator.mint(ProviderName.FCM, PER_PLATFORM, shares=ALL_ALIVE)
        web = await simulator.mint(ProviderName.WEBPUSH, PER_PLATFORM, shares=ALL_ALIVE)
    addresses: list[dict[str, str]] = [
        *({"platform": "ios", "token": token} for token in apns.tokens),
        *({"platform": "android", "token": token} for token in fcm.tokens),
        *({"platform": "web", **one.model_dump()} for one in web.subscriptions),
    ]
    rows: list[dict[str, object]] = [
        {**address, "user_id": f"u-{uuid4()}", "permission": "granted", "topics": ["news"]}
        for address in addresses
    ]
    endpoints = [one.endpoint for one in web.subscriptions]
    keys = [key for one in web.subscriptions for key in (one.p256dh, one.auth)]
    return rows, [*apns.tokens, *fcm.tokens, *endpoints, *keys]
