"""All lanes, made from the credentials folder and kept up with it."""

import asyncio
import ssl
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nuncio_dispatcher.domain.errors import MessageInvalid
from nuncio_dispatcher.domain.lane_names import PROVIDER_NAMES, lane_name
from nuncio_dispatcher.domain.lane_status import CredentialFacts
from nuncio_dispatcher.domain.model import Destination, Environment, Message, Provider
from nuncio_dispatcher.domain.ports import Lane
from nuncio_dispatcher.providers.answers import Own
from nuncio_dispatcher.providers.apns.auth import TokenMint, load_key, present_certificate
from nuncio_dispatcher.providers.apns.client import ApnsClient
from nuncio_dispatcher.providers.apns.settings import ApnsSettings
from nuncio_dispatcher.providers.checks import violations
from nuncio_dispatcher.providers.client import Client
from nuncio_dispatcher.providers.credentials import (
    AppCredentials,
    Settings,
    Slot,
    Stamp,
    files_of,
    read_credentials,
)
from nuncio_dispatcher.providers.facts import facts_of
from nuncio_dispatcher.providers.fcm.auth import load_account
from nuncio_dispatcher.providers.fcm.client import FcmClient
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.fields import CredentialError, tls_context
from nuncio_dispatcher.providers.lane.lane import ProviderLane, UnusableLane
from nuncio_dispatcher.providers.transports import apns_origin, encryption, transport
from nuncio_dispatcher.providers.webpush.auth import VapidKeys, load_tokens
from nuncio_dispatcher.providers.webpush.client import WebPushClient
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at an app's files."""


@dataclass
class AppLanes:
    """What is known of an app's credentials, and when its files were looked at."""

    looked_at: float
    stamps: tuple[Stamp, ...] = ()
    lanes: dict[Slot, ProviderLane] = field(default_factory=dict)
    made_from: dict[Slot, tuple[Settings, tuple[Stamp, ...]]] = field(default_factory=dict)
    facts: dict[Slot, CredentialFacts] = field(default_factory=dict)
    problems: dict[Slot | None, str] = field(default_factory=dict)
    wanted: dict[Slot, float] = field(default_factory=dict)
    """Slots without a section that rows are for, and when one was last."""


