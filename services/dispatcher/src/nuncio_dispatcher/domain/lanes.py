"""Shows lanes, tries their credentials out, and raises alarms for them."""

import asyncio
from collections import Counter
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from nuncio_dispatcher.domain.errors import CredentialNotFound
from nuncio_dispatcher.domain.lane_status import ALARMS, CredentialCheck, LaneStatus, Reloaded
from nuncio_dispatcher.domain.model import Environment, Provider
from nuncio_dispatcher.domain.ports import LaneBook, LaneMeters
from nuncio_runtime.clock import Clock

LOOK_EVERY: Final = timedelta(seconds=5)
"""How often the alarms are brought up to date."""

LaneKey = tuple[str, int, int]
"""App, provider, environment: what lanes are listed by."""


class LaneDesk:
    """What operators ask of the lanes of this replica."""

    def __init__(self, book: LaneBook) -> None:
        self._book = book
        self._checking = asyncio.Lock()

    def page(
        self, app_id: str, *, after: LaneKey | None, size: int
    ) -> tuple[Sequence[LaneStatus], bool]:
        """At most `size` lanes, of an app or (empty) of all, and whether more follow.

        Raises CredentialNotFound for an app without a credential file that no rows are for.
        """
        found = self._book.lanes(app_id)
        if app_id and not found:
            raise CredentialNotFound(app_id=app_id)
        left = [lane for lane in found if after is None or lane.key > after]
        return left[:size], len(left) > size

    async def check(
        self, app_id: str, provider: Provider | None, environment: Environment | None
    ) -> Sequence[CredentialCheck]:
        """Try the app's credentials out, all that fit. Raises CredentialNotFound without any.

        One check at a time: providers count what they refuse.
        """
        async with self._checking:
            found = await self._book.check(app_id, provider, environment)
        if not found:
            raise CredentialNotFound(app_id=app_id, provider=provider, environment=environment)
        return found

    def reload(self) -> Reloaded:
        """Look at the credential files now."""
        return self._book.reload()


async def keep_alarming(book: LaneBook, meters: LaneMeters, clock: Clock) -> None:
    """Show how many lanes need somebody to look at them, until cancelled."""
    while True:
        states = [(lane.provider, lane.condition.state) for lane in book.lanes()]
        meters.lane_alarms(
            Counter((provider, ALARMS[state]) for provider, state in states if state in ALARMS)
        )
        await clock.sleep(LOOK_EVERY.total_seconds())
