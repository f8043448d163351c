"""Selection: the installations that match a predicate, as pages of targets in key order.

Stable under concurrent registration means: an installation that matches from the first page's
reading to the last one's is in exactly one page, as a target or under one reason, however many
others come, change and go meanwhile; and a selection that starts again from any page's cursor gives
the rest. Keys never change and pages go up by key, so no row can slip behind the reader, and none
comes twice. What begins or ceases to match meanwhile may be in a page or not: each page sees what
was committed when its own reading began.

Hot path: every target of every dispatch passes here. Per target there is one decryption and the
cutting of its plain text; all else is done per page or in the database.
Benchmark: `nuncio bench select`.
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
from nuncio_registry.domain.keys import KeySpan
from nuncio_registry.domain.model import Provider, Suppression
from nuncio_registry.domain.ports.selection import SelectedRows, Selections
from nuncio_registry.domain.predicate import Predicate
from nuncio_registry.domain.sealing import KeyRing, UnreadableToken, binding
from nuncio_registry.domain.tokens import WEB_PUSH_KEY_BYTES
from nuncio_registry.domain.walk import Walk, selection_of
from nuncio_runtime.clock import Clock

log = structlog.get_logger(__name__)

# PostgreSQL counts microseconds from 2000-01-01, the contract from 1970-01-01, both in UTC.
_EPOCH_SHIFT: Final = 946_684_800_000_000

SILENT_SECONDS: Final = 1.0
"""How long a stream may give nothing: consumers wait for each page with a deadline."""

ID_BYTES: Final = 16


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
    vapid_key_ids: Sequence[str]
    registered_at: list[int]
    suppressed: Mapping[Suppression, int]
    cursor: UUID
    unreadable: int = 0

    def __repr__(self) -> str:
        return f"TargetPage({len(self.tokens)} targets)"


class Select:
    """Selects targets. Raises AppNotFound, InvalidField."""

    def __init__(self, selections: Selections, apps: Apps, *, keys: KeyRing, clock: Clock) -> None:
        self._selections = selections
        self._apps = apps
        self._keys = keys
        self._clock = clock

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

        A page has at most `page_size` matching rows of both sorts, so it may have no targets.
        Where nothing matches, an empty page a second tells how far the keys were looked at.
        """
        selection = await selection_of(self._apps, self._clock, app_id, predicate, purpose)
        walk = Walk(self._selections, selection, span, page_size=page_size)
        bound = binding(app_id)
        told = self._clock.monotonic()
        reading = asyncio.create_task(walk.next())
        try:
            while (rows := await reading) is not None:
                reading = asyncio.create_task(walk.next())
                silent = self._clock.monotonic() - told
                if rows.cursor is not None and not (rows.is_empty and silent < SILENT_SECONDS):
                    yield self._readable_page(rows, bound, rows.cursor)
                    told = self._clock.monotonic()
        finally:
            # One page may be under way when the consumer leaves.
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)

    def _readable_page(self, rows: SelectedRows, bound: bytes, cursor: UUID) -> TargetPage:
        """A token that does not open costs its installation the message, and nobody else."""
        try:
            return self._page(rows, bound, cursor)
        except UnreadableToken:
            opens = self._opens(rows, bound)
        lost = Counter(compress(rows.key_ids, map(not_, opens)))
        log.error("tokens_unreadable", count=lost.total(), key_ids=sorted(lost))
        return replace(self._page(rows.those(opens), bound, cursor), unreadable=lost.total())

    def _opens(self, rows: SelectedRows, bound: bytes) -> list[bool]:
        """Whether each token opens."""
        opens: list[bool] = []
        for id_, sealed, key_id in zip(_cells(rows.ids), rows.sealed, rows.key_ids, strict=True):
            try:
                self._keys.open(sealed, key_id=key_id, bound_to=bound + id_)
            except UnreadableToken:
                opens.append(False)
            else:
                opens.append(True)
        return opens

    def _page(self, rows: SelectedRows, bound: bytes, cursor: UUID) -> TargetPage:
        open_, web_push = self._keys.open, Provider.WEB_PUSH.value  # bound once: read for every row
        tokens: list[bytes] = []
        keys: list[bytes] = []
        columns = zip(_cells(rows.ids), rows.sealed, rows.key_ids, rows.providers, strict=True)
        for id_, sealed, key_id, provider in columns:
            plaintext = open_(sealed, key_id=key_id, bound_to=bound + id_)
            if provider == web_push:
                keys.append(plaintext[:WEB_PUSH_KEY_BYTES])
                plaintext = plaintext[WEB_PUSH_KEY_BYTES:]
            tokens.append(plaintext)
        return TargetPage(
            installation_ids=rows.ids,
            token_refs=rows.token_refs,
            platforms=rows.platforms,
            providers=rows.providers,
            environments=rows.environments,
            tokens=tokens,
            web_push_keys=b"".join(keys),
            vapid_key_ids=rows.vapid_key_ids,
            registered_at=_since_1970(rows.registered_at),
            suppressed=rows.suppressed,
            cursor=cursor,
        )


def _cells(ids: bytes) -> list[bytes]:
    return [ids[at : at + ID_BYTES] for at in range(0, len(ids), ID_BYTES)]


def _since_1970(times: bytes) -> list[int]:
    return [time + _EPOCH_SHIFT for time in struct.unpack(f">{len(times) // 8}q", times)]
