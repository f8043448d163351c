"""Lists dispatches page by page."""

from collections.abc import Sequence
from typing import Final

from nuncio_dispatcher.domain.dispatch import Audience, Dispatch
from nuncio_dispatcher.domain.ports import Dispatches, ListCursor, Targeting
from nuncio_runtime.errors import Kind, ServiceError

_EVERYONE: Final = Audience(expression="all()")


class Browse:
    """Reads an app's dispatches, newest first.

    Apps are known behind targeting. It is asked only when there is nothing to list; when it cannot
    be asked, the list is empty.
    """

    def __init__(self, dispatches: Dispatches, targeting: Targeting) -> None:
        self._dispatches = dispatches
        self._targeting = targeting

    async def page(
        self, app_id: str, campaign: str, *, after: ListCursor | None, size: int
    ) -> tuple[Sequence[Dispatch], bool]:
        """At most `size` of them, and whether more follow. Raises NOT_FOUND for an unknown app."""
        found = await self._dispatches.list(app_id, campaign, after=after, limit=size + 1)
        if not found:
            await self._need_app(app_id)
        return found[:size], len(found) > size

    async def _need_app(self, app_id: str) -> None:
        try:
            await self._targeting.check(app_id, _EVERYONE)
        except ServiceError as error:
            if error.kind is Kind.NOT_FOUND:
                raise
