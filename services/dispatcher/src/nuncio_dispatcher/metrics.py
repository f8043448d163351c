"""What the service counts. All labels come from closed sets."""

from collections.abc import Mapping
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from nuncio_dispatcher.domain.lane_status import AlarmCause
from nuncio_dispatcher.domain.model import Provider, Verdict
from nuncio_dispatcher.domain.ports import Backlog
from nuncio_runtime.metrics import REGISTRY

NOTIFICATIONS: Final = Counter(
    "dispatcher_notifications",
    "Answers by provider and verdict; a target that is tried again counts again.",
    ("provider", "verdict"),
    registry=REGISTRY,
)
PAGE_SECONDS: Final = Histogram(
    "dispatcher_page_seconds",
    "From the first request of a page to its last answer.",
    buckets=(0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60),
    registry=REGISTRY,
)
LEASES_LOST: Final = Counter(
    "dispatcher_leases_lost",
    "Shards that another replica took over while they were being worked on.",
    registry=REGISTRY,
)
WAITING: Final = Gauge(
    "dispatcher_waiting_targets", "Targets that wait for one more attempt.", registry=REGISTRY
)
UNREPORTED: Final = Gauge(
    "dispatcher_unreported_pages", "Pages that feedback has not got.", registry=REGISTRY
)
DUE: Final = Gauge(
    "dispatcher_due_shards", "Shards that have something to do now.", registry=REGISTRY
)
ALARMS: Final = Gauge(
    "dispatcher_lane_alarms",
    "Lanes that need somebody to look at them: the credential is refused or unusable, the breaker "
    "is open, or the provider slows them down.",
    ("provider", "cause"),
    registry=REGISTRY,
)

_PROVIDERS: Final = {int(provider): provider.name for provider in Provider}
_VERDICTS: Final = {int(verdict): verdict.name for verdict in Verdict}


class PrometheusMeters:
    """The domain's meters on Prometheus: see ports.Meters and ports.LaneMeters."""

    def page_closed(self, verdicts: Mapping[tuple[int, int], int], *, seconds: float) -> None:
        """Count the answers of a page."""
        PAGE_SECONDS.observe(seconds)
        for (provider, verdict), count in verdicts.items():
            name = _PROVIDERS.get(provider, "OTHER")
            NOTIFICATIONS.labels(name, _VERDICTS[verdict]).inc(count)

    def lease_lost(self) -> None:
        """Count a shard that was taken over."""
        LEASES_LOST.inc()

    def backlog(self, backlog: Backlog) -> None:
        """Show what waits, in all replicas together."""
        WAITING.set(backlog.waiting_targets)
        UNREPORTED.set(backlog.unreported_pages)
        DUE.set(backlog.due_shards)

    def lane_alarms(self, alarms: Mapping[tuple[Provider, AlarmCause], int]) -> None:
        """Show how many lanes need somebody to look at them."""
        for provider in Provider:
            for cause in AlarmCause:
                count = alarms.get((provider, cause), 0)
                ALARMS.labels(provider.name.lower(), cause.value).set(count)
