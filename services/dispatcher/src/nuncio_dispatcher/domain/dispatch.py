"""The durable unit of work: one message to one audience."""

from dataclasses import dataclass
from datetime import datetime, timedelta
from enum import IntEnum
from itertools import pairwise
from typing import Final, NamedTuple
from uuid import UUID

from nuncio_dispatcher.domain.books import Books
from nuncio_dispatcher.domain.model import Message

SHORTEST_LIFE: Final = timedelta(hours=1)
"""How long a dispatch may take at least when its creator does not say."""

_KEYS: Final = 1 << 128  # an installation id is a UUID


class DispatchState(IntEnum):
    """Where a dispatch stands. The numbers are the wire enum's."""

    ACCEPTED = 1
    RUNNING = 2
    COMPLETED = 3
    FAILED = 4


class DeliveryPolicy(IntEnum):
    """What happens to requests without an answer. The numbers are the wire enum's."""

    AT_LEAST_ONCE = 1  # sent again, with the same ids
    AT_MOST_ONCE = 2  # counted as unknown


@dataclass(frozen=True, kw_only=True)
class Audience:
    """Whom a message is for: an expression, installations or users; exactly one of them.

    installation_ids: 16 bytes each, one after the other.
    """

    expression: str = ""
    installation_ids: bytes = b""
    user_ids: tuple[str, ...] = ()


class KeyRange(NamedTuple):
    """Installation ids from `low` (inclusive) to `high` (exclusive); empty: no bound."""

    low: bytes = b""
    high: bytes = b""


ALL_KEYS: Final = KeyRange()


@dataclass(frozen=True, kw_only=True)
class Work:
    """What everyone who works on a dispatch has to know."""

    dispatch_id: UUID
    app_id: str
    campaign: str
    purpose: str
    test: bool
    delivery: DeliveryPolicy
    message: Message
    audience: Audience
    expires_at: datetime


@dataclass(frozen=True, kw_only=True)
class NewDispatch:
    """A dispatch as it was asked for. content_digest: SHA-256 over all that the caller said."""

    work: Work
    client_ref: str
    content_digest: bytes
    created_at: datetime
    shards: tuple[KeyRange, ...]


@dataclass(frozen=True, kw_only=True)
class Dispatch:
    """A dispatch as it stands, with its books: one consistent read."""

    dispatch_id: UUID
    app_id: str
    client_ref: str
    content_digest: bytes
    campaign: str
    purpose: str
    test: bool
    delivery: DeliveryPolicy
    state: DispatchState
    failure: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    expires_at: datetime
    books: Books


def key_ranges(count: int) -> tuple[KeyRange, ...]:
    """Cut all keys into so many ranges of equal width, in order."""
    bounds = [b""]
    bounds += [(_KEYS * i // count).to_bytes(16, "big") for i in range(1, count)]
    bounds += [b""]
    return tuple(KeyRange(low, high) for low, high in pairwise(bounds))
