"""From an audience to pages of targets."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from nuncio_targeting.domain.apps import Apps
from nuncio_targeting.domain.audiences import Audiences, named
from nuncio_targeting.domain.model import (
    ALL_KEYS,
    Audience,
    Counts,
    Installations,
    Keys,
    Page,
    Selection,
    Suppression,
)
from nuncio_targeting.domain.ports import Registry

MAX_PAGE_SIZE: Final = 1_000


@dataclass(frozen=True, slots=True)
class Resolution:
    """What is resolved, and which part of it. cursor: that of the last page that was read."""

    app_id: str
    audience: Audience
    purpose: str = ""
    keys: Keys = ALL_KEYS
    cursor: bytes = b""
    page_size: int = MAX_PAGE_SIZE


class Resolve:
    """Gives the pages of an audience, one at a time, as they are asked for.

    Every installation that the audience names is counted in exactly one page, as a target or under
    one reason, wherever the reading is broken off and taken up again.
    """

    def __init__(self, apps: Apps, audiences: Audiences, registry: Registry) -> None:
        self._apps = apps
        self._audiences = audiences
        self._registry = registry

    async def pages(self, wanted: Resolution) -> AsyncGenerator[Page, None]:
        """The pages in key order. Close it when it is not read to its end.

        Raises the registry's APP_NOT_FOUND, and what Audiences.understand raises.
        """
        await self._apps.check(wanted.app_id)
        if isinstance(wanted.audience, Installations):
            pages = self._pages_of_named(wanted, wanted.audience.ids)
        else:
            pages = await self._pages_of_matching(wanted)
        async with aclosing(pages):
            async for page in pages:
                yield page

    async def _pages_of_matching(self, wanted: Resolution) -> AsyncGenerator[Page, None]:
        condition = await self._audiences.condition(wanted.app_id, wanted.audience)
        return self._registry.pages(
            Selection(wanted.app_id, condition, wanted.purpose),
            keys=wanted.keys,
            cursor=wanted.cursor,
            page_size=wanted.page_size,
        )

    async def _pages_of_named(
        self, wanted: Resolution, ids: Sequence[UUID]
    ) -> AsyncGenerator[Page, None]:
        """Page by page of the ids, so that each page knows whom the registry should have found.

        The cursor is the last id of the page.
        """
        left = [each for each in ids if each in wanted.keys and each.bytes > wanted.cursor]
        for start in range(0, len(left), wanted.page_size):
            asked = left[start : start + wanted.page_size]
            selection = Selection(wanted.app_id, named(asked), wanted.purpose)
            page = await self._registry.page_of(selection, limit=len(asked))
            found = page.count + sum(page.suppressed.values())
            suppressed = with_not_found(page.suppressed, len(asked) - found)
            yield replace(page, suppressed=suppressed, cursor=asked[-1].bytes)


def with_not_found(suppressed: Counts, missing: int) -> Counts:
    """Add the installations that were named and are not in the registry."""
    return {Suppression.NOT_FOUND: missing, **suppressed} if missing else suppressed
