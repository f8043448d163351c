"""Metrics: one registry, and the small HTTP server that shows it."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Final

from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)

from nuncio_runtime.config import ConfigError, split_address

# Everything a service measures is registered here: `Counter(…, registry=REGISTRY)`. Labels take
# values from closed sets only; nothing that a caller can choose becomes a label.
REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

CALLS_STARTED: Final = Counter(
    "grpc_server_started", "Calls that arrived.", ("service", "method"), registry=REGISTRY
)
CALLS_HANDLED: Final = Counter(
    "grpc_server_handled", "Calls that ended.", ("service", "method", "code"), registry=REGISTRY
)
CALL_SECONDS: Final = Histogram(
    "grpc_server_handling_seconds",
    "From the arrival of a call to its end.",
    ("service", "method"),
    buckets=(0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30),
    registry=REGISTRY,
)
DEPENDENCY_UP: Final = Gauge(
    "dependency_up", "1 when the last check succeeded.", ("dependency",), registry=REGISTRY
)

_READ_SECONDS: Final = 5.0
_PLAIN: Final = "text/plain; charset=utf-8"


@asynccontextmanager
async def metrics_server(listen: str, *, healthy: Callable[[], bool]) -> AsyncIterator[int]:
    """Answer GET /metrics and GET /healthz (200 or 503) until left. Gives the port.

    Raises ConfigError when it cannot listen there.
    """

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            async with asyncio.timeout(_READ_SECONDS):
                head = await reader.readuntil(b"\r\n\r\n")
                writer.write(_response(head, healthy=healthy()))
                await writer.drain()
        except (TimeoutError, OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
            pass  # Whoever asked has gone, or does not speak HTTP. Nobody is left to be told.
        finally:
            writer.close()

    host, port = split_address(listen)
    try:
        server = await asyncio.start_server(answer, host, port)
    except OSError as error:
        message = f"{listen}: cannot listen there"
        raise ConfigError(message) from error
    async with server:
        yield server.sockets[0].getsockname()[1]


def _response(head: bytes, *, healthy: bool) -> bytes:
    match head.split(b" ", 2)[:2]:
        case [b"GET", b"/metrics"]:
            return _http("200 OK", CONTENT_TYPE_LATEST, generate_latest(REGISTRY))
        case [b"GET", b"/healthz"] if healthy:
            return _http("200 OK", _PLAIN, b"SERVING\n")
        case [b"GET", b"/healthz"]:
            return _http("503 Service Unavailable", _PLAIN, b"NOT_SERVING\n")
        case [b"GET", _]:
            return _http("404 Not Found", _PLAIN, b"/metrics or /healthz\n")
        case _:
            return _http("405 Method Not Allowed", _PLAIN, b"GET only\n")


def _http(status: str, content_type: str, body: bytes) -> bytes:
    head = (
        f"HTTP/1.1 {status}\r\nContent-Type: {content_type}\r\n"
        f"Content-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + body
