"""Erasure on demand: everything that is kept of a user or of an installation goes, with proof."""

from typing import Final
from uuid import UUID, uuid4

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.ports.privacy import (
    Erasure,
    ErasureMark,
    ErasureSubject,
    PersonalData,
)
from nuncio_registry.domain.sealing import KeyRing
from nuncio_runtime.clock import Clock

# The names are part of the keyed hash: another name would not find old proofs.
_KINDS: Final = {ErasureSubject.USER: "user", ErasureSubject.INSTALLATION: "installation"}


class Erase:
    """Erases, and finds the proofs. Raises AppNotFound."""

    def __init__(self, data: PersonalData, apps: Apps, *, keys: KeyRing, clock: Clock) -> None:
        self._data = data
        self._apps = apps
        self._keys = keys
        self._clock = clock

    async def user(self, app_id: str, user_id: str, *, principal: str) -> Erasure:
        """Erase a user with all installations. Doing it again removes nothing, and proves that."""
        await self._apps.require(app_id)
        proof = self._proof(app_id, ErasureSubject.USER, user_id, principal)
        return await self._data.erase_user(user_id, proof)

    async def installation(self, app_id: str, installation_id: UUID, *, principal: str) -> Erasure:
        """Erase one installation, or what is left of it, in the same way."""
        await self._apps.require(app_id)
        proof = self._proof(app_id, ErasureSubject.INSTALLATION, str(installation_id), principal)
        return await self._data.erase_installation(installation_id, proof)

    async def page(
        self, app_id: str, *, subject_hash: bytes | None, before: ErasureMark | None, limit: int
    ) -> list[Erasure]:
        """Proofs, newest first; see `PersonalData.erasures`."""
        await self._apps.require(app_id)
        return await self._data.erasures(
            app_id, subject_hash=subject_hash, before=before, limit=limit
        )

    def subject_hash(self, app_id: str, subject: ErasureSubject, name: str) -> bytes:
        """16 bytes that find a user id, or an installation id in lower case, again."""
        return self._keys.subject_hash(_KINDS[subject], app_id, name)

    def _proof(self, app_id: str, subject: ErasureSubject, name: str, principal: str) -> Erasure:
        return Erasure(
            erasure_id=uuid4(),
            app_id=app_id,
            subject=subject,
            subject_hash=self.subject_hash(app_id, subject, name),
            removed={},
            principal=principal,
            erased_at=self._clock.now(),
        )
