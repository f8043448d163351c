"""Statistics: what is counted, and how it is kept."""

from collections.abc import Mapping
from datetime import date, datetime
from typing import Any, Final
from uuid import UUID

from nuncio_registry.domain.model import ConsentState, Platform
from nuncio_registry.domain.ports.statistics import (
    Answers,
    Flow,
    OptIns,
    Prompts,
    Recount,
    Stock,
    UserPart,
    Waiting,
)
from nuncio_registry.storage.connection import Storage
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "statistics.sql")

_COUNTS: Final = ("installations", "active", "invalid", "expired", "replaced", "stale")


class PostgresStockScans(Storage):
    """Keeps `StockScans`."""

    async def answers(self, app_id: str, *, first: UUID, last: UUID) -> list[Answers]:
        async with self.connection() as connection:
            rows = await connection.fetch(Q.latest_answers, app_id, first, last)
        return [
            Answers(
                row["purpose"],
                row["prompt_strategy"],
                ConsentState(row["state"]),
                row["installations"],
            )
            for row in rows
        ]

    async def users(self, app_id: str, *, after: str, limit: int) -> UserPart | None:
        async with self.connection() as connection:
            rows = await connection.fetch(Q.users_part, app_id, after, limit)
        if not rows:
            return None
        by_number = {row["live"]: row["users"] for row in rows}
        return UserPart(by_number, rows[0]["cursor"], rows[0]["is_last"])

    async def changes(self, app_id: str, *, since: date) -> int:
        # The pool of the scans, for its sake: what a replica shows as rolled up, it has, too.
        async with self.connection() as connection:
            counted: int = await connection.fetchval(Q.rolled_up, app_id, since)
        return counted


class PostgresStatistics(Storage):
    """Keeps `StatisticsStore`."""

    async def put_stock(
        self, app_id: str, day: date, stock: Stock, recount: Recount | None = None
    ) -> None:
        counted, again = (stock.counted_at, _document_from(stock)), recount or (None, None, None)
        async with self.connection() as connection:
            await connection.execute(Q.put_stock, app_id, day, *counted, *again)

    async def latest_stock(self, app_id: str) -> Stock | None:
        async with self.connection() as connection:
            row = await connection.fetchrow(Q.latest_stock, app_id)
        return None if row is None else _stock_of(row["counted_at"], row["document"])

    async def active_by_day(self, app_id: str, *, since: date) -> Mapping[date, int]:
        async with self.connection() as connection:
            rows = await connection.fetch(Q.active_by_day, app_id, since)
        return {row["day"]: row["active"] for row in rows}

    async def flows(self, app_id: str, *, since: date) -> list[Flow]:
        async with self.connection() as connection:
            rows = await connection.fetch(Q.flows, app_id, since)
        return [Flow(*row) for row in rows]

    async def waiting(self, app_id: str) -> Waiting:
        async with self.connection() as connection:
            row = await connection.fetchrow(Q.waiting, app_id)
        assert row is not None, "it is always one row"
        return Waiting(*row)

    async def roll_up(self, app_id: str, *, limit: int) -> int:
        async with self.connection() as connection:
            if not await connection.fetchval(Q.has_uncounted, app_id):
                return 0
        async with self.transaction() as connection:
            if await connection.fetchrow(Q.keep_app, app_id) is None:
                return 0
            await connection.execute(Q.open_flow_bookmark, app_id)
            await connection.execute(Q.lock_flow_bookmark, app_id)
            # Another statement, with a snapshot of its own: it sees the bookmark that we locked.
            counted: int | None = await connection.fetchval(Q.count_changes, app_id, limit)
        return counted or 0


def _document_from(stock: Stock) -> dict[str, Any]:
    """As it is kept in the table: lists instead of objects where there may be hundreds."""
    return {
        **{name: getattr(stock, name) for name in _COUNTS},
        "opt_ins": [list(each) for each in stock.opt_ins],
        "prompts": [list(each) for each in stock.prompts],
        "users": [list(each) for each in stock.users.items()],
    }


def _stock_of(counted_at: datetime, document: Mapping[str, Any]) -> Stock:
    return Stock(
        counted_at=counted_at,
        **{name: document[name] for name in _COUNTS},
        opt_ins=[OptIns(Platform(platform), *rest) for platform, *rest in document["opt_ins"]],
        prompts=[Prompts(*each) for each in document["prompts"]],
        users=dict(document["users"]),
    )
