"""The storage ports on PostgreSQL. The contract is in domain/ports.py, the SQL in queries.sql."""

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final, TypeAlias
from uuid import UUID

import asyncpg
import structlog

from nuncio_dispatcher.domain.books import Entries
from nuncio_dispatcher.domain.dispatch import Dispatch, NewDispatch
from nuncio_dispatcher.domain.errors import DispatchNotFound, LeaseLost
from nuncio_dispatcher.domain.pages import Lease, Outcomes, Page, Resolved, Settled, Shard
from nuncio_dispatcher.domain.ports import Backlog, Known, ListCursor, Queue
from nuncio_dispatcher.storage.packing import (
    entry_columns,
    follow_up_columns,
    follow_up_row,
    message_json,
    pack_environments,
    row_columns,
    settled_columns,
)
from nuncio_dispatcher.storage.rows import dispatch_from, outcomes_from, page_from, shard_from
from nuncio_runtime.errors import ServiceError
from nuncio_runtime.postgres import load_queries, storage_faults

Q: Final = load_queries("nuncio_dispatcher.storage")
Pool: TypeAlias = "asyncpg.Pool[asyncpg.Record]"
log = structlog.get_logger(__name__)

HEAD_START: Final = timedelta(minutes=1)
"""By how much a shard that was never worked on is ahead of those that had a turn."""
UNREADABLE_PAUSE: Final = timedelta(minutes=1)

_WAITING, _OPEN = 1, 2  # States of a page.


