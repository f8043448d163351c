"""What waits at a provider for devices that are out of reach, and what replaces what.

Sources: Apple, "Viewing the status of push notifications" (one notification for a device and
app); RFC 8030, section 5.4 (one message for a topic); Firebase, "FCM message concepts" (four
collapse keys; nothing for a device that was away for a month).
"""

import itertools
from collections.abc import Callable
from typing import Final

Clock = Callable[[], float]

FORGOTTEN_AFTER: Final = 30 * 86_400
"""Seconds after which FCM accepts for an Android device and discards."""
COLLAPSE_KEYS: Final = 4


class Mailbox:
    """Devices out of reach, by their tokens' cores."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._since: dict[bytes, float] = {}
        self._stored: dict[bytes, dict[str, str]] = {}  # core: slot: accepted id, oldest first
        self._unique = itertools.count()

    def __bool__(self) -> bool:
        return bool(self._since)

    def leave(self, core: bytes, since: float | None = None) -> None:
        """The device goes out of reach, or did so then, in Unix seconds."""
        self._since[core] = self._clock() if since is None else since
        self._stored.setdefault(core, {})

    def come_back(self, core: bytes) -> list[str]:
        """The device is in reach again: the ids of what waited, the oldest first."""
        self._since.pop(core, None)
        return list(self._stored.pop(core, {}).values())

    def store(self, core: bytes, accepted_id: str, *, slot: str | None, lasts: bool) -> None:
        """Keep a message for a device that is out of reach; else, or if it may not wait, nothing.

        slot: what it replaces an older one of; None: nothing.
        """
        if core not in self._since or not lasts:
            return
        stored = self._stored[core]
        name = f"={slot}" if slot is not None else f"#{next(self._unique)}"
        stored.pop(name, None)
        stored[name] = accepted_id

    def store_collapsible(
        self, core: bytes, accepted_id: str, *, key: str | None, lasts: bool
    ) -> None:
        """As FCM: beyond four collapse keys the oldest go; a device long gone gets nothing."""
        since = self._since.get(core)
        if since is None or self._clock() - since > FORGOTTEN_AFTER:
            return
        self.store(core, accepted_id, slot=key, lasts=lasts)
        keys = [name for name in self._stored[core] if name.startswith("=")]
        for name in keys[:-COLLAPSE_KEYS]:
            del self._stored[core][name]
