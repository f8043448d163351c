"""Saving audiences under a name. What is saved has been understood."""

from collections.abc import Sequence

from nuncio_runtime.clock import Clock
from nuncio_targeting.domain.apps import Apps
from nuncio_targeting.domain.audiences import Audiences
from nuncio_targeting.domain.errors import SegmentExists
from nuncio_targeting.domain.language.compile import references
from nuncio_targeting.domain.model import Segment, SegmentContent
from nuncio_targeting.domain.ports import Segments


class SavedSegments:
    """The segments of all apps.

    Content is checked as it is saved: it parses, its types are right, and expanding it leads to no
    circle. A segment below it may change later, so whoever uses one has it checked again.
    """

    def __init__(self, apps: Apps, audiences: Audiences, segments: Segments, clock: Clock) -> None:
        self._apps = apps
        self._audiences = audiences
        self._segments = segments
        self._clock = clock

    async def create(self, app_id: str, name: str, content: SegmentContent) -> Segment:
        """Save a new segment; again with equal content, give what is stored.

        Raises SegmentExists for other content, the registry's APP_NOT_FOUND, and what
        Audiences.understand raises.
        """
        await self._apps.check(app_id)
        uses = await self._uses(app_id, name, content)
        stored = await self._segments.create(app_id, self._new(name, content), uses=uses)
        if stored.content != content:
            raise SegmentExists(app_id=app_id, segment=name)
        return stored

    async def update(self, app_id: str, name: str, content: SegmentContent) -> Segment:
        """Replace the content. Raises SegmentNotFound, and what Audiences.understand raises."""
        uses = await self._uses(app_id, name, content)
        return await self._segments.replace(app_id, self._new(name, content), uses=uses)

    async def get(self, app_id: str, name: str) -> Segment:
        """Read one. Raises SegmentNotFound."""
        return await self._segments.get(app_id, name)

    async def list(self, app_id: str, *, after: str, limit: int) -> Sequence[Segment]:
        """The first so many by name after `after`. Raises the registry's APP_NOT_FOUND."""
        found = await self._segments.list(app_id, after=after, limit=limit)
        if not found:
            await self._apps.check(app_id)
        return found

    async def delete(self, app_id: str, name: str) -> None:
        """Remove it, if it is there. Raises SegmentInUse while another one refers to it."""
        await self._segments.delete(app_id, name)

    async def _uses(self, app_id: str, name: str, content: SegmentContent) -> set[str]:
        understood = await self._audiences.understand(app_id, content.expression, name=name)
        return {used for used, _ in references(understood.expression)}

    def _new(self, name: str, content: SegmentContent) -> Segment:
        now = self._clock.now()
        return Segment(name, content, created_at=now, updated_at=now)