class PostgresDispatches:
    """See domain.ports.Dispatches."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def add(self, new: NewDispatch) -> bool:
        work, audience = new.work, new.work.audience
        with storage_faults():
            stored = await self._pool.fetch(
                Q.add_dispatch,
                work.dispatch_id,
                work.app_id,
                new.client_ref,
                new.content_digest,
                work.campaign,
                work.purpose,
                work.test,
                work.delivery,
                message_json(work.message),
                audience.expression,
                audience.installation_ids,
                list(audience.user_ids),
                new.created_at,
                work.expires_at,
                [keys.low for keys in new.shards],
                [keys.high for keys in new.shards],
            )
        return bool(stored)

    async def find(self, app_id: str, client_ref: str) -> Known | None:
        with storage_faults():
            row = await self._pool.fetchrow(Q.find_dispatch, app_id, client_ref)
        return None if row is None else Known(row["dispatch_id"], row["content_digest"])

    async def get(self, dispatch_id: UUID) -> Dispatch:
        with storage_faults():
            row = await self._pool.fetchrow(Q.get_dispatch, dispatch_id)
        if row is None:
            raise DispatchNotFound(dispatch_id)
        return dispatch_from(row)

    async def marks(self, dispatch_ids: Collection[UUID]) -> Mapping[UUID, int]:
        if not dispatch_ids:
            return {}
        with storage_faults():
            rows = await self._pool.fetch(Q.marks_of_dispatches, dispatch_ids)
        return {row["dispatch_id"]: row["mark"] for row in rows}

    async def list(
        self, app_id: str, campaign: str, *, after: ListCursor | None, limit: int
    ) -> Sequence[Dispatch]:
        created_at, dispatch_id = after or (None, None)
        with storage_faults():
            rows = await self._pool.fetch(
                Q.list_dispatches, app_id, campaign, created_at, dispatch_id, limit
            )
        return [dispatch_from(row) for row in rows]


class PostgresJournal:
    """See domain.ports.Journal."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def claim(
        self,
        *,
        owner: UUID,
        limit: int,
        term: timedelta,
        now: datetime,
        held: Collection[Lease] = (),
    ) -> Sequence[Shard]:
        ids, numbers = [each.dispatch_id for each in held], [each.shard_no for each in held]
        with storage_faults():
            rows = await self._pool.fetch(
                Q.claim_shards, owner, limit, term, now, HEAD_START, ids, numbers
            )
        shards = []
        for row in rows:
            try:
                shards.append(shard_from(row))
            except (KeyError, TypeError, ValueError) as error:
                await self._set_aside(row, error, now=now)
        return shards

    async def _set_aside(self, row: asyncpg.Record, error: Exception, *, now: datetime) -> None:
        """Leave a shard to those who can read it, such as a replica of a newer release."""
        lease = Lease(row["dispatch_id"], row["shard_no"], row["epoch"])
        log.error(
            "shard_unreadable", dispatch_id=str(lease.dispatch_id), fault=type(error).__name__
        )
        with suppress(ServiceError, LeaseLost):  # Or its lease ends by itself.
            await self.leave(lease, now=now, not_before=now + UNREADABLE_PAUSE)

    async def queue(self, *, limit: int, now: datetime) -> Queue:
        with storage_faults():
            row = await self._pool.fetchrow(Q.queue_of_shards, now, limit, HEAD_START)
        return Queue(*row) if row else Queue(0, 0)

    async def renew(
        self, owner: UUID, leases: Collection[Lease], *, term: timedelta
    ) -> Collection[Lease]:
        with storage_faults():
            rows = await self._pool.fetch(
                Q.renew_leases,
                owner,
                [lease.dispatch_id for lease in leases],
                [lease.shard_no for lease in leases],
                [lease.epoch for lease in leases],
                term,
            )
        return {Lease(row["dispatch_id"], row["shard_no"], row["epoch"]) for row in rows}

    async def leave(self, lease: Lease, *, now: datetime, not_before: datetime) -> bool:
        with storage_faults():
            async with self._pool.acquire() as connection, connection.transaction():
                await connection.fetch(Q.lock_dispatch, lease.dispatch_id)
                left = await connection.fetch(Q.leave_shard, *_key(lease), now, not_before)
                _must_hold(left)
                return bool(await connection.fetch(Q.finish_dispatch, lease.dispatch_id, now))

    async def open_page(
        self, lease: Lease, resolved: Resolved, entries: Entries, *, now: datetime
    ) -> Page:
        rows, cursor = resolved.targets.rows, resolved.cursor
        number = await self._write(
            Q.open_page, *_key(lease), now, cursor, *row_columns(rows), *entry_columns(entries)
        )
        return Page(number=number, rows=rows, opened_at=now, cursor=cursor)

    async def reopen_page(
        self, lease: Lease, page: Page, entries: Entries, *, now: datetime
    ) -> Page:
        await self._write(
            Q.reopen_page,
            *_key(lease),
            page.number,
            now,
            *row_columns(page.rows),
            *entry_columns(entries),
        )
        return replace(page, opened_at=now)

    async def close_page(
        self, lease: Lease, page: Page, settled: Settled, *, now: datetime
    ) -> None:
        if not settled.is_final:
            await self._put_back(lease, page, settled)
            return
        await self._write(
            Q.close_page,
            *_key(lease),
            page.number,
            _WAITING if page.opened_at is None else _OPEN,
            now,
            *settled_columns(settled),
            *follow_up_columns(settled.follow_ups),
            *entry_columns(settled.entries),
            pack_environments(settled.environments),
        )

    async def _put_back(self, lease: Lease, page: Page, settled: Settled) -> None:
        first, *others = settled.follow_ups
        await self._write(
            Q.put_page_back,
            *_key(lease),
            page.number,
            *follow_up_row(first),
            page.cursor,
            *follow_up_columns(others),
            *entry_columns(settled.entries),
        )

    async def end_walk(self, lease: Lease, *, failure: str) -> None:
        await self._write(Q.end_walk, *_key(lease), failure)

    async def in_doubt(self, lease: Lease) -> Sequence[Page]:
        with storage_faults():
            rows = await self._pool.fetch(Q.pages_in_doubt, lease.dispatch_id, lease.shard_no)
        return [page_from(row) for row in rows]

    async def due_page(self, lease: Lease, *, now: datetime) -> Page | None:
        with storage_faults():
            row = await self._pool.fetchrow(Q.due_page, lease.dispatch_id, lease.shard_no, now)
        return None if row is None else page_from(row)

    async def backlog(self) -> Backlog:
        with storage_faults():
            row = await self._pool.fetchrow(Q.backlog)
        return Backlog(*row) if row else Backlog(0, 0, 0)

    async def forget(self, *, finished_before: datetime, limit: int) -> int:
        with storage_faults():
            pages = await self._pool.fetch(Q.forget_pages, finished_before, limit)
            shards = await self._pool.fetch(Q.forget_shards, finished_before, limit)
        return len(pages) + len(shards)

    async def _write(self, query: str, *values: object) -> int:
        """Run a fenced statement: it gives one row while the lease is held, else none."""
        with storage_faults():
            rows = await self._pool.fetch(query, *values)
        _must_hold(rows)
        number: int = rows[0][0]
        return number


class PostgresOutbox:
    """See domain.ports.Outbox."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool

    async def take(self, limit: int, *, hold: timedelta) -> Sequence[Outcomes]:
        with storage_faults():
            rows = await self._pool.fetch(Q.take_outcomes, limit, hold)
        return [outcomes_from(row) for row in rows]

    async def mark_reported(self, pages: Sequence[Outcomes]) -> None:
        with storage_faults():
            await self._pool.execute(
                Q.mark_reported,
                [page.of.dispatch_id for page in pages],
                [page.shard_no for page in pages],
                [page.number for page in pages],
            )


def _key(lease: Lease) -> tuple[UUID, int, int]:
    return lease.dispatch_id, lease.shard_no, lease.epoch


def _must_hold(rows: Sequence[asyncpg.Record]) -> None:
    """Statements of a lease's holder give a row; none means that the epoch was not theirs."""
    if not rows:
        raise LeaseLost
