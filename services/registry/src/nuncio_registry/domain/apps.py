"""Apps: what everything else is scoped to, and the policies that hold for it."""

from dataclasses import replace
from datetime import timedelta
from typing import Final, NamedTuple

from nuncio_registry.domain.errors import AppExists, AppNotEmpty, AppNotFound
from nuncio_registry.domain.model import App
from nuncio_registry.domain.ports.apps import AppStore, Deletion
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import FieldViolation, InvalidField

DEFAULT_STALE_AFTER: Final = timedelta(days=30)
DEFAULT_EXPIRE_AFTER: Final = timedelta(days=270)
DEFAULT_RETENTION: Final = timedelta(days=90)
LONGEST_POLICY: Final = timedelta(days=36_500)

CLEARED_AT_ONCE: Final = 5_000

# An app that was there a moment ago is taken for there: each call asks. So a registration may come
# in for so long after the app was deleted by another replica. To look at the app in every
# registration's transaction would cost all of them for what hardly ever happens; such a row is
# out of reach from then on, and goes when hygiene runs next, or when the app is created again.
TRUSTED_FOR: Final = 30.0


class Policies(NamedTuple):
    """The policies that somebody states; None leaves the app's."""

    stale_after: timedelta | None = None
    expire_after: timedelta | None = None
    retention: timedelta | None = None


class Apps:
    """Creates, reads, changes, lists and deletes apps."""

    def __init__(self, store: AppStore, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self._seen: dict[str, float] = {}

    async def create(self, *, app_id: str, display_name: str, policies: Policies) -> App:
        """Create an app; doing it again changes nothing. Raises AppExists when it differs."""
        plain = App(
            app_id=app_id,
            display_name=display_name,
            stale_after=DEFAULT_STALE_AFTER,
            expire_after=DEFAULT_EXPIRE_AFTER,
            retention=DEFAULT_RETENTION,
            created_at=self._clock.now(),
        )
        wanted = under(plain, policies, path="app.")
        # What is left of an earlier app goes in short transactions, so that the last one is short.
        while await self._store.clear(app_id, limit=CLEARED_AT_ONCE):
            pass
        stored = await self._store.create(wanted)
        different = _differences(stored, wanted)
        if different:
            raise AppExists(app_id, differences=different)
        return stored

    async def update(self, app_id: str, *, display_name: str | None, policies: Policies) -> App:
        """Change what is given; the app as it is then. Raises AppNotFound, InvalidField."""

        def change(app: App) -> App:
            name = app.display_name if display_name is None else display_name
            return replace(under(app, policies), display_name=name)

        return _found(await self._store.update(app_id, change), app_id)

    async def delete(self, app_id: str) -> bool:
        """Delete an app that has no installations; whether there was one. Raises AppNotEmpty.

        Repeating it goes on where an earlier call was cut off.
        """
        deletion = await self._store.delete(app_id)
        if deletion is Deletion.NOT_EMPTY:
            raise AppNotEmpty(app_id)
        self._seen.pop(app_id, None)
        while await self._store.clear(app_id, limit=CLEARED_AT_ONCE):
            pass
        return deletion is Deletion.DELETED

    async def get(self, app_id: str) -> App:
        """The app as stored. Raises AppNotFound."""
        app = _found(await self._store.get(app_id), app_id)
        self._seen[app_id] = self._clock.monotonic()
        return app

    async def require(self, app_id: str) -> None:
        """Raise AppNotFound when there is no such app. Asks the storage now and then only."""
        if not self.seen_lately(app_id):
            await self.get(app_id)

    def seen_lately(self, app_id: str) -> bool:
        """Whether the app was there a moment ago."""
        seen = self._seen.get(app_id)
        return seen is not None and self._clock.monotonic() - seen <= TRUSTED_FOR

    async def page(self, *, after: str, limit: int) -> list[App]:
        """Apps by id, those greater than `after`."""
        return await self._store.page(after=after, limit=limit)


def under(app: App, policies: Policies, *, path: str = "") -> App:
    """The app with these policies in place of its own. Raises InvalidField, naming path + field."""
    told = {name: value for name, value in policies._asdict().items() if value is not None}
    if not told:
        return app
    for name, value in told.items():
        if value > LONGEST_POLICY:
            rule = f"must be at most {LONGEST_POLICY.days} days"
            raise InvalidField(FieldViolation(f"{path}{name}", rule))
    changed = replace(app, **told)
    if changed.expire_after <= changed.stale_after:
        if policies.expire_after is None:
            rule = "must be shorter than expire_after"
            raise InvalidField(FieldViolation(f"{path}stale_after", rule))
        raise InvalidField(FieldViolation(f"{path}expire_after", "must be longer than stale_after"))
    return changed


def _differences(stored: App, wanted: App) -> dict[str, tuple[str, str]]:
    """By field what both say, where they do not say the same; whenever they were created."""
    fields = ("display_name", *Policies._fields)
    pairs = ((name, getattr(stored, name), getattr(wanted, name)) for name in fields)
    return {name: (_told(there), _told(asked)) for name, there, asked in pairs if there != asked}


def _told(value: str | timedelta) -> str:
    """A name in quotes; a policy in days, or in seconds when these are no whole days."""
    if isinstance(value, str):
        return f'"{value}"'
    days, rest = divmod(value, timedelta(days=1))
    return f"{value.total_seconds():.15g} seconds" if rest else f"{days} days"


def _found(app: App | None, app_id: str) -> App:
    if app is None:
        raise AppNotFound(app_id)
    return app
