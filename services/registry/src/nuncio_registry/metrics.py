"""What the registry counts. Labels are names of the contract's closed enumerations."""

from datetime import datetime, timedelta
from typing import Final

from prometheus_client import Counter, Gauge, Histogram

from nuncio_registry.domain.ports.hygiene import Removed
from nuncio_runtime.metrics import REGISTRY

REGISTRATIONS: Final = Counter(
    "registry_registrations",
    "Registered rows by outcome; REFUSED for rows that break a rule.",
    ("outcome",),
    registry=REGISTRY,
)
REGISTRATION_WAIT: Final = Histogram(
    "registry_registration_wait_seconds",
    "How long the first row of a page of single registrations waited for others.",
    buckets=(0.0001, 0.0005, 0.001, 0.0025, 0.005, 0.0075, 0.01, 0.025, 0.05, 0.1, 0.5, 1, 5),
    registry=REGISTRY,
)
INVALIDATIONS: Final = Counter(
    "registry_invalidations",
    "Tokens reported dead, by outcome.",
    ("outcome",),
    registry=REGISTRY,
)
RESTORATIONS: Final = Counter(
    "registry_restorations",
    "Invalidations that RestoreTokens was asked to take back, by outcome.",
    ("outcome",),
    registry=REGISTRY,
)
SELECTED: Final = Counter(
    "registry_selected_rows",
    "Rows that matched a selection: TARGET, or the reason of its suppression.",
    ("result",),
    registry=REGISTRY,
)
UNREADABLE: Final = Counter(
    "registry_unreadable_tokens",
    "Selected rows whose sealed token does not open: a key is missing, or the row is damaged.",
    registry=REGISTRY,
)
FEED_WATCHERS: Final = Gauge(
    "registry_feed_watchers",
    "Streams of WatchInstallations that are open.",
    registry=REGISTRY,
)
FEED_EVENTS: Final = Counter(
    "registry_feed_events",
    "Events given to watchers, by kind; UNKNOWN for kinds of a newer release.",
    ("kind",),
    registry=REGISTRY,
)
KEYS_UNUSABLE: Final = Counter(
    "registry_keys_unusable",
    "Looks at the folder of keys that found files which cannot be used; the old keys stay.",
    registry=REGISTRY,
)
HYGIENE_ROWS: Final = Counter(
    "registry_hygiene_rows",
    "Rows that hygiene changed or deleted, by what was done.",
    ("action",),
    registry=REGISTRY,
)
HYGIENE_SECONDS: Final = Gauge(
    "registry_hygiene_last_run_seconds",
    "How long the last run of hygiene over an app took.",
    registry=REGISTRY,
)
HYGIENE_SUCCESS: Final = Gauge(
    "registry_hygiene_last_success_timestamp_seconds",
    "When a run of hygiene last succeeded, in seconds since 1970; 0 in who never led.",
    registry=REGISTRY,
)
LEADER: Final = Gauge(
    "registry_leader",
    "1 in the process that leads: the one that does hygiene and statistics.",
    registry=REGISTRY,
)
STATISTICS_BEHIND: Final = Gauge(
    "registry_statistics_behind_seconds",
    "How old the oldest event is that statistics have not counted; 0 in who does not lead.",
    registry=REGISTRY,
)
FEED_HELD_BACK: Final = Gauge(
    "registry_feed_held_back_seconds",
    "How old the oldest event is that no watcher gets, because an older transaction of the "
    "database server is open; 0 when there is none, and in who does not lead.",
    registry=REGISTRY,
)


class PrometheusMeter:
    """Keeps `Meter`, the domain's meter of hygiene, and `Gauge`, that of statistics."""

    def removed(self, what: Removed, rows: int) -> None:
        HYGIENE_ROWS.labels(what.value).inc(rows)

    def ran(self, *, seconds: float, at: datetime) -> None:
        HYGIENE_SECONDS.set(seconds)
        HYGIENE_SUCCESS.set(at.timestamp())

    def behind(self, *, uncounted: timedelta, held_back: timedelta) -> None:
        STATISTICS_BEHIND.set(uncounted.total_seconds())
        FEED_HELD_BACK.set(held_back.total_seconds())

    def leads(self, leads: bool, /) -> None:
        LEADER.set(leads)
