"""What happens to an installation besides the registration of its token."""

from collections.abc import Mapping, Sequence
from typing import TypeVar
from uuid import UUID

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.errors import InstallationNotFound
from nuncio_registry.domain.model import (
    ConsentChange,
    ConsentEvent,
    ConsentState,
    FactsChange,
    Installation,
    Touch,
)
from nuncio_registry.domain.ports.installations import Installations
from nuncio_registry.domain.rules import check_consents, check_facts, check_touches
from nuncio_runtime.clock import Clock

T = TypeVar("T")


class InstallationCare:
    """Reads and changes installations.

    Raises AppNotFound for an unknown app and InstallationNotFound for an unknown installation.
    """

    def __init__(self, installations: Installations, apps: Apps, clock: Clock) -> None:
        self._installations = installations
        self._apps = apps
        self._clock = clock

    async def get(self, app_id: str, installation_id: UUID) -> Installation:
        """The installation as stored."""
        await self._apps.require(app_id)
        found = await self._installations.get(app_id, installation_id)
        return _found(found, app_id, installation_id)

    async def update(self, app_id: str, installation_id: UUID, change: FactsChange) -> Installation:
        """Change what the installation tells of itself. Raises InvalidField."""
        now = self._clock.now()
        check_facts(change.facts, now=now, path="facts")
        await self._apps.require(app_id)
        found = await self._installations.update(app_id, installation_id, change, now=now)
        return _found(found, app_id, installation_id)

    async def touch(self, app_id: str, touches: Sequence[Touch]) -> list[bool]:
        """Note when installations were last seen and opened; for each whether it exists.

        Times never go back. Raises InvalidField for one that lies ahead.
        """
        check_touches(touches, now=self._clock.now(), path="touches")
        await self._apps.require(app_id)
        known = await self._installations.touch(app_id, touches)
        return [touch.installation_id in known for touch in touches]

    async def set_consent(
        self, app_id: str, installation_id: UUID, changes: Sequence[ConsentChange]
    ) -> Mapping[str, ConsentState]:
        """Record what the person agreed to; gives the latest state of every purpose.

        Raises InvalidField.
        """
        check_consents(changes, path="changes")
        await self._apps.require(app_id)
        consents = await self._installations.set_consent(
            app_id, installation_id, changes=changes, now=self._clock.now()
        )
        return _found(consents, app_id, installation_id)

    async def consent_events(
        self, app_id: str, installation_id: UUID, *, before: int | None, limit: int
    ) -> list[ConsentEvent]:
        """The consent ledger, newest first; entries with an id less than `before`."""
        await self._apps.require(app_id)
        events = await self._installations.consent_events(
            app_id, installation_id, before=before, limit=limit
        )
        return _found(events, app_id, installation_id)


def _found(value: T | None, app_id: str, installation_id: UUID) -> T:
    if value is None:
        raise InstallationNotFound(app_id=app_id, installation_id=installation_id)
    return value