class FolderLanes:
    """Lanes for the credentials in a folder, `<app_id>.toml` each; see domain/ports.py.

    Files are looked at when a lane is asked for, at most once a second. A changed credential gets
    a new lane; the old one ends what it is sending first.
    """

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._apps: dict[str, AppLanes] = {}
        self._mints: dict[tuple[str, str, bytes], TokenMint] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def lane(self, app_id: str, provider: Provider, environment: Environment) -> Lane:
        """See Lanes.lane."""
        slot = Slot.of(provider, environment)
        app = self.app(app_id)
        if slot in app.lanes:
            return app.lanes[slot]
        broken = slot in app.problems or None in app.problems
        reason = Own.BAD_CREDENTIAL if broken else Own.NO_CREDENTIAL
        if not broken:
            app.wanted[slot] = self._clock.monotonic()
        return UnusableLane(lane_name(app_id, slot), reason)

    def check(self, message: Message, *, to: Destination | None = None) -> None:
        """See Lanes.check."""
        found = violations(message, to=to)
        if found:
            raise MessageInvalid(*found)

    def problems(self) -> list[str]:
        """What is wrong with the folder's credentials, one line per lane; no secrets."""
        return [
            problem for app_id in self.app_ids() for problem in self.app(app_id).problems.values()
        ]

    def app_ids(self) -> Sequence[str]:
        """The apps that have a file now, in order."""
        return sorted(path.stem for path in self._folder.glob("*.toml"))

    def wanted_since(self, time: float) -> Sequence[str]:
        """The apps with a slot without a section that rows came for since then (monotonic)."""
        return [
            app_id
            for app_id, app in self._apps.items()
            if any(asked_at > time for asked_at in app.wanted.values())
        ]

    def present(self) -> Mapping[tuple[str, Slot], ProviderLane]:
        """The lanes that there are now, by app and slot."""
        return {
            (app_id, slot): lane
            for app_id, app in self._apps.items()
            for slot, lane in app.lanes.items()
        }

    async def aclose(self) -> None:
        """Close every lane, once its sends have ended."""
        lanes = [lane for app in self._apps.values() for lane in app.lanes.values()]
        self._apps.clear()
        await asyncio.gather(*(lane.aclose() for lane in lanes), *self._closing)

    def app(self, app_id: str, *, at_once: bool = False) -> AppLanes:
        """The app, as its files are now or, unless `at_once`, were up to a second ago."""
        now = self._clock.monotonic()
        app = self._apps.get(app_id)
        if app is None:
            app = self._apps[app_id] = AppLanes(looked_at=now)
        elif not at_once and now - app.looked_at < LOOK_EVERY:
            return app
        app.looked_at = now
        path = self._file(app_id)
        if path is not None:
            self._look(app_id, app, path)
        return app

    def read(self, app_id: str) -> AppCredentials:
        """What the app's file says now. Makes no lanes."""
        path = self._file(app_id)
        return AppCredentials() if path is None else read_credentials(path)

    def _file(self, app_id: str) -> Path | None:
        """Where the app's file would be; None when the id is no plain file name.

        Nothing outside of the folder is ever read.
        """
        return self._folder / f"{app_id}.toml" if Path(app_id).name == app_id else None

    def _look(self, app_id: str, app: AppLanes, path: Path) -> None:
        """Read the app's file again if that, or a file it refers to, has changed."""
        own = Stamp.of(path)
        if app.stamps and app.stamps == (own, *(Stamp.of(old.path) for old in app.stamps[1:])):
            return
        found = read_credentials(path)
        referred = [file for settings in found.settings.values() for file in files_of(settings)]
        app.stamps = (own, *(Stamp.of(file) for file in referred))
        self._rebuild(app_id, app, found)

    def _rebuild(self, app_id: str, app: AppLanes, found: AppCredentials) -> None:
        """Make lanes for what is new or changed, and let go of what is not there any more."""
        app.problems = dict(found.problems)
        for slot in [slot for slot in app.lanes if slot not in found.settings]:
            self._let_go(app, slot)
        for slot, settings in found.settings.items():
            made_from = settings, tuple(Stamp.of(file) for file in files_of(settings))
            if app.made_from.get(slot) == made_from:
                continue
            self._let_go(app, slot)
            try:
                lane = self._make(lane_name(app_id, slot), slot, settings)
                app.facts[slot] = facts_of(settings, now=self._clock.now())
                app.lanes[slot] = lane
                app.made_from[slot] = made_from
            except CredentialError as error:
                app.problems[slot] = f"{app_id}.toml: {PROVIDER_NAMES[slot.provider]}: {error}"
        for problem in app.problems.values():
            log.error("bad_credential", app_id=app_id, problem=problem)

    def _let_go(self, app: AppLanes, slot: Slot) -> None:
        app.made_from.pop(slot, None)
        app.facts.pop(slot, None)
        lane = app.lanes.pop(slot, None)
        if lane is not None:
            task = asyncio.create_task(lane.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _make(self, name: str, slot: Slot, settings: Settings) -> ProviderLane:
        """A lane; it connects when it has something to send. Raises CredentialError."""
        tls = tls_context(settings.ca_file)
        client: Client
        match settings:
            case ApnsSettings():
                mint, origin = self.prove(tls, settings), apns_origin(slot, settings)
                ends_at = facts_of(settings, now=self._clock.now()).not_after
                client = ApnsClient(
                    settings, origin=origin, mint=mint, ends_at=ends_at, clock=self._clock
                )
            case FcmSettings():
                client = FcmClient(settings, account=load_account(settings), clock=self._clock)
            case WebPushSettings():
                keys = VapidKeys(
                    *(load_tokens(each, clock=self._clock) for each in settings.each_key())
                )
                encrypt = encryption(settings)
                client = WebPushClient(settings, keys=keys, encrypt=encrypt, clock=self._clock)
        return ProviderLane(
            name,
            settings,
            provider=slot.provider,
            client=client,
            transport=transport(slot, settings, tls=tls, clock=self._clock),
            clock=self._clock,
        )

    def prove(self, tls: ssl.SSLContext, settings: ApnsSettings) -> TokenMint | None:
        """The mint of the token key; None when the connections prove themselves.

        All lanes of a key share its mint. Raises CredentialError.
        """
        if settings.certificate_file is not None:
            present_certificate(tls, settings, now=self._clock.now())
            return None
        key = load_key(settings)
        public = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        team_id, key_id = settings.team_id or "", settings.key_id or ""
        return self._mints.setdefault(
            (team_id, key_id, public),
            TokenMint(key, team_id=team_id, key_id=key_id, clock=self._clock),
        )
