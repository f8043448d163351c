"""Ranges of installation ids, the keys that every page is cut by."""

from typing import Final, NamedTuple
from uuid import UUID

FIRST_KEY: Final = UUID(int=0)
LAST_KEY: Final = UUID(int=2**128 - 1)


class KeySpan(NamedTuple):
    """Part of the keys as 128-bit numbers, both ends inclusive."""

    first: int = FIRST_KEY.int
    last: int = LAST_KEY.int

    @property
    def is_empty(self) -> bool:
        """Whether there is no key in it."""
        return self.first > self.last

    def after(self, key: UUID) -> "KeySpan":
        """What of it comes after the key."""
        return self._replace(first=max(self.first, key.int + 1))


NO_KEYS: Final = KeySpan(first=1, last=0)
