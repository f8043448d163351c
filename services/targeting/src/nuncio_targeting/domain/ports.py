"""What the domain asks of the outside. The comments are the contract."""

from collections.abc import AsyncGenerator, Collection, Mapping, Sequence
from typing import Protocol

from nuncio_targeting.domain.model import (
    Keys,
    Page,
    Reach,
    Segment,
    SegmentContent,
    Selection,
)


class Segments(Protocol):
    """The saved audiences of all apps, and which of them refer to which."""

    async def create(self, app_id: str, segment: Segment, *, uses: Collection[str]) -> Segment:
        """Insert a segment and what it refers to, and give what is stored.

        A segment of the name that is there already stays as it is and is what is given back.
        Atomic under races. Raises SegmentNotFound when one of `uses` is gone.
        """

    async def replace(self, app_id: str, segment: Segment, *, uses: Collection[str]) -> Segment:
        """Set content and updated_at of a stored segment, and what it refers to; give the result.

        Equal content leaves updated_at alone. Raises SegmentNotFound when it, or one of `uses`,
        is not there.
        """

    async def get(self, app_id: str, name: str) -> Segment:
        """Read one. Raises SegmentNotFound."""

    async def list(self, app_id: str, *, after: str, limit: int) -> Sequence[Segment]:
        """The first so many segments whose names sort after `after`, by the bytes of the name."""

    async def delete(self, app_id: str, name: str) -> None:
        """Remove it; one that is not there is no error. Raises SegmentInUse."""

    async def contents(self, app_id: str, names: Collection[str]) -> Mapping[str, SegmentContent]:
        """Those of the named segments that are there."""


class Registry(Protocol):
    """Who has which installation. Every call raises UpstreamUnavailable when it is not reached,
    and the registry's own errors as they are, such as APP_NOT_FOUND.
    """

    async def check_app(self, app_id: str) -> None:
        """Return when the app is known, raise the registry's APP_NOT_FOUND when it is not."""

    def pages(
        self, selection: Selection, *, keys: Keys, cursor: bytes, page_size: int
    ) -> AsyncGenerator[Page, None]:
        """The selection in key order, up to page_size installations a page, reachable or not.

        cursor: that of the last page that was read; empty: from the start. Nothing is read ahead
        of the reader but what the transport holds.
        """

    async def page_of(self, selection: Selection, *, limit: int) -> Page:
        """The whole selection, of at most `limit` (up to 1,000) installations, as one page.

        Its cursor means nothing.
        """

    async def reach(self, selection: Selection) -> Reach:
        """Count the selection."""
