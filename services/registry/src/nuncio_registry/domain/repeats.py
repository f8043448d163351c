"""Registrations that repeat what their installation said last.

Most registrations come from apps that start, and say word for word what they said before, but for
its times. Each row keeps a keyed hash of the content that it was registered with, and whatever
changes otherwise what a registration tells takes the hash away. So one that comes with the hash of
its row was read, checked and sealed before, and is in ledger and feed: only its times move on.

The content of a registration is its message without `observed_at` and `facts.last_seen`.
"""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import TypeVar

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.endpoint import EndpointGuard
from nuncio_registry.domain.model import RegistrationOutcome
from nuncio_registry.domain.ports.registration import Registered, Registrations, Repeat
from nuncio_registry.domain.rules import CLOCK_TOLERANCE
from nuncio_registry.domain.sealing import KeyRing
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import InvalidField

T = TypeVar("T")


class Repeats:
    """Tells repeated registrations from others, and registers them."""

    def __init__(
        self,
        registrations: Registrations,
        apps: Apps,
        *,
        keys: KeyRing,
        guard: EndpointGuard,
        clock: Clock,
    ) -> None:
        self._registrations = registrations
        self._apps = apps
        self._keys = keys
        # An endpoint that was allowed when it was registered may not be any more.
        self._rules = guard.fingerprint
        self._clock = clock

    def read(self, row: T, read: Callable[[T, Callable[[bytes], bytes]], Repeat]) -> Repeat | None:
        """What the row is held against what is stored by; None when it cannot be right.

        read: is given the row and what makes the hash of its content.
        """
        try:
            return read(row, self.content_hash)
        except (ValueError, InvalidField):
            return None

    def content_hash(self, content: bytes) -> bytes:
        """16 bytes that are equal for equal contents, under equal rules."""
        return self._keys.content_hash(content, rules=self._rules)

    async def page(self, app_id: str, repeats: Sequence[Repeat]) -> list[Registered | None]:
        """Register those rows that only repeat what is stored; None for all others.

        Those have to go the whole way: nothing is said of whether they are right, nor of an app
        that was not there a moment ago.
        """
        asked = Asked(repeats, now=self._clock.now())
        if not self._apps.seen_lately(app_id):
            return asked.answers({})
        moved = await self._registrations.move_times_on(
            app_id, asked.rows, key_id=self._keys.newest, now=asked.now
        )
        return asked.answers(moved)


class Asked:
    """Rows of which the storage is asked whether they are repeats.

    rows: those whose times may be stored; others are no repeats. now: when they came.
    """

    def __init__(self, repeats: Sequence[Repeat], *, now: datetime) -> None:
        told = {at: plain for at, row in enumerate(repeats) if (plain := _plain(row, now))}
        self.now = now
        self.rows = list(told.values())
        self._positions = list(told)
        self._count = len(repeats)

    def answers(self, moved: Mapping[int, datetime]) -> list[Registered | None]:
        """What became of each row, None for those that are no repeats.

        moved: by position in `rows`, the times that are stored now.
        """
        answers: list[Registered | None] = [None] * self._count
        for position, registered_at in moved.items():
            refreshed = Registered(RegistrationOutcome.REFRESHED, registered_at)
            answers[self._positions[position]] = refreshed
        return answers


def _plain(row: Repeat, now: datetime) -> Repeat | None:
    """The row as it may be stored, None when a time lies too far ahead. See `not_ahead`."""
    latest = now + CLOCK_TOLERANCE
    if (row.observed_at or now) > latest or (row.last_seen or now) > latest:
        return None
    return row._replace(observed_at=None) if (row.observed_at or now) > now else row
