"""The change feed: what happens to an app's installations, in order, for as long as one listens."""

import asyncio
import base64
import binascii
import hashlib
import struct
from collections.abc import AsyncGenerator
from datetime import timedelta
from typing import Final

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.errors import PositionExpired, Stopping
from nuncio_registry.domain.ports.feed import ChangeFeed, FeedPage, Position
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import FieldViolation, InvalidField

EVENTS_PER_PAGE: Final = 1000

# A position as text: version, transaction, change, seal; 24 bytes need no padding in base64.
_PLACE: Final = struct.Struct(">BQq")
_VERSION: Final = 1
_SEAL_BYTES: Final = 7


class Watch:
    """Follows the change feeds of apps."""

    def __init__(
        self, feed: ChangeFeed, apps: Apps, *, clock: Clock, poll: timedelta, heartbeat: timedelta
    ) -> None:
        self._feed = feed
        self._apps = apps
        self._clock = clock
        self._poll = poll.total_seconds()
        self._heartbeat = heartbeat.total_seconds()
        self._draining = asyncio.Event()

    def drain(self) -> None:
        """End all that follow, now and later, with Stopping."""
        self._draining.set()

    async def follow(
        self, app_id: str, *, after: Position | None, from_now: bool
    ) -> AsyncGenerator[FeedPage, None]:
        """Pages as they come, the first one at once, the others empty only as a sign of life.

        after: None begins with the oldest event that is kept. A page is read when the consumer
        asks for it: until then nothing is held, neither in memory nor in the database.
        Raises InvalidField, AppNotFound, PositionExpired and, when the server stops, Stopping.
        """
        if from_now and after is not None:
            rule = "must not be set together with a position"
            raise InvalidField(FieldViolation("from_now", rule))
        heard = float("-inf")
        if from_now:
            await self._apps.require(app_id)
            after = await self._feed.newest(app_id)
            yield FeedPage((), after)
            heard = self._clock.monotonic()
        while True:
            page = await self._look(app_id, after)
            after = page.position
            if page.events or self._clock.monotonic() - heard >= self._heartbeat:
                yield page
                heard = self._clock.monotonic()
            if len(page.events) < EVENTS_PER_PAGE:
                await self._pause()

    async def _look(self, app_id: str, after: Position | None) -> FeedPage:
        if self._draining.is_set():
            raise Stopping
        await self._apps.require(app_id)
        page = await self._feed.read(app_id, after=after, limit=EVENTS_PER_PAGE)
        if page is None:
            raise PositionExpired(app_id)
        return page

    async def _pause(self) -> None:
        """Until it is time to look again, or the server stops."""
        waits = [
            asyncio.ensure_future(self._clock.sleep(self._poll)),
            asyncio.ensure_future(self._draining.wait()),
        ]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()


def position_text(position: Position, app_id: str) -> str:
    """A position for callers: opaque, and good in the feed of this app only."""
    place = _PLACE.pack(_VERSION, *position)
    return base64.urlsafe_b64encode(place + _seal(place, app_id)).decode()


def position_of(text: str, app_id: str) -> Position | None:
    """The position of a text; None when it is empty. Raises InvalidField.

    The seal keeps out mistakes, not attackers: a position grants nothing that the feed does not.
    """
    if not text:
        return None
    try:
        raw = base64.b64decode(text, altchars=b"-_", validate=True)
    except (binascii.Error, ValueError):
        raw = b""
    place, seal = raw[: _PLACE.size], raw[_PLACE.size :]
    if len(place) == _PLACE.size and seal == _seal(place, app_id):
        version, transaction_id, change_id = _PLACE.unpack(place)
        if version == _VERSION:
            return Position(transaction_id, change_id)
    rule = "must be a position of this app's change feed"
    raise InvalidField(FieldViolation("position", rule))


def _seal(place: bytes, app_id: str) -> bytes:
    key = hashlib.sha256(app_id.encode()).digest()
    return hashlib.blake2b(place, key=key, digest_size=_SEAL_BYTES).digest()
