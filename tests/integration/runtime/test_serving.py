"""The life of a server: health, reflection, metrics, drain, TLS, crashes beside it."""

import asyncio
import signal
import socket
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import grpc
import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from nuncio_runtime.client import RemoteError, connect
from nuncio_runtime.config import ConfigError, ServerSettings
from nuncio_runtime.errors import Kind
from tests.integration.runtime.echo import SERVICE, Echo, EchoStub, Words, mount
from tests.integration.runtime.running import running

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING


async def health_of(channel: grpc.aio.Channel, service: str) -> int:
    request = health_pb2.HealthCheckRequest(service=service)
    answer = await health_pb2_grpc.HealthStub(channel).Check(request)
    return int(answer.status)


async def ask_until_refused(channel: grpc.aio.Channel) -> None:
    """Calls that arrive before the door is closed are still taken."""
    while True:
        await health_of(channel, SERVICE)


async def test_health_answers_for_the_whole_and_for_each_service() -> None:
    async with running([mount(Echo())]) as address, connect(address) as channel:
        assert await health_of(channel, "") == SERVING
        assert await health_of(channel, SERVICE) == SERVING
        with pytest.raises(RemoteError) as unknown:
            await health_of(channel, "tests.Nothing")
    assert unknown.value.kind is Kind.NOT_FOUND


async def test_a_failing_dependency_takes_the_services_down_with_it() -> None:
    async def fails() -> bool:
        raise ConnectionRefusedError

    async def works() -> bool:
        return True

    checks = {"storage": fails, "peer": works}
    async with running([mount(Echo())], checks=checks) as address, connect(address) as channel:
        assert await health_of(channel, SERVICE) == NOT_SERVING
        assert await health_of(channel, "dependency/storage") == NOT_SERVING
        assert await health_of(channel, "dependency/peer") == SERVING
        everything = await health_pb2_grpc.HealthStub(channel).List(health_pb2.HealthListRequest())
        assert len(everything.statuses) == 4


async def test_those_who_watch_health_are_told_of_the_drain_and_do_not_delay_it() -> None:
    stop = asyncio.Event()
    async with running([mount(Echo())], stop=stop) as address, connect(address) as channel:
        request = health_pb2.HealthCheckRequest(service=SERVICE)
        watch = aiter(health_pb2_grpc.HealthStub(channel).Watch(request))
        assert (await anext(watch)).status == SERVING
        stop.set()
        assert (await anext(watch)).status == NOT_SERVING
        with pytest.raises(StopAsyncIteration):
            await anext(watch)


