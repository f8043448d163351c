"""Metrics: one registry, the counts of calls, and the small HTTP server that shows them."""

import asyncio
import time
from bisect import bisect_left
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from itertools import accumulate
from typing import Final

import grpc
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    GCCollector,
    PlatformCollector,
    ProcessCollector,
    generate_latest,
)
from prometheus_client.metrics_core import CounterMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector
from prometheus_client.utils import floatToGoString

from nuncio_runtime.config import ConfigError, split_address

# Everything a service measures is registered here: `Counter(…, registry=REGISTRY)`. Labels take
# values from closed sets only; nothing that a caller can choose becomes a label.
REGISTRY: Final = CollectorRegistry()
ProcessCollector(registry=REGISTRY)
PlatformCollector(registry=REGISTRY)
GCCollector(registry=REGISTRY)

DEPENDENCY_UP: Final = Gauge(
    "dependency_up", "1 when the last check succeeded.", ("dependency",), registry=REGISTRY
)

_READ_SECONDS: Final = 5.0
_PLAIN: Final = "text/plain; charset=utf-8"


# Names of gRPC's statuses, by number.
CODES: Final = {code.value[0]: code.name for code in grpc.StatusCode}

_BOUNDS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
_BUCKETS: Final = [*map(floatToGoString, _BOUNDS), "+Inf"]


class MethodCalls:
    """Counts the calls of one method; `calls_of` gives it.

    Hot path: every call. One thread counts, that of the event loop, which also shows the counts, so
    plain numbers will do; those of prometheus_client take a lock each time.
    Benchmark: `nuncio bench register`.
    """

    __slots__ = ("created", "handled", "in_bucket", "seconds", "started")

    def __init__(self) -> None:
        self.created = time.time()
        self.started = 0
        self.handled = dict.fromkeys(CODES, 0)
        self.seconds = 0.0
        self.in_bucket = [0] * len(_BUCKETS)

    def ended(self, code: int, seconds: float) -> None:
        """Count the end of a call. code: the number of its status; seconds: since it arrived."""
        self.handled[code] += 1
        self.seconds += seconds
        self.in_bucket[bisect_left(_BOUNDS, seconds)] += 1


_METHODS: Final[dict[tuple[str, str], MethodCalls]] = {}


def calls_of(service: str, method: str) -> MethodCalls:
    """What counts the method's calls, one for all servers of the program."""
    return _METHODS.setdefault((service, method), MethodCalls())


class _Calls(Collector):
    """Shows the counts of all methods' calls."""

    def collect(self) -> Iterator[Metric]:
        labels = ("service", "method")
        started = CounterMetricFamily("grpc_server_started", "Calls that arrived.", labels=labels)
        handled = CounterMetricFamily(
            "grpc_server_handled", "Calls that ended.", labels=(*labels, "code")
        )
        took = HistogramMetricFamily(
            "grpc_server_handling_seconds", "From the arrival of a call to its end.", labels=labels
        )
        shows_created = _shows_created()
        for name, calls in _METHODS.items():
            created = calls.created if shows_created else None
            started.add_metric(name, calls.started, created)
            for code, count in calls.handled.items():
                handled.add_metric((*name, CODES[code]), count, created)
            buckets = list(zip(_BUCKETS, accumulate(calls.in_bucket), strict=True))
            took.add_metric(name, buckets, calls.seconds)
            if created is not None:
                took.add_sample(
                    f"{took.name}_created", dict(zip(labels, name, strict=True)), created
                )
        yield from (started, handled, took)

    describe = collect  # So that nobody else takes the names.


def _shows_created() -> bool:
    """Whether prometheus_client shows when a count began; operators may switch that off."""
    (probe,) = Counter("probe", "Nothing.", registry=None).collect()
    return len(probe.samples) > 1


REGISTRY.register(_Calls())


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
