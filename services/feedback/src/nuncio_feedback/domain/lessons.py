"""Reading what was learnt: campaign reports, and lists of invalidations."""

from collections.abc import Sequence

from nuncio_feedback.domain.errors import AppNotFound
from nuncio_feedback.domain.model import Invalidation, Position, Report, Scope
from nuncio_feedback.domain.ports import Apps, Invalidations, Outcomes


class ReadLessons:
    """Answers what became of messages and tokens.

    Apps are the registry's. It is asked only when there is nothing to tell, so that a report
    needs no registry; and when it cannot be asked, nothing is what there is to tell.
    """

    def __init__(self, outcomes: Outcomes, invalidations: Invalidations, apps: Apps) -> None:
        self._outcomes = outcomes
        self._invalidations = invalidations
        self._apps = apps

    async def report(self, scope: Scope) -> Report:
        """Count what a campaign or a dispatch came to. Raises AppNotFound."""
        report = await self._outcomes.report(scope)
        if not report.outcomes:
            await self._need_app(scope.app_id)
        return report

    async def invalidations(
        self, scope: Scope, *, after: Position | None, size: int
    ) -> tuple[Sequence[Invalidation], Position | None]:
        """What was called dead, newest first: at most `size`, and where the next page goes on.

        The place is None at the end. Raises AppNotFound.
        """
        found = await self._invalidations.newest(scope, after=after, limit=size + 1)
        if not found:
            await self._need_app(scope.app_id)
        page = found[:size]
        return page, page[-1].position if len(found) > size else None

    async def _need_app(self, app_id: str) -> None:
        if not await self._apps.may_have(app_id):
            raise AppNotFound(app_id)
