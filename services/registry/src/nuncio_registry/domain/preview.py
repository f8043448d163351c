"""What hygiene would do, counted before it does it."""

from collections import Counter
from collections.abc import Mapping
from contextlib import aclosing
from typing import NamedTuple

from nuncio_registry.domain.apps import Apps, Policies, under
from nuncio_registry.domain.hygiene import cutoffs_of, walk
from nuncio_registry.domain.model import Platform, TokenState
from nuncio_registry.domain.ports.hygiene import Fate, Group, Scans
from nuncio_runtime.clock import Clock


class HygieneCounts(NamedTuple):
    """What the policies would do to the installations of one platform."""

    active: int
    stale: int
    expiring: int
    deleting: int


class Preview:
    """Counts what hygiene would do, and changes nothing."""

    def __init__(self, scans: Scans, apps: Apps, clock: Clock) -> None:
        self._scans = scans
        self._apps = apps
        self._clock = clock

    async def counts(self, app_id: str, tried: Policies) -> Mapping[Platform, HygieneCounts]:
        """What the app's policies, or those to try out, would do now, in order of platforms.

        Raises AppNotFound, InvalidField.
        """
        app = under(await self._apps.get(app_id), tried)
        cutoffs = cutoffs_of(app, self._clock.now())
        counted: Counter[tuple[Platform, str]] = Counter()
        async with aclosing(walk(self._scans, app_id, cutoffs)) as parts:
            async for _, part in parts:
                for group in part.groups:
                    for name in HygieneCounts._fields:
                        counted[group.platform, name] += group.installations * _counts_as(
                            group, name
                        )
        return {
            platform: HygieneCounts(*(counted[platform, name] for name in HygieneCounts._fields))
            for platform in sorted({platform for platform, _ in counted})
        }


def _counts_as(group: Group, name: str) -> bool:
    match name:
        case "expiring":
            return group.fate == Fate.EXPIRING
        case "deleting":
            return group.fate == Fate.DELETING
        case _:
            active = group.token_state == TokenState.ACTIVE
            return active and (name == "active" or group.stale)
