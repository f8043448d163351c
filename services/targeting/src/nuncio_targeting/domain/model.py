"""What targeting speaks of: segments, who a message is for, and pages of those who get it."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import IntEnum
from typing import Final, NewType, TypeAlias
from uuid import UUID

from nuncio_targeting.domain.condition import Condition

# The registry's columns of targets. Targeting passes them on and never looks inside.
Targets = NewType("Targets", object)

# Installations by the number of their platform, or of the reason why they get nothing. Plain
# numbers: a newer registry may know more of them than this program.
Counts: TypeAlias = Mapping[int, int]


class Suppression(IntEnum):
    """Reasons that targeting itself gives. The numbers are those of common.v1.SuppressionReason."""

    NOT_FOUND = 1


@dataclass(frozen=True, slots=True)
class SegmentContent:
    """What people say of a segment."""

    expression: str
    description: str


@dataclass(frozen=True, slots=True)
class Segment:
    """A named, saved audience of an app."""

    name: str
    content: SegmentContent
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True, slots=True)
class Users:
    """Every installation of these users."""

    user_ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Installations:
    """Installations one by one, in key order, none of them twice."""

    ids: tuple[UUID, ...]


@dataclass(frozen=True, slots=True)
class Expression:
    """Installations that an expression of the audience language describes."""

    text: str


Audience: TypeAlias = Expression | Installations | Users


@dataclass(frozen=True, slots=True)
class Selection:
    """What the registry is asked for. purpose: consent to ask for; empty: none."""

    app_id: str
    condition: Condition
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Keys:
    """Installation ids from low (inclusive) to high (exclusive), 16 bytes each; empty: no bound."""

    low: bytes = b""
    high: bytes = b""

    def __contains__(self, key: UUID) -> bool:
        return key.bytes >= self.low and (not self.high or key.bytes < self.high)


ALL_KEYS: Final = Keys()


@dataclass(frozen=True, slots=True)
class Page:
    """A run of an audience in key order: who may be reached, and how many not, by reason.

    count: targets. cursor: where to start again after this page. Prints its counts, no targets:
    they are secret.
    """

    targets: Targets = field(repr=False)
    count: int
    suppressed: Counts
    cursor: bytes


@dataclass(frozen=True, slots=True)
class Reach:
    """How many installations an audience names: resolved = reachable + suppressed."""

    resolved: int
    reachable: Counts
    suppressed: Counts
