"""Apps: what everything else is scoped to."""

from datetime import timedelta
from typing import Final

from nuncio_registry.domain.errors import AppExists, AppNotFound
from nuncio_registry.domain.model import App
from nuncio_registry.domain.ports.apps import AppStore
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import FieldViolation, InvalidField

DEFAULT_STALE_AFTER: Final = timedelta(days=30)
MAX_STALE_AFTER: Final = timedelta(days=36_500)

# An app that was there a moment ago is taken for there: each call asks.
_TRUSTED_FOR: Final = 30.0


class Apps:
    """Creates, reads and lists apps."""

    def __init__(self, store: AppStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[str, float] = {}

    async def create(self, *, app_id: str, display_name: str, stale_after: timedelta | None) -> App:
        """Create an app; doing it again changes nothing. Raises AppExists when it differs."""
        wanted = App(
            app_id=app_id,
            display_name=display_name,
            stale_after=DEFAULT_STALE_AFTER if stale_after is None else stale_after,
            created_at=self._clock.now(),
        )
        if wanted.stale_after > MAX_STALE_AFTER:
            raise InvalidField(FieldViolation("app.stale_after", "must be at most 36500 days"))
        stored = await self._store.create(wanted)
        if not stored.has_content_of(wanted):
            raise AppExists(app_id)
        return stored

    async def get(self, app_id: str) -> App:
        """The app as stored. Raises AppNotFound."""
        app = await self._store.get(app_id)
        if app is None:
            raise AppNotFound(app_id)
        self._seen[app_id] = self._clock.monotonic()
        return app

    async def require(self, app_id: str) -> None:
        """Raise AppNotFound when there is no such app. Asks the storage now and then only."""
        seen = self._seen.get(app_id)
        if seen is None or self._clock.monotonic() - seen > _TRUSTED_FOR:
            await self.get(app_id)

    async def page(self, *, after: str, limit: int) -> list[App]:
        """Apps by id, those greater than `after`."""
        return await self._store.page(after=after, limit=limit)
