"""All lanes, made from the credentials folder and kept up with it."""

import asyncio
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import structlog
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from nuncio_dispatcher.domain.errors import MessageInvalid
from nuncio_dispatcher.domain.model import Environment, Message, Provider
from nuncio_dispatcher.domain.ports import Lane
from nuncio_dispatcher.providers.answers import Own
from nuncio_dispatcher.providers.apns import payload as apns_payload
from nuncio_dispatcher.providers.apns.auth import TokenMint, load_key
from nuncio_dispatcher.providers.apns.client import ApnsLane
from nuncio_dispatcher.providers.apns.settings import ORIGINS, ApnsSettings
from nuncio_dispatcher.providers.credentials import (
    AppCredentials,
    Settings,
    Slot,
    Stamp,
    files_of,
    read_credentials,
)
from nuncio_dispatcher.providers.fcm import payload as fcm_payload
from nuncio_dispatcher.providers.fcm.auth import load_account
from nuncio_dispatcher.providers.fcm.client import FcmLane
from nuncio_dispatcher.providers.fcm.settings import FcmSettings
from nuncio_dispatcher.providers.fields import CredentialError, tls_context
from nuncio_dispatcher.providers.http import Http
from nuncio_dispatcher.providers.http_network import Network
from nuncio_dispatcher.providers.lane import UnusableLane
from nuncio_dispatcher.providers.webpush import payload as webpush_payload
from nuncio_dispatcher.providers.webpush.auth import load_tokens
from nuncio_dispatcher.providers.webpush.client import WebPushLane
from nuncio_dispatcher.providers.webpush.endpoints import VettedNetwork
from nuncio_dispatcher.providers.webpush.settings import WebPushSettings
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

LOOK_EVERY: Final = 1.0
"""Seconds between two looks at an app's files."""
PROVIDER_NAMES: Final = {
    Provider.APNS: "apns",
    Provider.FCM: "fcm",
    Provider.WEB_PUSH: "web_push",
}


@dataclass
class _App:
    """What is known of an app's credentials, and when its files were looked at."""

    looked_at: float
    stamps: tuple[Stamp, ...] = ()
    lanes: dict[Slot, Lane] = field(default_factory=dict)
    made_from: dict[Slot, tuple[Settings, tuple[Stamp, ...]]] = field(default_factory=dict)
    problems: dict[Slot | None, str] = field(default_factory=dict)


