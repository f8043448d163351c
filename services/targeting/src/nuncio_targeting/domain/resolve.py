"""From an audience to pages of targets."""

from collections.abc import AsyncGenerator, Sequence
from contextlib import aclosing
from dataclasses import dataclass, replace
from typing import Final
from uuid import UUID

from nuncio_targeting.domain.apps import Apps
from nuncio_targeting.domain.audiences import Audiences, named
from nuncio_targeting.domain.condition import EVERYONE, AllOf, Condition
from nuncio_targeting.domain.language.simplify import simplified
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
    """What is resolved, and which part of it.

    only: those of the audience that are among these; None: all of it. cursor: that of the last
    page that was read.
    """

    app_id: str
    audience: Audience
    only: Installations | None = None
    purpose: str = ""
    keys: Keys = ALL_KEYS
    cursor: bytes = b""
    page_size: int = MAX_PAGE_SIZE


class Resolve:
    """Gives the pages of an audience, one at a time, as they are asked for.

    Every installation that is named, by the audience or in `only`, is counted in exactly one page,
    as a target or under one reason, wherever the reading is broken off and taken up again.
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
        async with aclosing(await self._pages(wanted)) as pages:
            async for page in pages:
                yield page

    async def _pages(self, wanted: Resolution) -> AsyncGenerator[Page, None]:
        if wanted.only is None and isinstance(wanted.audience, Installations):
            return self._pages_of_named(wanted, wanted.audience.ids, EVERYONE)
        condition = await self._audiences.condition(wanted.app_id, wanted.audience)
        if wanted.only is not None:
            return self._pages_of_named(wanted, wanted.only.ids, condition)
        return self._registry.pages(
            Selection(wanted.app_id, condition, wanted.purpose),
            keys=wanted.keys,
            cursor=wanted.cursor,
            page_size=wanted.page_size,
        )

    async def _pages_of_named(
        self, wanted: Resolution, ids: Sequence[UUID], condition: Condition
    ) -> AsyncGenerator[Page, None]:
        """Page by page of the ids, so that each page knows whom the registry should have found.

        Those of them for whom the condition does not hold are not found either. The cursor is the
        last id of the page.
        """
        left = [each for each in ids if each in wanted.keys and each.bytes > wanted.cursor]
        for start in range(0, len(left), wanted.page_size):
            asked = left[start : start + wanted.page_size]
            among = simplified(AllOf((condition, named(asked))))
            selection = Selection(wanted.app_id, among, wanted.purpose)
            page = await self._registry.page_of(selection, limit=len(asked))
            found = page.count + sum(page.suppressed.values())
            suppressed = with_not_found(page.suppressed, len(asked) - found)
            yield replace(page, suppressed=suppressed, cursor=asked[-1].bytes)


def with_not_found(suppressed: Counts, missing: int) -> Counts:
    """Add the installations that were named and that the registry did not find."""
    return {Suppression.NOT_FOUND: missing, **suppressed} if missing else suppressed
