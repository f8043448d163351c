"""Selection: the installations that match a predicate, as pages of targets in key order.

Hot path: every target of every dispatch passes here. Per target there is one decryption and the
cutting of its plain text; all else is done per page or in the database.
Benchmark: `nuncio bench main-road`.
"""

import asyncio
import struct
from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import compress
from operator import not_
from typing import Final
from uuid import UUID

import structlog

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.keys import FIRST_KEY, LAST_KEY, NO_KEYS, KeySpan
from nuncio_registry.domain.model import Provider, Suppression
from nuncio_registry.domain.ports.selection import Counts, SelectedRows, Selection, Selections
from nuncio_registry.domain.predicate import Predicate, check_predicate
from nuncio_registry.domain.sealing import KeyRing, UnreadableToken, binding
from nuncio_registry.domain.tokens import WEB_PUSH_KEY_BYTES
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

# PostgreSQL counts microseconds from 2000-01-01, the contract from 1970-01-01, both in UTC.
_EPOCH_SHIFT: Final = 946_684_800_000_000


@dataclass(frozen=True, slots=True)
class TargetPage:
    """A run of targets by columns, as the contract's TargetPage. Never shows its tokens.

    unreadable: how many of those suppressed for their token have one that does not open.
    """

    installation_ids: bytes
    token_refs: bytes
    platforms: bytes
    providers: bytes
    environments: bytes
    tokens: list[bytes]
    web_push_keys: bytes
    vapid_key_ids: list[str]
    registered_at: list[int]
    suppressed: Mapping[Suppression, int]
    cursor: UUID
    unreadable: int = 0

    def __repr__(self) -> str:
        return f"TargetPage({len(self.tokens)} targets)"


class Select:
    """Selects and counts targets. Raises AppNotFound, InvalidField."""

    def __init__(self, selections: Selections, apps: Apps, *, keys: KeyRing, clock: Clock) -> None:
        self._selections = selections
        self._apps = apps
        self._keys = keys
        self._clock = clock

    async def count(self, app_id: str, predicate: Predicate | None, purpose: str) -> Counts:
        """Count what `pages` would give."""
        selection = await self._selection(app_id, predicate, purpose)
        return await self._selections.count(selection)

    async def pages(
        self,
        app_id: str,
        predicate: Predicate | None,
        *,
        purpose: str,
        span: KeySpan,
        page_size: int,
    ) -> AsyncGenerator[TargetPage, None]:
        """Pages in key order, each read when the one before is on its way to the consumer.

        A page has `page_size` matching rows of both sorts, the last one maybe less, so a page may
        have no targets. A page sees what was committed when its reading began.
        """
        selection = await self._selection(app_id, predicate, purpose)
        bound = binding(app_id)
        reading = asyncio.create_task(self._read(selection, span, page_size))
        try:
            while (rows := await reading) is not None:
                left = span.after(rows.cursor) if rows.matched == page_size else NO_KEYS
                reading = asyncio.create_task(self._read(selection, left, page_size))
                yield self._readable_page(rows, bound)
        finally:
            # One page may be under way when the consumer leaves.
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    async def _selection(self, app_id: str, predicate: Predicate | None, purpose: str) -> Selection:
        if predicate is not None:
            check_predicate(predicate)
        app = await self._apps.get(app_id)
        stale_before = self._clock.now() - app.stale_after
        return Selection(app_id, predicate, purpose, stale_before, FIRST_KEY, LAST_KEY)

    async def _read(
        self, selection: Selection, span: KeySpan, page_size: int
    ) -> SelectedRows | None:
        if span.is_empty:
            return None
        part = selection._replace(first=UUID(int=span.first), last=UUID(int=span.last))
        return await self._selections.select(part, limit=page_size)

    def _readable_page(self, rows: SelectedRows, bound: bytes) -> TargetPage:
        """A token that does not open costs its installation the message, and nobody else."""
        try:
            return self._page(rows, bound)
        except UnreadableToken:
            opens = self._opens(rows, bound)
        lost = Counter(compress(rows.key_ids, map(not_, opens)))
        log.error("tokens_unreadable", count=lost.total(), key_ids=sorted(lost))
        return replace(self._page(rows.those(opens), bound), unreadable=lost.total())

    def _opens(self, rows: SelectedRows, bound: bytes) -> list[bool]:
        """Whether each token opens."""
        opens: list[bool] = []
        for id_, sealed, key_id in zip(rows.ids, rows.sealed, rows.key_ids, strict=True):
            try:
                self._keys.open(sealed, key_id=key_id, bound_to=bound + id_)
            except UnreadableToken:
                opens.append(False)
            else:
                opens.append(True)
        return opens

    def _page(self, rows: SelectedRows, bound: bytes) -> TargetPage:
        open_, web_push = self._keys.open, Provider.WEB_PUSH.value  # bound once: read for every row
        tokens: list[bytes] = []
        keys: list[bytes] = []
        vapid_key_ids: list[str] = []
        columns = zip(
            rows.ids, rows.sealed, rows.key_ids, rows.providers, rows.vapid_key_ids, strict=True
        )
        for id_, sealed, key_id, provider, vapid_key_id in columns:
            plaintext = open_(sealed, key_id=key_id, bound_to=bound + id_)
            if provider == web_push:
                keys.append(plaintext[:WEB_PUSH_KEY_BYTES])
                plaintext = plaintext[WEB_PUSH_KEY_BYTES:]
                vapid_key_ids.append(vapid_key_id)
            tokens.append(plaintext)
        return TargetPage(
            installation_ids=b"".join(rows.ids),
            token_refs=b"".join(rows.token_refs),
            platforms=bytes(rows.platforms),
            providers=bytes(rows.providers),
            environments=bytes(rows.environments),
            tokens=tokens,
            web_push_keys=b"".join(keys),
            vapid_key_ids=vapid_key_ids,
            registered_at=_since_1970(rows.registered_at),
            suppressed=rows.suppressed,
            cursor=rows.cursor,
        )


def _since_1970(times: Sequence[bytes]) -> list[int]:
    return [time + _EPOCH_SHIFT for time in struct.unpack(f">{len(times)}q", b"".join(times))]
