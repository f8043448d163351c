"""Rotation: every token that an old key sealed is sealed anew, while everything goes on.

Replicas seal with the old key until they have taken up the new one. So the walk is repeated until
one that began after that finds nothing more to do. It may be broken off at any time, and begun
again; what is done, is done.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Final

from nuncio_registry.domain.ports.sealed import Resealed, SealedToken, SealedTokens, TokenKey
from nuncio_registry.domain.sealing import KeyRing, UnreadableToken, bound_to
from nuncio_runtime.clock import Clock

BATCH: Final = 1_000


@dataclass(slots=True)
class Rotation:
    """What a rotation has done so far.

    resealed: tokens, in all walks. walks: those that were begun. unreadable: in the last walk, how
    many tokens of which key do not open. in_use: the keys that sealed a token in the last walk,
    the newest included.
    """

    newest: int
    resealed: int = 0
    walks: int = 0
    looked_at: int = 0
    unreadable: Counter[int] = field(default_factory=Counter)
    in_use: set[int] = field(default_factory=set)


class Rotate:
    """Seals tokens anew with the newest key."""

    def __init__(self, tokens: SealedTokens, keys: KeyRing, clock: Clock) -> None:
        self._tokens = tokens
        self._keys = keys
        self._clock = clock

    async def run(
        self,
        *,
        settled: datetime,
        batch: int = BATCH,
        progress: Callable[[Rotation], object] = lambda _: None,
    ) -> Rotation:
        """Walk until nothing is left that opens, and give what was done.

        settled: from when on nobody seals with an old key any more. progress: told after each
        batch. Raises StorageUnavailable.
        """
        rotation = Rotation(newest=self._keys.newest)
        while True:
            is_settled = self._clock.now() >= settled
            if not await self._walk(rotation, batch, progress) and is_settled:
                return rotation
            if not is_settled:
                await self._clock.sleep((settled - self._clock.now()).total_seconds())

    async def _walk(
        self, rotation: Rotation, batch: int, progress: Callable[[Rotation], object]
    ) -> int:
        """Look at all tokens once; how many were to be sealed anew."""
        rotation.walks += 1
        rotation.looked_at = 0
        rotation.unreadable.clear()
        rotation.in_use.clear()
        last: TokenKey | None = None
        found = 0
        while page := await self._tokens.page(after=last, newest=rotation.newest, limit=batch):
            last = TokenKey(page[-1].app_id, page[-1].installation_id)
            new = self._sealed_anew(page, rotation)
            found += len(new)
            if new:
                rotation.resealed += await self._tokens.reseal(new, key_id=rotation.newest)
            rotation.looked_at += len(page)
            progress(rotation)
        return found

    def _sealed_anew(self, page: Sequence[SealedToken], rotation: Rotation) -> list[Resealed]:
        new: list[Resealed] = []
        for app_id, installation_id, key_id, sealed in page:
            rotation.in_use.add(key_id)
            if sealed is None:
                continue
            bound = bound_to(app_id, installation_id)
            try:
                plaintext = self._keys.open(sealed, key_id=key_id, bound_to=bound)
            except UnreadableToken:
                rotation.unreadable[key_id] += 1
            else:
                anew = self._keys.seal_bytes(plaintext, bound)
                new.append(Resealed(app_id, installation_id, sealed, anew))
        return new
