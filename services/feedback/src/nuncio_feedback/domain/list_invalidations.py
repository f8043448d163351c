"""Listing invalidations page by page."""

from collections.abc import Sequence

from nuncio_feedback.domain.model import Invalidation, Position, Scope
from nuncio_feedback.domain.ports import Invalidations


class ListInvalidations:
    """Reads what was called dead, newest first."""

    def __init__(self, invalidations: Invalidations) -> None:
        self._invalidations = invalidations

    async def __call__(
        self, scope: Scope, *, after: Position | None, size: int
    ) -> tuple[Sequence[Invalidation], Position | None]:
        """Give at most `size` of them, and where the next page goes on; None at the end."""
        found = await self._invalidations.newest(scope, after=after, limit=size + 1)
        page = found[:size]
        return page, page[-1].position if len(found) > size else None
