"""What the service counts. All labels come from closed sets."""

from collections import Counter as Count
from collections.abc import Sequence
from typing import Final

from prometheus_client import Counter, Gauge

from nuncio_feedback.domain.model import InvalidationOutcome, OutcomePage, Provider, Verdict
from nuncio_runtime.metrics import REGISTRY

PAGES: Final = Counter(
    "feedback_pages",
    "Pages of outcomes, and whether they were new.",
    ("result",),
    registry=REGISTRY,
)
OUTCOMES: Final = Counter(
    "feedback_outcomes",
    "Outcomes in pages that were new.",
    ("provider", "verdict"),
    registry=REGISTRY,
)
INVALIDATIONS: Final = Counter(
    "feedback_invalidations",
    "Dead tokens by what the registry did.",
    ("outcome",),
    registry=REGISTRY,
)
PENDING: Final = Gauge(
    "feedback_pending_invalidations",
    "Dead tokens that the registry has not answered for.",
    registry=REGISTRY,
)
PENDING_SECONDS: Final = Gauge(
    "feedback_pending_oldest_seconds",
    "How long the oldest of them has been waiting; 0 when there is none.",
    registry=REGISTRY,
)

_PROVIDERS: Final = {provider.value: provider.name for provider in Provider}


class PrometheusMeter:
    """The domain's meter on Prometheus: see ports.Meter."""

    def page(self, page: OutcomePage, *, stored: bool) -> None:
        """Count a page, and its outcomes when it is new."""
        PAGES.labels("stored" if stored else "repeated").inc()
        if stored:
            kinds = Count(zip(page.providers, page.verdicts, strict=True))
            for (provider, verdict), count in kinds.items():
                name = _PROVIDERS.get(provider, "OTHER")
                OUTCOMES.labels(name, Verdict(verdict).name).inc(count)

    def settled(self, outcomes: Sequence[InvalidationOutcome]) -> None:
        """Count what the registry did."""
        for outcome, count in Count(outcomes).items():
            INVALIDATIONS.labels(outcome.name).inc(count)

    def backlog(self, count: int, *, oldest_seconds: float) -> None:
        """Show how far behind we are."""
        PENDING.set(count)
        PENDING_SECONDS.set(oldest_seconds)
