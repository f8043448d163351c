"""Whom a message would reach, and whom not and why."""

from dataclasses import replace

from nuncio_targeting.domain.apps import Apps
from nuncio_targeting.domain.audiences import Audiences
from nuncio_targeting.domain.model import Audience, Installations, Reach, Selection
from nuncio_targeting.domain.ports import Registry
from nuncio_targeting.domain.resolve import with_not_found


class Explain:
    """Counts an audience without reading it."""

    def __init__(self, apps: Apps, audiences: Audiences, registry: Registry) -> None:
        self._apps = apps
        self._audiences = audiences
        self._registry = registry

    async def reach(self, app_id: str, audience: Audience, *, purpose: str) -> Reach:
        """The counts now. Raises what Resolve raises."""
        await self._apps.check(app_id)
        condition = await self._audiences.condition(app_id, audience)
        reach = await self._registry.reach(Selection(app_id, condition, purpose))
        if not isinstance(audience, Installations):
            return reach
        asked = len(audience.ids)
        suppressed = with_not_found(reach.suppressed, asked - reach.resolved)
        return replace(reach, resolved=asked, suppressed=suppressed)
