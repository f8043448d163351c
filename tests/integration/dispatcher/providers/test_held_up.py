"""`nuncio send --wait` while lanes cannot send: which, why, and what to do; and when they can."""

import asyncio
import json
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import asyncpg
import pytest

from nuncio.dispatcher.v1 import dispatcher_service_pb2 as pb
from nuncio.dispatcher.v1 import dispatcher_service_pb2_grpc as rpc
from nuncio_cli.held_up import lanes_of
from nuncio_dispatcher.api.servicer import DispatcherServicer
from nuncio_dispatcher.domain.browse import Browse
from nuncio_dispatcher.domain.create import Create
from nuncio_dispatcher.domain.direct import Direct
from nuncio_dispatcher.domain.lanes import LaneDesk
from nuncio_dispatcher.domain.run import Runner
from nuncio_dispatcher.domain.watch import Changes, Watch
from nuncio_dispatcher.domain.work import Worker
from nuncio_dispatcher.providers.book import FolderBook
from nuncio_dispatcher.providers.lanes import FolderLanes
from nuncio_dispatcher.storage.postgres import PostgresDispatches, PostgresJournal
from nuncio_runtime.client import connect
from nuncio_runtime.clock import SYSTEM_CLOCK
from nuncio_runtime.serve import Mount
from nuncio_simulator.process import Simulator
from tests.integration.dispatcher.providers.sending import APP, write_credentials
from tests.integration.dispatcher.replica import BRISK, QUICK
from tests.integration.dispatcher.scripted import CountingMeters, ScriptedTargeting
from tests.integration.runtime.running import running

pytestmark = pytest.mark.timeout(30)

LANES = [f"{provider}/{APP}/production" for provider in ("apns", "fcm", "web_push")]
SECTIONS = ("apns.production", "fcm", "web_push")


@pytest.fixture
async def target(pool: "asyncpg.Pool[asyncpg.Record]", tmp_path: Path) -> AsyncIterator[str]:
    """A dispatcher at work, with no credentials yet, and an audience of three providers."""
    lanes, targeting, changes = (
        FolderLanes(tmp_path, clock=SYSTEM_CLOCK), ScriptedTargeting(3), Changes()
    )  # fmt: skip
    dispatches, journal, meters = PostgresDispatches(pool), PostgresJournal(pool), CountingMeters()
    watch = Watch(dispatches, changes, SYSTEM_CLOCK)
    worker = Worker(
        journal,
        targeting,
        lanes,
        clock=SYSTEM_CLOCK,
        retry=QUICK,
        send_within=BRISK.send_within,
        meters=meters,
        committed=changes.notify,
    )
    runner = Runner(
        journal,
        worker,
        clock=SYSTEM_CLOCK,
        policy=BRISK,
        meters=meters,
        committed=changes.notify,
    )
    servicer = DispatcherServicer(
        dispatches,
        Create(dispatches, targeting, lanes, clock=SYSTEM_CLOCK, shards=1, created=lambda _: None),
        Browse(dispatches, targeting),
        watch,
        Direct(lanes, clock=SYSTEM_CLOCK),
        LaneDesk(FolderBook(lanes, clock=SYSTEM_CLOCK)),
    )
    service = pb.DESCRIPTOR.services_by_name["DispatcherService"]
    mount = Mount(rpc.add_DispatcherServiceServicer_to_server, servicer, service)
    async with running([mount]) as address:
        tasks = [asyncio.create_task(run()) for run in (runner.run, watch.keep_looking)]
        yield address
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
    await lanes.aclose()


@asynccontextmanager
async def sending(target: str, *more: str) -> AsyncIterator[Process]:
    """`nuncio send --wait` while it runs."""
    words = ("send", "--app", APP, "--audience", "all()", "--title", "Hello", "--wait", *more)
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "nuncio_cli", *words, "--dispatcher", target),
        stdout=PIPE,
        stderr=PIPE,
    )
    try:
        yield process
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def line_of(stream: asyncio.StreamReader | None) -> str:
    assert stream is not None
    return (await stream.readline()).decode()


async def document(process: Process) -> Any:
    return json.loads(await line_of(process.stdout))


async def test_people_are_told_which_lanes_wait_and_when_they_send_again(
    target: str, simulator: Simulator, tmp_path: Path
) -> None:
    async with sending(target) as process:
        first = await line_of(process.stdout)
        assert first.startswith("dispatch ")
        for lane, section in zip(LANES, SECTIONS, strict=True):
            line = await line_of(process.stderr)
            while "lane */" in line:  # No row had asked for a lane yet.
                line = await line_of(process.stderr)
            assert f"lane {lane} waits: misconfigured: NO_CREDENTIAL" in line
            assert f"{APP}.toml has no section {section}" in line
            assert "NUNCIO_DISPATCHER_CREDENTIALS" in line
        write_credentials(tmp_path, simulator, "multiplex")
        out, err = await process.communicate()
    # Said once: after the beginning only that they send again, if it was not over before.
    assert "waits" not in err.decode()
    shown = out.decode().splitlines()[0]
    assert shown.split() == ["dispatch", first.split()[1], "completed"]


async def test_an_app_without_anything_is_told_as_a_whole(target: str) -> None:
    async with connect(target) as channel:
        found = await lanes_of(rpc.DispatcherServiceStub(channel), "com.example.other")
    assert found is not None
    (every,) = found.held_up
    assert (every.lane, every.reason) == ("*/com.example.other/*", "NO_CREDENTIAL")
    assert "com.example.other.toml" in every.advice


async def test_a_dispatcher_that_is_gone_says_nothing_of_lanes() -> None:
    async with connect("127.0.0.1:1") as channel:
        assert await lanes_of(rpc.DispatcherServiceStub(channel), APP) is None


async def test_programs_are_told_in_the_lines_of_the_dispatch(
    target: str, simulator: Simulator, tmp_path: Path
) -> None:
    async with sending(target, "--json") as process:
        created = now = await document(process)
        assert (created["app_id"], created["state"]) == (APP, "accepted")
        while len(now.get("held_up", ())) < len(LANES):
            now = await document(process)
        assert now["dispatch_id"] == created["dispatch_id"]
        assert [each["lane"] for each in now["held_up"]] == LANES
        assert {each["state"] for each in now["held_up"]} == {"misconfigured"}
        write_credentials(tmp_path, simulator, "multiplex")
        out, _ = await process.communicate()
    last = json.loads(out.splitlines()[-1])
    assert (last["state"], last["held_up"]) == ("completed", [])
