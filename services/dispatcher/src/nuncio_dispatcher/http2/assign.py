"""What a pool does next: decided here, synchronously and without I/O; carried out by the pool."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final, NamedTuple

MOST_DRAINING: Final = 8
"""Connections that take no more requests and owe answers, before no others are opened for them."""


@dataclass(frozen=True, kw_only=True)
class Policy:
    """How a pool keeps its connections. The defaults suit a provider that is far away."""

    connections: int = 2
    """The most to keep open to an origin; one more is opened when those that are open are full."""
    idle_after: timedelta = timedelta(minutes=30)
    """How long an unused connection is kept."""
    age_limit: timedelta | None = None
    """When a connection takes no more requests, so that the peer does not cut it off."""
    ping_after: timedelta = timedelta(seconds=10)
    """How long a peer that owes answers may be silent before it is asked whether it is there."""
    ping_within: timedelta = timedelta(seconds=5)
    """How long it may take to say so."""
    connect_within: timedelta = timedelta(seconds=10)
    """How long opening a connection may take, up to the peer's SETTINGS."""
    longest_back_off: timedelta = timedelta(seconds=30)
    """Where the waits between failed connections stop growing. They have full jitter."""


class Seat(NamedTuple):
    """A connection, as far as it matters here. Times are seconds of a monotonic clock."""

    room: int
    in_flight: int
    answered: int
    is_draining: bool
    opened_at: float
    unused_since: float
    """When a request was last written on it, or answered."""


class Plan(NamedTuple):
    """writes: how many rows to write, per connection. opens: whether to open one more.

    drains, closes: connections by position: take no more requests; are of no use any more.
    """

    writes: Sequence[int]
    opens: bool
    drains: Sequence[int]
    closes: Sequence[int]


def assign(
    seats: Sequence[Seat], *, waiting: int, may_open: bool, policy: Policy, now: float
) -> Plan:
    """Match waiting rows with free streams; say what to open and what to close.

    The first connections are filled first, so that the last ones fall idle. may_open: whether
    none is being opened and no back-off lasts.
    """
    drains = [at for at, seat in enumerate(seats) if _is_too_old(seat, policy, now)]
    closes = [at for at, seat in enumerate(seats) if _is_of_no_use(seat, policy, now)]
    writes = [0] * len(seats)
    for at, seat in enumerate(seats):
        if waiting and not seat.is_draining and at not in drains:
            writes[at] = min(waiting, seat.room)
            waiting -= writes[at]
            if writes[at] and at in closes:
                closes.remove(at)
    usable = [seat for at, seat in enumerate(seats) if not seat.is_draining and at not in drains]
    # One that has not answered yet may be about to allow more: APNs begins with one stream.
    is_wanted = len(usable) < policy.connections and all(seat.answered for seat in usable)
    # Else a peer could say goodbye to each, answer nothing, and have us open more and more.
    is_bounded = len(seats) - len(usable) - len(closes) < MOST_DRAINING
    opens = bool(waiting) and may_open and is_wanted and is_bounded
    return Plan(writes, opens, drains, closes)


def next_look(seat: Seat, *, policy: Policy) -> float:
    """When time alone will next change what `assign` says about a connection."""
    idle = math.inf if seat.in_flight else seat.unused_since + policy.idle_after.total_seconds()
    if policy.age_limit is None or seat.is_draining:
        return idle
    return min(idle, seat.opened_at + policy.age_limit.total_seconds())


def _is_too_old(seat: Seat, policy: Policy, now: float) -> bool:
    if policy.age_limit is None or seat.is_draining:
        return False
    return now - seat.opened_at >= policy.age_limit.total_seconds()


def _is_of_no_use(seat: Seat, policy: Policy, now: float) -> bool:
    is_idle = now - seat.unused_since >= policy.idle_after.total_seconds()
    is_over = seat.is_draining or _is_too_old(seat, policy, now)
    return not seat.in_flight and (is_over or is_idle)
