"""What is shown of the calls is what prometheus_client would show of them."""

import random
from collections.abc import Iterator, Mapping
from typing import Final
from uuid import uuid4

import grpc
import pytest
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    disable_created_metrics,
    enable_created_metrics,
    generate_latest,
)
from prometheus_client.parser import text_string_to_metric_families

from nuncio_runtime.metrics import REGISTRY, calls_of

BUCKETS: Final = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30)
CODES: Final = [code.name for code in grpc.StatusCode]
NUMBERS: Final = {code.name: code.value[0] for code in grpc.StatusCode}


def some_calls() -> Iterator[tuple[str, float]]:
    """Code and seconds of each: at the bounds of the buckets, beyond them, and at random."""
    dice = random.Random(7)  # noqa: S311 - nothing here is secret
    yield from (("OK", seconds) for seconds in (0.0, *BUCKETS, 30.000001, 1000.0))
    yield from ((dice.choice(CODES), dice.expovariate(5)) for _ in range(200))


def by_prometheus_client(service: str) -> CollectorRegistry:
    shown = CollectorRegistry()
    labels = ("service", "method")
    started = Counter("grpc_server_started", "Calls that arrived.", labels, registry=shown)
    handled = Counter("grpc_server_handled", "Calls that ended.", (*labels, "code"), registry=shown)
    seconds = Histogram(
        "grpc_server_handling_seconds",
        "From the arrival of a call to its end.",
        labels,
        buckets=BUCKETS,
        registry=shown,
    )
    for code in CODES:
        handled.labels(service, "Say", code)
    started.labels(service, "Say").inc()
    for code, took in some_calls():
        started.labels(service, "Say").inc()
        handled.labels(service, "Say", code).inc()
        seconds.labels(service, "Say").observe(took)
    return shown


def families(registry: CollectorRegistry, service: str) -> Mapping[str, object]:
    """By name: type, help, and the samples of the service, but for the times."""
    return {
        family.name: (
            family.type,
            family.documentation,
            [
                (sample.name, sample.labels, None if "created" in sample.name else sample.value)
                for sample in family.samples
                if sample.labels["service"] == service
            ],
        )
        for family in text_string_to_metric_families(generate_latest(registry).decode())
        if family.name.startswith("grpc_server_")
    }


@pytest.fixture(params=[True, False], ids=["with times", "without times"])
def _times(request: pytest.FixtureRequest) -> Iterator[None]:
    if not request.param:
        disable_created_metrics()  # type: ignore[no-untyped-call]
    yield
    enable_created_metrics()  # type: ignore[no-untyped-call]


@pytest.mark.usefixtures("_times")
def test_calls_are_shown_as_prometheus_client_would() -> None:
    service = f"tests.S{uuid4().hex}"
    calls = calls_of(service, "Say")
    calls.started += 1  # It has not ended yet.
    for code, seconds in some_calls():
        calls.started += 1
        calls.ended(NUMBERS[code], seconds)
    assert families(REGISTRY, service) == families(by_prometheus_client(service), service)


def test_a_methods_calls_are_counted_together_for_all_servers() -> None:
    service = f"tests.S{uuid4().hex}"
    assert calls_of(service, "Say") is calls_of(service, "Say")
    assert calls_of(service, "Say") is not calls_of(service, "Hear")


def test_nobody_else_can_take_the_names() -> None:
    with pytest.raises(ValueError, match="grpc_server_handled_total"):
        Counter("grpc_server_handled", "Other.", registry=REGISTRY)
