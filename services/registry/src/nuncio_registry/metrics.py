"""What the registry counts. Labels are names of the contract's closed enumerations."""

from typing import Final

from prometheus_client import Counter

from nuncio_runtime.metrics import REGISTRY

REGISTRATIONS: Final = Counter(
    "registry_registrations",
    "Registered rows by outcome; REFUSED for rows that break a rule.",
    ("outcome",),
    registry=REGISTRY,
)
INVALIDATIONS: Final = Counter(
    "registry_invalidations",
    "Tokens reported dead, by outcome.",
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
