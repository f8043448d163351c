"""Which channels reach a user now."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby
from operator import attrgetter
from typing import Final

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.model import Platform, Provider, Suppression
from nuncio_registry.domain.ports.installations import Installations, ReachCount
from nuncio_runtime.clock import Clock

_USER: Final = attrgetter("user_id")
_CHANNEL: Final = attrgetter("provider", "platform")


@dataclass(frozen=True, slots=True)
class Channel:
    """A user's installations of one provider and platform.

    reachable: how many may be reached now. suppressed: how many may not, by reason. last_seen:
    when one of them last showed itself.
    """

    provider: Provider
    platform: Platform
    reachable: int
    suppressed: Mapping[Suppression, int]
    last_seen: datetime


@dataclass(frozen=True, slots=True)
class UserReach:
    """A user's channels; none, when the user has no installation."""

    user_id: str
    channels: tuple[Channel, ...]

    @property
    def reachable(self) -> bool:
        """Whether at least one installation may be reached."""
        return any(channel.reachable for channel in self.channels)


class Reachability:
    """Says who may be reached, by the rule of `Suppression`, as selection does."""

    def __init__(self, installations: Installations, apps: Apps, clock: Clock) -> None:
        self._installations = installations
        self._apps = apps
        self._clock = clock

    async def of_users(
        self, app_id: str, user_ids: Sequence[str], *, purpose: str
    ) -> list[UserReach]:
        """One answer per user, in order. purpose: empty, consent is not asked for.

        Raises AppNotFound.
        """
        app = await self._apps.get(app_id)
        counts = await self._installations.reachability(
            app_id,
            user_ids,
            purpose=purpose,
            stale_before=self._clock.now() - app.stale_after,
        )
        by_user = {user: tuple(_channels(of_user)) for user, of_user in groupby(counts, _USER)}
        return [UserReach(user_id, by_user.get(user_id, ())) for user_id in user_ids]


def _channels(counts: Iterable[ReachCount]) -> Iterable[Channel]:
    for (provider, platform), same in groupby(counts, _CHANNEL):
        alike = list(same)
        yield Channel(
            provider,
            platform,
            reachable=sum(c.installations for c in alike if c.reason is None),
            suppressed={c.reason: c.installations for c in alike if c.reason is not None},
            last_seen=max(c.last_seen for c in alike),
        )
