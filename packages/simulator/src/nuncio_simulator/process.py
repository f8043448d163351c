"""A simulator as a process of its own, for tests and command lines."""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from nuncio_simulator.client import AdminClient
from nuncio_simulator.contract import Model
from nuncio_simulator.options import DESCRIPTION

READY_SECONDS: Final = 20.0
STOP_SECONDS: Final = 5.0


class ApnsAccess(Model):
    """What a client of APNs needs."""

    origin: str
    sandbox_origin: str
    team_id: str
    key_id: str
    key_file: Path
    topics: list[str]
    other_key_id: str = ""
    """A key of the same team that is not related to the first."""
    other_key_file: Path | None = None
    sandbox_key_id: str = ""
    """A key for the sandbox only."""
    sandbox_key_file: Path | None = None
    client_certificate_file: Path | None = None
    """For the first topic, its voip and its complication, in both environments."""
    client_key_file: Path | None = None
    sandbox_client_certificate_file: Path | None = None
    """For the first topic, in the sandbox only."""
    sandbox_client_key_file: Path | None = None
    wrong_client_certificate_file: Path | None = None
    """For no topic."""
    wrong_client_key_file: Path | None = None


class FcmAccess(Model):
    """What a client of FCM needs."""

    origin: str
    token_uri: str
    project_id: str
    service_account_file: Path


class WebPushAccess(Model):
    """What a client of Web Push needs."""

    origin: str
    vapid_private_key_file: Path
    vapid_public_key: str
    subject: str


class Description(Model):
    """simulator.json."""

    pid: int
    admin_url: str
    ca_file: Path
    apns: ApnsAccess
    fcm: FcmAccess
    webpush: WebPushAccess


@dataclass(frozen=True, slots=True)
class Simulator:
    """A running simulator."""

    description: Description
    admin: AdminClient

    @property
    def ca_file(self) -> Path:
        """The certificate authority to trust."""
        return self.description.ca_file

    @property
    def apns(self) -> ApnsAccess:
        """Origins and credentials of APNs."""
        return self.description.apns

    @property
    def fcm(self) -> FcmAccess:
        """Origin and credentials of FCM."""
        return self.description.fcm

    @property
    def webpush(self) -> WebPushAccess:
        """Origin and credentials of Web Push."""
        return self.description.webpush


class SimulatorDidNotStartError(Exception):
    """The simulator ended, or said nothing, before it was ready; its standard error says why."""


def read_description(folder: Path) -> Description:
    """What the simulator that serves from this folder says of itself."""
    return Description.model_validate_json((folder / DESCRIPTION).read_bytes())


@asynccontextmanager
async def start_simulator(
    folder: Path, **options: str | float | list[str]
) -> AsyncIterator[Simulator]:
    """A simulator from start to end of the block.

    options: those of the command line, as in apns_port=0, dead_share=1.0, apns_topic=["a", "b"].
    Raises SimulatorDidNotStartError.
    """
    arguments = ["-m", "nuncio_simulator", "serve", "--folder", str(folder), *_flags(options)]
    process = await asyncio.create_subprocess_exec(
        sys.executable, *arguments, stdout=asyncio.subprocess.PIPE
    )
    try:
        await _await_ready(process)
        description = read_description(folder)
        async with AdminClient(description.admin_url) as admin:
            yield Simulator(description, admin)
    finally:
        await _end(process)


def _flags(options: dict[str, str | float | list[str]]) -> list[str]:
    flags: list[str] = []
    for name, value in options.items():
        flag = "--" + name.replace("_", "-")
        if value is True:
            flags.append(flag)
        else:
            for item in value if isinstance(value, list) else [value]:
                flags += [flag, str(item)]
    return flags


async def _await_ready(process: asyncio.subprocess.Process) -> None:
    assert process.stdout is not None
    try:
        async with asyncio.timeout(READY_SECONDS):
            line = await process.stdout.readline()
    except TimeoutError as error:
        raise SimulatorDidNotStartError from error
    if not line:
        raise SimulatorDidNotStartError


async def _end(process: asyncio.subprocess.Process) -> None:
    """Ask, then insist."""
    if process.returncode is None:
        process.terminate()
    try:
        async with asyncio.timeout(STOP_SECONDS):
            await process.communicate()
    except TimeoutError:
        process.kill()
        await process.communicate()
