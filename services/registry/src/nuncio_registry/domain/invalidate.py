"""Invalidation: a provider says since when a token is dead; what was observed later survives."""

from collections.abc import Sequence

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.model import DeadToken, InvalidationOutcome
from nuncio_registry.domain.ports.lifecycle import Lifecycle
from nuncio_runtime.clock import Clock


class Invalidate:
    """Retires dead tokens."""

    def __init__(self, lifecycle: Lifecycle, apps: Apps, clock: Clock) -> None:
        self._lifecycle = lifecycle
        self._apps = apps
        self._clock = clock

    async def page(self, app_id: str, tokens: Sequence[DeadToken]) -> list[InvalidationOutcome]:
        """What happened to each token, in order. Raises AppNotFound."""
        await self._apps.require(app_id)
        now = self._clock.now()
        # Nobody knows of a death to come: a clock that is ahead means now.
        known = [token._replace(dead_since=min(token.dead_since, now)) for token in tokens]
        return await self._lifecycle.invalidate(app_id, known, now=now)
