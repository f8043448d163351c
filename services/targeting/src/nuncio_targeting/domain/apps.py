"""Which apps there are: the registry knows, and is not asked each time."""

from collections.abc import Awaitable, Callable
from typing import Final

from nuncio_runtime.clock import Clock

REMEMBERED_SECONDS: Final = 30.0
MAX_REMEMBERED: Final = 10_000


class Apps:
    """Remembers for a short while that an app is known; never that it is not.

    check_app: asks the registry, and raises its APP_NOT_FOUND.
    """

    def __init__(self, check_app: Callable[[str], Awaitable[None]], clock: Clock) -> None:
        self._check_app = check_app
        self._clock = clock
        self._seen_at: dict[str, float] = {}

    async def check(self, app_id: str) -> None:
        """Return when the app is known. Raises the registry's APP_NOT_FOUND."""
        now = self._clock.monotonic()
        seen_at = self._seen_at.get(app_id)
        if seen_at is not None and now - seen_at < REMEMBERED_SECONDS:
            return
        await self._check_app(app_id)
        if len(self._seen_at) >= MAX_REMEMBERED:
            self._seen_at.clear()
        self._seen_at[app_id] = now
