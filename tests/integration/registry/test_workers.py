"""A registry of several worker processes on one port."""

import asyncio
import os
import signal
import socket
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import grpc
import httpx
import pytest

from nuncio.common.v1 import provider_pb2
from nuncio.registry.v1 import app_pb2, token_pb2
from nuncio.registry.v1 import registry_service_pb2 as pb
from nuncio.registry.v1 import registry_service_pb2_grpc as rpc
from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.errors import Kind
from tests.support.postgres import fresh_database
from tests.support.services import ServiceNotStarted, ServiceProcess, service_process
from tests.unit.registry.builders import APP, hex_token, key

# Three processes that import everything, on a busy machine.
pytestmark = pytest.mark.timeout(120)

WORKERS = 2
CHANNELS = 24


def free_ports(count: int) -> int:
    """The first of so many free ports in a row."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as first:
            port = int(first.getsockname()[1])
            try:
                for more in range(1, count):
                    socket.create_server(("127.0.0.1", port + more)).close()
            except OSError:
                continue
            return port


@asynccontextmanager
async def running_workers(folder: Path, **settings: str) -> AsyncIterator[ServiceProcess]:
    """A registry of two workers that has the app of the tests."""
    async with (
        fresh_database("nuncio_registry", "registry") as database,
        service_process(
            "registry",
            database=database,
            KEYS__FOLDER=str(folder),
            KEYS__CREATE="true",
            SERVER__WORKERS=str(WORKERS),
            **settings,
        ) as service,
    ):
        async with connect(service.target) as channel:
            request = pb.CreateAppRequest(app=app_pb2.App(app_id=APP))
            await stub_on(channel).CreateApp(request)
        yield service


def stub_on(channel: grpc.aio.Channel) -> "rpc.RegistryServiceAsyncStub":
    stub: rpc.RegistryServiceAsyncStub = rpc.RegistryServiceStub(channel)
    return stub


@asynccontextmanager
async def stubs(
    service: ServiceProcess, count: int
) -> AsyncIterator[Sequence["rpc.RegistryServiceAsyncStub"]]:
    """Stubs with a connection each."""
    async with AsyncExitStack() as stack:
        channels = [await stack.enter_async_context(connect(service.target)) for _ in range(count)]
        yield [stub_on(channel) for channel in channels]


def registration(number: int) -> pb.Registration:
    return pb.Registration(
        installation_id=str(key(number)),
        platform=provider_pb2.PLATFORM_IOS,
        token=token_pb2.Token(apns=hex_token()),
    )


def pids(service: ServiceProcess) -> dict[int, int]:
    """The newest process of each worker."""
    return {line["worker"]: line["pid"] for line in service.events("worker_started")}


async def ended(pid: int) -> None:
    """Wait until there is no such process."""
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    loop.add_reader(descriptor, over.set)
    try:
        await over.wait()
    finally:
        loop.remove_reader(descriptor)
        os.close(descriptor)


async def metric(port: int, name: str) -> float:
    """The sum of a metric over its labels, as a process shows it."""
    async with httpx.AsyncClient() as http:
        page = (await http.get(f"http://127.0.0.1:{port}/metrics")).text
    lines = [line.split() for line in page.splitlines()]
    return sum(float(value) for full, value in _pairs(lines) if full.partition("{")[0] == name)


def _pairs(lines: list[list[str]]) -> list[tuple[str, str]]:
    return [(" ".join(words[:-1]), words[-1]) for words in lines if words and words[0] != "#"]


async def test_many_connections_reach_all_workers(tmp_path: Path) -> None:
    base = free_ports(WORKERS + 1)
    metrics = f"127.0.0.1:{base}"
    async with running_workers(tmp_path, SERVER__METRICS_LISTEN=metrics) as service:
        async with stubs(service, CHANNELS) as many:
            for stub in many:
                await stub.GetApp(pb.GetAppRequest(app_id=APP))
        shares = [
            await metric(base + number, "grpc_server_handled_total")
            for number in range(1, WORKERS + 1)
        ]
        assert sum(shares) == CHANNELS + 1  # And the one that created the app.
        assert min(shares) > 0
        assert await metric(base, "workers_listening") == WORKERS
    (started,) = service.events("server_started")
    assert started["workers"] == WORKERS
    assert "worker" not in started
    assert {line["worker"] for line in service.events("server_stopped")} == {1, 2}


async def register_again_and_again(
    stub: "rpc.RegistryServiceAsyncStub",
    numbers: Sequence[int],
    kept: set[int],
    busy: asyncio.Event,
) -> int:
    """Register each number until it is acknowledged; returns how often that took a second try.

    busy: set when all connections have something to lose.
    """
    repeats = 0
    for number in numbers:
        request = pb.RegisterTokenRequest(app_id=APP, registration=registration(number))
        while number not in kept:
            try:
                await stub.RegisterToken(request, wait_for_ready=True)
            except RemoteError as error:
                if error.kind is not Kind.UNAVAILABLE:
                    raise
                repeats += 1
            else:
                kept.add(number)
        if len(kept) > CHANNELS:
            busy.set()
    return repeats


async def test_a_worker_that_is_killed_takes_nothing_with_it_and_comes_back(tmp_path: Path) -> None:
    async with running_workers(tmp_path) as service, stubs(service, CHANNELS) as many:
        victim = pids(service)[1]
        kept, busy = set[int](), asyncio.Event()
        async with asyncio.TaskGroup() as group:
            working = [
                group.create_task(
                    register_again_and_again(stub, range(at, 40 * CHANNELS, CHANNELS), kept, busy)
                )
                for at, stub in enumerate(many)
            ]
            await busy.wait()
            os.kill(victim, signal.SIGKILL)
        repeats = [task.result() for task in working]
        assert 0 in repeats, "no connection was left alone"
        await service.logged("worker_started", times=WORKERS + 1)
        assert pids(service)[1] != victim
        (over,) = service.events("worker_ended")
        assert (over["worker"], over["exit_code"]) == (1, -signal.SIGKILL)
        listed = [number async for number in installations(many[0])]
        assert len(listed) == len(kept) == 40 * CHANNELS
        os.kill(pids(service)[2], signal.SIGTERM)  # One that is asked to end is replaced, too.
        await service.logged("worker_started", times=WORKERS + 2)
        assert service.events("worker_ended")[-1]["exit_code"] == 0
        assert await service.stop() == 0


async def installations(stub: "rpc.RegistryServiceAsyncStub") -> AsyncIterator[str]:
    request = pb.ListInstallationsRequest(app_id=APP, page_size=1000)
    while True:
        page = await stub.ListInstallations(request)
        for installation in page.installations:
            yield installation.installation_id
        if not page.next_page_token:
            return
        request.page_token = page.next_page_token


async def test_a_drain_lets_the_calls_of_all_workers_finish(tmp_path: Path) -> None:
    async with running_workers(tmp_path) as service, stubs(service, CHANNELS) as many:
        calls = [stub.RegisterTokens() for stub in many]
        for number, call in enumerate(calls):
            await call.write(page_of(number))
            assert isinstance(await call.read(), pb.RegisterTokensResponse)
        service.process.terminate()
        draining = await service.logged("server_draining", times=WORKERS)
        assert {line["worker"] for line in draining} == {1, 2}
        for number, call in enumerate(calls):
            await call.write(page_of(CHANNELS + number))
            await call.done_writing()
            assert isinstance(await call.read(), pb.RegisterTokensResponse)
        assert await service.process.wait() == 0


def page_of(number: int) -> pb.RegisterTokensRequest:
    return pb.RegisterTokensRequest(app_id=APP, registrations=[registration(number)])


async def test_the_workers_end_with_their_supervisor_however_it_ends(tmp_path: Path) -> None:
    async with running_workers(tmp_path) as service:
        workers = pids(service).values()
        await service.kill()
        await asyncio.gather(*map(ended, workers))
    # They were told, and not cut off.
    assert {line["worker"] for line in service.events("server_stopped")} == {1, 2}


async def test_what_is_wrong_with_the_settings_ends_the_whole_and_is_told_once(
    tmp_path: Path,
) -> None:
    async with fresh_database("nuncio_registry", "registry") as database:
        with pytest.raises(ServiceNotStarted) as failed:
            async with service_process(
                "registry",
                database=database,
                KEYS__FOLDER=str(tmp_path / "none"),
                SERVER__WORKERS=str(WORKERS),
            ):
                pass
    assert str(failed.value).count("there is no lookup.key") == 1


async def test_a_port_that_is_taken_is_refused(tmp_path: Path) -> None:
    """Also when who has it would share it, as the workers of another registry do."""
    async with fresh_database("nuncio_registry", "registry") as database:
        with (
            socket.create_server(("127.0.0.1", 0), reuse_port=True) as taken,
            pytest.raises(ServiceNotStarted, match="cannot listen there"),
        ):
            async with service_process(
                "registry",
                database=database,
                KEYS__FOLDER=str(tmp_path),
                KEYS__CREATE="true",
                SERVER__LISTEN=f"127.0.0.1:{taken.getsockname()[1]}",
                SERVER__WORKERS=str(WORKERS),
            ):
                pass