class FolderLanes:
    """Lanes for the credentials in a folder, `<app_id>.toml` each; see domain/ports.py.

    Files are looked at when a lane is asked for, at most once a second. A changed credential gets
    a new lane; the old one ends what it is sending first.
    """

    def __init__(self, folder: Path, *, clock: Clock) -> None:
        self._folder = folder
        self._clock = clock
        self._apps: dict[str, _App] = {}
        self._mints: dict[tuple[str, str, bytes], TokenMint] = {}
        self._closing: set[asyncio.Task[None]] = set()

    def lane(self, app_id: str, provider: Provider, environment: Environment) -> Lane:
        """See Lanes.lane."""
        slot = Slot.of(provider, environment)
        app = self._app(app_id)
        if slot in app.lanes:
            return app.lanes[slot]
        broken = slot in app.problems or None in app.problems
        reason = Own.BAD_CREDENTIAL if broken else Own.NO_CREDENTIAL
        return UnusableLane(_lane_name(app_id, slot), reason)

    def check(self, message: Message) -> None:
        """See Lanes.check."""
        found = [
            *apns_payload.violations(message),
            *fcm_payload.violations(message),
            *webpush_payload.violations(message),
        ]
        if found:
            raise MessageInvalid(*found)

    def problems(self) -> list[str]:
        """What is wrong with the folder's credentials, one line per lane; no secrets."""
        return [
            problem
            for path in sorted(self._folder.glob("*.toml"))
            for problem in self._app(path.stem).problems.values()
        ]

    async def aclose(self) -> None:
        """Close every lane, once its sends have ended."""
        lanes = [lane for app in self._apps.values() for lane in app.lanes.values()]
        self._apps.clear()
        await asyncio.gather(*(lane.aclose() for lane in lanes), *self._closing)

    def _app(self, app_id: str) -> _App:
        """The app, as its files are now or were up to a second ago."""
        now = self._clock.monotonic()
        app = self._apps.get(app_id)
        if app is None:
            app = self._apps[app_id] = _App(looked_at=now)
        elif now - app.looked_at < LOOK_EVERY:
            return app
        app.looked_at = now
        # An id that is no plain file name has no file: nothing outside of the folder is read.
        if Path(app_id).name == app_id:
            self._look(app_id, app, self._folder / f"{app_id}.toml")
        return app

    def _look(self, app_id: str, app: _App, path: Path) -> None:
        """Read the app's file again if that, or a file it refers to, has changed."""
        own = Stamp.of(path)
        if app.stamps and app.stamps == (own, *(Stamp.of(old.path) for old in app.stamps[1:])):
            return
        found = read_credentials(path)
        referred = [file for settings in found.settings.values() for file in files_of(settings)]
        app.stamps = (own, *(Stamp.of(file) for file in referred))
        self._rebuild(app_id, app, found)

    def _rebuild(self, app_id: str, app: _App, found: AppCredentials) -> None:
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
                app.lanes[slot] = self._make(_lane_name(app_id, slot), slot, settings)
                app.made_from[slot] = made_from
            except CredentialError as error:
                app.problems[slot] = f"{app_id}.toml: {PROVIDER_NAMES[slot.provider]}: {error}"
        for problem in app.problems.values():
            log.error("bad_credential", app_id=app_id, problem=problem)

    def _let_go(self, app: _App, slot: Slot) -> None:
        app.made_from.pop(slot, None)
        lane = app.lanes.pop(slot, None)
        if lane is not None:
            task = asyncio.create_task(lane.aclose())
            self._closing.add(task)
            task.add_done_callback(self._closing.discard)

    def _make(self, name: str, slot: Slot, settings: Settings) -> Lane:
        """A lane; it connects when it has something to send. Raises CredentialError."""
        match settings:
            case ApnsSettings():
                return self._make_apns(name, slot, settings)
            case FcmSettings():
                account = load_account(settings)
                http = self._http(settings)
                return FcmLane(name, settings, account=account, http=http, clock=self._clock)
            case WebPushSettings():
                tokens = load_tokens(settings, clock=self._clock)
                http = self._http(settings)
                return WebPushLane(name, settings, tokens=tokens, http=http, clock=self._clock)

    def _make_apns(self, name: str, slot: Slot, settings: ApnsSettings) -> ApnsLane:
        key = load_key(settings)
        public = key.public_key().public_bytes(Encoding.X962, PublicFormat.CompressedPoint)
        team_id, key_id = settings.team_id, settings.key_id
        mint = self._mints.setdefault(
            (team_id, key_id, public),
            TokenMint(key, team_id=team_id, key_id=key_id, clock=self._clock),
        )
        tls = tls_context(settings.ca_file)
        tls.set_alpn_protocols(["h2"])
        origin = settings.origin or ORIGINS[slot.environment]
        return ApnsLane(name, settings, origin=origin, mint=mint, tls=tls, clock=self._clock)

    def _http(self, settings: FcmSettings | WebPushSettings) -> Http:
        network = Network()
        if isinstance(settings, WebPushSettings):
            network = VettedNetwork(settings.allowed_origins)
        return Http(
            tls=tls_context(settings.ca_file),
            answer_within=settings.answer_within,
            clock=self._clock,
            network=network,
        )


def _lane_name(app_id: str, slot: Slot) -> str:
    return f"{PROVIDER_NAMES[slot.provider]}/{app_id}/{slot.environment.name.lower()}"
