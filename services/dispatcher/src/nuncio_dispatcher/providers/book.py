"""The lanes as operators see them: how they stand, what is wrong with their credentials."""

import asyncio
from collections.abc import Iterator, Mapping, Sequence
from datetime import timedelta
from typing import Final

from nuncio_dispatcher.domain.lane_names import lane_name
from nuncio_dispatcher.domain.lane_status import (
    Condition,
    CredentialCheck,
    LaneState,
    LaneStatus,
    LaneTransport,
    Reloaded,
)
from nuncio_dispatcher.domain.model import Environment, Provider
from nuncio_dispatcher.http2.exchange import Origin
from nuncio_dispatcher.providers.answers import Own
from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.credentials import SECTIONS, Settings, Slot
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.lane.live import (
    condition_of,
    origins_of,
    rate_of,
    traffic_of,
)
from nuncio_dispatcher.providers.lanes import AppLanes, FolderLanes
from nuncio_dispatcher.providers.preflight import Preflight
from nuncio_dispatcher.providers.transports import apns_origin
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings
from nuncio_runtime.clock import Clock

TRANSPORTS: Final[Mapping[str, LaneTransport]] = {
    "multiplex": LaneTransport.MULTIPLEX,
    "reference": LaneTransport.REFERENCE,
}

WANTED_FOR: Final = timedelta(minutes=5)
"""For so long a lane that has no section is shown after rows for it came, at least."""

MISSED: Final = 3
"""And for so many of the times after which rows that wait for it come again."""


class FolderBook:
    """A LaneBook of the lanes that come from a credentials folder."""

    def __init__(
        self, lanes: FolderLanes, *, clock: Clock, probe_wait: timedelta = timedelta()
    ) -> None:
        """probe_wait: between tries of rows whose lane has no section."""
        self._lanes = lanes
        self._clock = clock
        self._wanted_for = max(WANTED_FOR, MISSED * probe_wait).total_seconds()

    def lanes(self, app_id: str = "") -> Sequence[LaneStatus]:
        """See LaneBook.lanes."""
        found = [
            status
            for each in ([app_id] if app_id else self._app_ids())
            for status in self._statuses(each)
        ]
        return sorted(found, key=lambda lane: lane.key)

    async def check(
        self, app_id: str, provider: Provider | None, environment: Environment | None
    ) -> Sequence[CredentialCheck]:
        """See LaneBook.check."""
        credentials = self._lanes.read(app_id)
        sections = _sections(credentials.settings, credentials.problems)
        async with asyncio.TaskGroup() as group:
            checks = [
                group.create_task(self._preflight(slot).check(found))
                for slot, found in sections.items()
                if _fits(slot, provider, environment)
            ]
        return [check.result() for check in checks]

    def reload(self) -> Reloaded:
        """See LaneBook.reload."""
        before = self._lanes.present()
        app_ids = self._lanes.app_ids()
        for app_id in {*app_ids, *(app_id for app_id, _ in before)}:
            self._lanes.app(app_id, at_once=True)
        after = self._lanes.present()
        return Reloaded(
            made=sorted(lane_name(*key) for key, lane in after.items() if lane != before.get(key)),
            let_go=sorted(lane_name(*key) for key in before.keys() - after.keys()),
            unchanged=sorted(
                lane_name(*key) for key, lane in after.items() if lane == before.get(key)
            ),
            problems=self._lanes.problems(),
        )

    def _preflight(self, slot: Slot) -> Preflight:
        return Preflight(slot, prove=self._lanes.prove, clock=self._clock)

    def _app_ids(self) -> set[str]:
        """The apps that have a file, and those that rows are for without one."""
        since = self._clock.monotonic() - self._wanted_for
        return {*self._lanes.app_ids(), *self._lanes.wanted_since(since)}

    def _statuses(self, app_id: str) -> Iterator[LaneStatus]:
        app = self._lanes.app(app_id)
        settings = {slot: made_from for slot, (made_from, _) in app.made_from.items()}
        sections = {**self._missing(app_id, app), **_sections(settings, app.problems)}
        for slot, found in sections.items():
            if isinstance(found, str):
                yield LaneStatus(
                    app_id=app_id,
                    provider=slot.provider,
                    environment=slot.environment,
                    condition=Condition(LaneState.MISCONFIGURED, found),
                )
            else:
                yield _status(app_id, slot, app, found)

    def _missing(self, app_id: str, app: AppLanes) -> Mapping[Slot, str]:
        """The slots that rows were for of late, and that have no section."""
        since = self._clock.monotonic() - self._wanted_for
        return {
            slot: f"{Own.NO_CREDENTIAL}: {app_id}.toml has no section {SECTIONS[slot][0]}"
            for slot, asked_at in app.wanted.items()
            if asked_at > since
        }


def _sections(
    settings: Mapping[Slot, Settings], problems: Mapping[Slot | None, str]
) -> Mapping[Slot, Settings | str]:
    """What is in an app's file, section by section: settings, or what is wrong with them."""
    if not settings and set(problems) == {None}:
        return dict.fromkeys(SECTIONS, problems[None])
    found = {slot: problems.get(slot) or settings.get(slot) for slot in SECTIONS}
    return {slot: section for slot, section in found.items() if section is not None}


def _fits(slot: Slot, provider: Provider | None, environment: Environment | None) -> bool:
    """Whether the credential serves such tokens; only APNs keeps environments apart."""
    if provider not in (None, slot.provider):
        return False
    return environment is None or slot == Slot.of(slot.provider, environment)


def _status(app_id: str, slot: Slot, app: AppLanes, settings: Settings) -> LaneStatus:
    live = app.lanes[slot].live()
    allowed = None if settings.rate is None else settings.rate / 60
    return LaneStatus(
        app_id=app_id,
        provider=slot.provider,
        environment=slot.environment,
        condition=condition_of(live, many_origins=slot.provider is Provider.WEB_PUSH),
        origins=[str(origin) for origin in sorted({*origins_of(live), *_known(slot, settings)})],
        transport=TRANSPORTS[settings.transport],
        traffic=traffic_of(live),
        rate=rate_of(live, allowed=allowed),
        allowed_rate=allowed,
        answers=live.answers,
        credential=app.facts[slot],
    )


def _known(slot: Slot, settings: Settings) -> Sequence[Origin]:
    """Where it sends to whatever the rows; Web Push goes where the subscriptions say."""
    match settings:
        case ApnsSettings():
            return (apns_origin(slot, settings),)
        case FcmSettings():
            return (settings.origin,)
        case WebPushSettings():
            return ()
