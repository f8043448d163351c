"""Whose an installation is: login, logout, and two accounts that become one."""

from typing import Final
from uuid import UUID

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.errors import InstallationNotFound
from nuncio_registry.domain.ports.installations import Installations
from nuncio_runtime.clock import Clock
from nuncio_runtime.errors import FieldViolation, InvalidField

# Installations that one transaction moves: a registration waits for one of these at most.
MERGE_BATCH: Final = 500


class Identity:
    """Moves installations between users. Raises AppNotFound."""

    def __init__(self, installations: Installations, apps: Apps, clock: Clock) -> None:
        self._installations = installations
        self._apps = apps
        self._clock = clock

    async def identify(self, app_id: str, installation_id: UUID, user_id: str) -> str:
        """Give the installation to the user, to nobody when empty; the one before, or empty.

        Raises InstallationNotFound.
        """
        await self._apps.require(app_id)
        before = await self._installations.set_user(
            app_id, installation_id, user_id, now=self._clock.now()
        )
        if before is None:
            raise InstallationNotFound(app_id=app_id, installation_id=installation_id)
        return before

    async def merge(self, app_id: str, *, from_user: str, into_user: str) -> int:
        """Give all installations of one user to another; how many moved.

        In batches, each of them atomic: a merge that is cut short goes on where it stopped when it
        is asked for again. Raises InvalidField when both are the same.
        """
        if from_user == into_user:
            raise InvalidField(FieldViolation("into_user_id", "must be another user"))
        await self._apps.require(app_id)
        moved = 0
        while batch := await self._installations.merge_users(
            app_id,
            from_user=from_user,
            into_user=into_user,
            limit=MERGE_BATCH,
            now=self._clock.now(),
        ):
            moved += batch
        return moved
