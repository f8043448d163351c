"""The life of a server: start, serve, drain, stop."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager
from typing import Any, NamedTuple

import grpc
import structlog
from google.protobuf.descriptor import ServiceDescriptor
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2_grpc

from nuncio_runtime.config import ConfigError, ServerSettings, split_address
from nuncio_runtime.health import Health
from nuncio_runtime.interceptors.pipeline import Pipeline
from nuncio_runtime.metrics import metrics_server
from nuncio_runtime.tls import server_credentials
from nuncio_runtime.worker import current_worker

log = structlog.get_logger(__name__)

Background = Callable[[], Coroutine[Any, Any, None]]


class Mount(NamedTuple):
    """A servicer and where it belongs.

    add: the generated `add_XServicer_to_server`. service: its descriptor,
    `x_service_pb2.DESCRIPTOR.services_by_name["XService"]`. self_checked: names of the methods
    whose messages the servicer checks itself, with `validation.check` or, by rows, `violations`.
    """

    add: Callable[[Any, grpc.aio.Server], None]
    servicer: object
    service: ServiceDescriptor
    self_checked: frozenset[str] = frozenset()


async def serve(
    settings: ServerSettings,
    mounts: Sequence[Mount],
    *,
    checks: Mapping[str, Callable[[], Awaitable[bool]]] | None = None,
    dispensable: Collection[str] = (),
    background: Sequence[Background] = (),
    stop: asyncio.Event | None = None,
    started: Callable[[int], None] | None = None,
    draining: Callable[[], None] | None = None,
) -> None:
    """Serve until SIGTERM, SIGINT or `stop`, then drain and return.

    checks: dependencies by name; while one fails, health says NOT_SERVING. dispensable: names of
    those whose failing is only told, as `dependency/name` and in the metrics. background: coroutine
    functions that run beside the server; when one raises, the server drains and the error is
    raised. started: told the port once calls are taken. draining: called once, when the drain
    begins, so that the background takes up nothing new while running calls finish.

    The order of stopping: `draining`, health NOT_SERVING, no new calls, running ones get
    `drain_grace`, then the background is cancelled. What the services use is closed by the caller,
    after that.
    """
    stop = stop or asyncio.Event()
    names = [mount.service.full_name for mount in mounts]
    health = Health(names, checks or {}, dispensable=dispensable)
    failures: list[Exception] = []
    async with AsyncExitStack() as stack:
        stack.enter_context(signals_set(stop))
        if settings.metrics_listen:
            metrics = metrics_server(settings.metrics_listen, healthy=lambda: health.serving)
            await stack.enter_async_context(metrics)
        await health.check_once()
        server = _build(settings, mounts, health)
        port = _bind(server, settings)
        await server.start()
        _announce(settings, port, started)
        async with asyncio.TaskGroup() as group:
            works = (health.keep_checking, *background)
            tasks = [group.create_task(_watched(work, stop, failures)) for work in works]
            try:
                await stop.wait()
            finally:
                if draining is not None:
                    draining()
                await _drain(server, health, settings)
            for task in tasks:
                task.cancel()
    if failures:
        raise failures[0]


def _build(settings: ServerSettings, mounts: Sequence[Mount], health: Health) -> grpc.aio.Server:
    self_checked = {
        f"{mount.service.full_name}/{method}" for mount in mounts for method in mount.self_checked
    }
    server = grpc.aio.server(options=_options(settings))
    pipeline: Any = Pipeline(
        server,
        default_deadline=settings.default_deadline.total_seconds(),
        self_checked=frozenset(self_checked),
    )
    for mount in mounts:
        mount.add(mount.servicer, pipeline)
    health_pb2_grpc.add_HealthServicer_to_server(health, pipeline)
    if settings.reflection:
        services = [mount.service.full_name for mount in mounts]
        services += [health_pb2.DESCRIPTOR.services_by_name["Health"].full_name]
        names = [*services, reflection.SERVICE_NAME]
        reflection_pb2_grpc.add_ServerReflectionServicer_to_server(
            reflection.aio.ReflectionServicer(names), pipeline
        )
    return server


def _options(settings: ServerSettings) -> list[tuple[str, int]]:
    return [
        ("grpc.max_receive_message_length", settings.max_message_bytes),
        ("grpc.max_send_message_length", settings.max_message_bytes),
        # Clients may ask whether we are alive, also when idle, oftener than `client.connect` does:
        # gRPC's own limit is five minutes, and it ends the connections of those who ask sooner.
        ("grpc.keepalive_permit_without_calls", 1),
        ("grpc.http2.min_ping_interval_without_data_ms", 1_000),
        # A port that is taken is an error, not a second server on the same port. For workers their
        # supervisor sees to that.
        ("grpc.so_reuseport", int(current_worker.get() is not None)),
    ]


def _bind(server: grpc.aio.Server, settings: ServerSettings) -> int:
    credentials = server_credentials(settings)
    try:
        if credentials is None:
            return server.add_insecure_port(settings.listen)
        return server.add_secure_port(settings.listen, credentials)
    except RuntimeError as error:
        message = f"{settings.listen}: cannot listen there"
        raise ConfigError(message) from error


def _announce(settings: ServerSettings, port: int, started: Callable[[int], None] | None) -> None:
    host, _ = split_address(settings.listen)
    tls = settings.tls_certificate_file is not None
    worker = current_worker.get()
    if worker is None:
        log.info("server_started", host=host, port=port, tls=tls)
    else:
        log.info("worker_started", host=host, port=port, tls=tls, pid=os.getpid())
        worker.listens()
    if started is not None:
        started(port)


async def _drain(server: grpc.aio.Server, health: Health, settings: ServerSettings) -> None:
    log.info("server_draining", grace_seconds=settings.drain_grace.total_seconds())
    await health.drain()
    await server.stop(settings.drain_grace.total_seconds())
    log.info("server_stopped")


async def _watched(work: Background, stop: asyncio.Event, failures: list[Exception]) -> None:
    """Run beside the server. A failure stops the server in good order, and is raised after it."""
    try:
        await work()
    except Exception as error:
        log.error("background_failed", work=getattr(work, "__qualname__", ""), exc_info=error)
        failures.append(error)
        stop.set()


@contextmanager
def signals_set(stop: asyncio.Event) -> Iterator[None]:
    """While inside, SIGTERM and SIGINT set the event instead of ending the process."""
    loop = asyncio.get_running_loop()
    signals = (signal.SIGTERM, signal.SIGINT)
    for number in signals:
        loop.add_signal_handler(number, stop.set)
    try:
        yield
    finally:
        for number in signals:
            loop.remove_signal_handler(number)
