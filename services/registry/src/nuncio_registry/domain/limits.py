"""How much an installation may have of each set: limits that hold for what is stored, too."""

from collections.abc import Mapping
from typing import Final

from nuncio_registry.domain.model import Installation, Value, Version
from nuncio_runtime.errors import FieldViolation, InvalidField

MAX_TOPICS: Final = 200
MAX_TAGS: Final = 200
MAX_ATTRIBUTES: Final = 100
MAX_ATTRIBUTE_BYTES: Final = 16 * 1024
MAX_PURPOSES: Final = 200

TOO_MANY_TOPICS: Final = FieldViolation("add_topics", f"must leave at most {MAX_TOPICS} topics")
TOO_MANY_TAGS: Final = FieldViolation("add_tags", f"must leave at most {MAX_TAGS} tags")
TOO_MANY_ATTRIBUTES: Final = FieldViolation(
    "facts.attributes", f"must leave at most {MAX_ATTRIBUTES} attributes"
)
TOO_LARGE_ATTRIBUTES: Final = FieldViolation(
    "facts.attributes", "must leave at most 16 KiB of names and values together"
)
PURPOSES_RULE: Final = f"must leave at most {MAX_PURPOSES} purposes"

# Of a number, a truth value or a time; texts and versions count as they are in UTF-8.
_PLAIN_BYTES: Final = 8


def attribute_sizes(attributes: Mapping[str, Value]) -> dict[str, int]:
    """The bytes of each attribute, name and value, as `lock_touched` counts what is stored."""
    return {name: attribute_size(name, value) for name, value in attributes.items()}


def broken_limit(sizes: Mapping[str, int]) -> FieldViolation | None:
    """The limit that attributes of these sizes break, None when they break none."""
    if len(sizes) > MAX_ATTRIBUTES:
        return TOO_MANY_ATTRIBUTES
    return TOO_LARGE_ATTRIBUTES if sum(sizes.values()) > MAX_ATTRIBUTE_BYTES else None


def too_many_purposes(count: int, *, before: int) -> bool:
    """Whether new purposes break the limit; to change those that are there never does."""
    return count > max(before, MAX_PURPOSES)


def check_limits(installation: Installation) -> None:
    """Raise InvalidField when an update let the installation's sets grow too large."""
    facts = installation.facts
    if len(facts.topics or ()) > MAX_TOPICS:
        raise InvalidField(TOO_MANY_TOPICS)
    if len(facts.tags or ()) > MAX_TAGS:
        raise InvalidField(TOO_MANY_TAGS)
    broken = broken_limit(attribute_sizes(facts.attributes or {}))
    if broken is not None:
        raise InvalidField(broken)


def attribute_size(name: str, value: Value) -> int:
    """The bytes of an attribute, name and value."""
    if isinstance(value, str):
        return len(name) + len(value.encode())
    return len(name) + (len(value.text) if isinstance(value, Version) else _PLAIN_BYTES)