async def test_reflection_lists_the_services() -> None:
    async def ask() -> AsyncIterator[Any]:
        yield reflection_pb2.ServerReflectionRequest(list_services="")

    async with running([mount(Echo())]) as address, connect(address) as channel:
        stub = reflection_pb2_grpc.ServerReflectionStub(channel)
        answers = [answer async for answer in stub.ServerReflectionInfo(ask())]
    names = {service.name for service in answers[0].list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names


class Slow(Echo):
    """Answers when told to."""

    def __init__(self) -> None:
        self.reached = asyncio.Event()
        self.release = asyncio.Event()

    async def say(self, request: Any, _context: Any) -> Any:
        self.reached.set()
        await self.release.wait()
        return request


async def test_a_running_call_may_finish_while_the_server_drains() -> None:
    stop, servicer = asyncio.Event(), Slow()
    async with running([mount(servicer)], stop=stop) as address, connect(address) as channel:
        call = asyncio.ensure_future(EchoStub(channel).Say(Words(text="late")))
        await servicer.reached.wait()
        stop.set()
        async with connect(address) as newcomer:
            with pytest.raises(RemoteError):
                await ask_until_refused(newcomer)
        servicer.release.set()
        assert (await call).text == "late"


async def test_a_call_that_outlasts_the_grace_is_ended() -> None:
    stop, servicer = asyncio.Event(), Slow()
    settings = ServerSettings(drain_grace=timedelta(milliseconds=50))
    async with (
        running([mount(servicer)], stop=stop, settings=settings) as address,
        connect(address) as channel,
    ):
        call = asyncio.ensure_future(EchoStub(channel).Say(Words()))
        await servicer.reached.wait()
        stop.set()
        with pytest.raises(RemoteError):
            await call


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_signal_stops_the_server(number: signal.Signals) -> None:
    async with (
        asyncio.timeout(5),
        running([mount(Echo())]) as address,
        connect(address) as channel,
    ):
        # Whoever connects while it stops may wait for it for long: the system takes the connection.
        await health_of(channel, SERVICE)
        signal.raise_signal(number)
        with pytest.raises(RemoteError):
            await ask_until_refused(channel)


async def test_background_runs_beside_the_server_and_is_cancelled_after_the_drain() -> None:
    events: list[str] = []

    async def work() -> None:
        events.append("started")
        try:
            await asyncio.Event().wait()
        finally:
            events.append("cancelled")

    async with running([mount(Echo())], background=[work]) as address, connect(address) as channel:
        await EchoStub(channel).Say(Words())
        assert events == ["started"]
    assert events == ["started", "cancelled"]


async def test_the_background_learns_of_the_drain_while_calls_may_still_finish() -> None:
    stop, told, servicer = asyncio.Event(), asyncio.Event(), Slow()
    tellings: list[int] = []

    async def work() -> None:
        await told.wait()
        servicer.release.set()
        await asyncio.Event().wait()

    def draining() -> None:
        tellings.append(1)
        told.set()

    async with (
        running([mount(servicer)], background=[work], stop=stop, draining=draining) as address,
        connect(address) as channel,
    ):
        call = asyncio.ensure_future(EchoStub(channel).Say(Words(text="late")))
        await servicer.reached.wait()
        assert tellings == []
        stop.set()
        # It is answered by the background only, so the background has not been cancelled yet.
        assert (await call).text == "late"
    assert tellings == [1]


async def test_a_crash_in_the_background_tells_the_rest_of_it_to_drain() -> None:
    told = asyncio.Event()

    async def work() -> None:
        raise LookupError("lost")

    with pytest.raises(ExceptionGroup):
        async with running([], background=[work], draining=told.set):
            pass
    assert told.is_set()


async def test_a_crash_in_the_background_stops_the_server_and_is_raised() -> None:
    async def work() -> None:
        raise LookupError("lost")

    with pytest.raises(ExceptionGroup) as failed:
        async with running([mount(Echo())], background=[work]):
            pass
    assert failed.group_contains(LookupError, match="lost")


async def test_background_that_ends_by_itself_leaves_the_server_alone() -> None:
    async def work() -> None:
        pass

    async with running([mount(Echo())], background=[work]) as address, connect(address) as channel:
        assert await health_of(channel, SERVICE) == SERVING


async def test_a_port_that_is_taken_is_refused() -> None:
    async with running([]) as address:
        with pytest.raises(ExceptionGroup) as failed:
            async with running([], settings=ServerSettings(listen=address)):
                pass
    assert failed.group_contains(ConfigError, match="cannot listen")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


async def test_metrics_count_calls_by_method_and_code() -> None:
    metrics = f"127.0.0.1:{free_port()}"
    settings = ServerSettings(metrics_listen=metrics)
    async with running([mount(Echo())], settings=settings) as address, connect(address) as channel:
        await EchoStub(channel).Say(Words())
        with pytest.raises(RemoteError):
            await EchoStub(channel).Say(Words(text="x" * 21))
        async with httpx.AsyncClient(base_url=f"http://{metrics}") as http:
            page = (await http.get("/metrics")).text
            assert (await http.get("/healthz")).status_code == 200
            assert (await http.get("/")).status_code == 404
            assert (await http.post("/metrics")).status_code == 405
    for code in ("OK", "INVALID_ARGUMENT"):
        labels = f'code="{code}",method="Say",service="{SERVICE}"'
        assert f"grpc_server_handled_total{{{labels}}}" in page
    assert "grpc_server_handling_seconds_bucket" in page


async def test_healthz_says_when_a_dependency_is_down() -> None:
    async def fails() -> bool:
        return False

    metrics = f"127.0.0.1:{free_port()}"
    settings = ServerSettings(metrics_listen=metrics)
    async with (
        running([], settings=settings, checks={"storage": fails}),
        httpx.AsyncClient(base_url=f"http://{metrics}") as http,
    ):
        assert (await http.get("/healthz")).status_code == 503


def write_certificate(folder: Path, serial: int) -> tuple[Path, Path]:
    """A self-signed certificate for localhost, as files."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "localhost")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder(name, name, key.public_key(), serial)
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName("localhost")]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "server.pem", folder / "server.key"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    return certificate_file, key_file


async def say_over_tls(port: str, ca_file: Path) -> str:
    async with connect(f"localhost:{port}", ca_file=ca_file) as channel:
        return str((await EchoStub(channel).Say(Words(text="hidden"))).text)


async def test_tls_files_are_taken_up_again_when_they_change(tmp_path: Path) -> None:
    certificate_file, key_file = write_certificate(tmp_path, 1)
    settings = ServerSettings(tls_certificate_file=certificate_file, tls_key_file=key_file)
    async with running([mount(Echo())], settings=settings) as address:
        port = address.rpartition(":")[2]
        assert await say_over_tls(port, certificate_file) == "hidden"
        old = tmp_path / "old.pem"
        old.write_bytes(certificate_file.read_bytes())
        write_certificate(tmp_path, 2)
        assert await say_over_tls(port, certificate_file) == "hidden"
        with pytest.raises(RemoteError):
            await say_over_tls(port, old)


async def test_tls_files_that_turn_bad_are_passed_over(tmp_path: Path) -> None:
    certificate_file, key_file = write_certificate(tmp_path, 1)
    settings = ServerSettings(tls_certificate_file=certificate_file, tls_key_file=key_file)
    known = tmp_path / "known.pem"
    known.write_bytes(certificate_file.read_bytes())
    async with running([mount(Echo())], settings=settings) as address:
        certificate_file.write_text("half written")
        assert await say_over_tls(address.rpartition(":")[2], known) == "hidden"


async def test_tls_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    certificate_file, _ = write_certificate(tmp_path, 1)
    settings = ServerSettings(
        tls_certificate_file=certificate_file, tls_key_file=tmp_path / "missing.key"
    )
    with pytest.raises(ExceptionGroup) as failed:
        async with running([], settings=settings):
            pass
    assert failed.group_contains(ConfigError, match=r"missing\.key")
