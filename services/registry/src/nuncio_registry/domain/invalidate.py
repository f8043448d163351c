"""Invalidation: a provider says since when a token is dead; newer registrations survive."""

from collections.abc import Sequence

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.model import DeadToken, InvalidationOutcome
from nuncio_registry.domain.ports import Installations


class Invalidate:
    """Retires dead tokens."""

    def __init__(self, installations: Installations, apps: Apps) -> None:
        self._installations = installations
        self._apps = apps

    async def page(self, app_id: str, tokens: Sequence[DeadToken]) -> list[InvalidationOutcome]:
        """What happened to each token, in order. Raises AppNotFound."""
        await self._apps.require(app_id)
        return await self._installations.invalidate(app_id, tokens)
