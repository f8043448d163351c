"""Invalidation: a provider says since when a token is dead; newer registrations survive."""

from collections.abc import Sequence

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.model import DeadToken, InvalidationOutcome
from nuncio_registry.domain.ports.lifecycle import Lifecycle


class Invalidate:
    """Retires dead tokens."""

    def __init__(self, lifecycle: Lifecycle, apps: Apps) -> None:
        self._lifecycle = lifecycle
        self._apps = apps

    async def page(self, app_id: str, tokens: Sequence[DeadToken]) -> list[InvalidationOutcome]:
        """What happened to each token, in order. Raises AppNotFound."""
        await self._apps.require(app_id)
        return await self._lifecycle.invalidate(app_id, tokens)
