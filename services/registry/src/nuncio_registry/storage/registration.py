"""Registration: one statement for repeats, one for first registrations and repeats beside them; for
the rest of a page the rows are locked, the plan is asked for, and carried out.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from nuncio_registry.domain.model import Registration
from nuncio_registry.domain.ports.registration import Known, NewRow, Plan, Repeat, Result, Round
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import RACES, Connection, Fetching, Overtaken, Pool, Storage
from nuncio_registry.storage.history import Said, record_changes, record_consents
from nuncio_registry.storage.ownership import Ownership, release, take
from nuncio_runtime.postgres import load_queries, storage_faults

Q: Final = load_queries("nuncio_registry.storage", "registration.sql")


class PostgresRegistrations(Storage):
    """Keeps `Registrations`."""

    def __init__(self, pool: Pool, *, by_key: Fetching | None = None) -> None:
        """by_key: of `open_by_key`; without it the planner chooses, which suits small tables."""
        super().__init__(pool)
        self._by_key: Fetching = pool if by_key is None else by_key

    async def move_times_on(
        self, app_id: str, repeats: Sequence[Repeat], *, key_id: int, now: datetime
    ) -> dict[int, datetime]:
        if not repeats:
            return {}
        order, columns = _in_key_order(repeats)
        try:
            with storage_faults():
                moved = await self._by_key.fetch(Q.move_times_on, app_id, now, *columns, key_id)
        except RACES:
            return {}
        return {order[position - 1]: registered_at for position, registered_at in moved}

    async def create(
        self,
        app_id: str,
        rows: Sequence[Registration],
        new: Sequence[NewRow],
        *,
        hashes: Sequence[bytes],
        beside: Sequence[Repeat],
        key_id: int,
        now: datetime,
    ) -> tuple[Collection[UUID], Mapping[int, datetime]]:
        if not new and not beside:
            return (), {}
        order, columns = _in_key_order(beside)
        # In key order, as all writers do, so that fewer of them wait for each other in a circle.
        ordered = sorted(new, key=lambda row: rows[row.row].installation_id)
        told = [rows_.registration_row(rows[row.row], row, hashes[row.row]) for row in ordered]
        try:
            with storage_faults():
                written = await self._by_key.fetch(
                    Q.create_installations, app_id, now, *columns, key_id, told
                )
        except RACES:
            return (), await self.move_times_on(app_id, beside, key_id=key_id, now=now)
        created = {id_ for id_, position, _ in written if position is None}
        moved = {order[at - 1]: registered_at for _, at, registered_at in written if at}
        return created, moved

    async def register(
        self,
        app_id: str,
        rows: Sequence[Registration],
        *,
        hashes: Sequence[bytes],
        now: datetime,
        plan: Callable[[Sequence[Known]], Plan],
    ) -> list[Result]:
        ids = [row.installation_id for row in rows]
        with_attributes = any(row.facts.attributes for row in rows)
        with_purposes = any(row.consents for row in rows)
        asked = (app_id, ids, hashes, with_attributes, with_purposes)

        async def attempt(connection: Connection) -> list[Result]:
            touched = await connection.fetch(Q.lock_touched, *asked)
            results, rounds, changes, counting = plan([rows_.known_from(row) for row in touched])
            for round_ in rounds:
                await _write_round(connection, app_id, counting, round_, hashes=hashes, now=now)
            await record_changes(connection, app_id, changes, now=now)
            for round_ in rounds:
                await record_consents(connection, app_id, _consents(counting, round_), now=now)
            return results

        return await self.in_turn(app_id, attempt)


def _in_key_order(repeats: Sequence[Repeat]) -> tuple[list[int], tuple[Sequence[Any], ...]]:
    """Positions, and the columns in this order: as all writers do, so that fewer of them wait for
    each other in a circle.
    """
    order = sorted(range(len(repeats)), key=lambda at: repeats[at].installation_id)
    columns = tuple(zip(*(repeats[at] for at in order), strict=True))
    return order, columns or ((),) * len(Repeat._fields)


async def _write_round(
    connection: Connection,
    app_id: str,
    rows: Sequence[Registration],
    round_: Round,
    *,
    hashes: Sequence[bytes],
    now: datetime,
) -> None:
    await release(connection, app_id, [Ownership(*released) for released in round_.released])
    if round_.replaced:
        await connection.execute(Q.replace_owners, app_id, round_.replaced, now)
    # In key order, as all writers do, so that fewer of them wait for each other in a circle.
    ordered = sorted(round_.rows, key=lambda new: rows[new.row].installation_id)
    told = [rows_.registration_row(rows[new.row], new, hashes[new.row]) for new in ordered]
    status = await connection.execute(Q.write_installations, app_id, now, told)
    if status != f"INSERT 0 {len(ordered)}":
        raise Overtaken
    taken = [
        Ownership(rows[new.row].installation_id, hashes[new.row], rows[new.row].environment)
        for new in ordered
        if new.takes_token
    ]
    await take(connection, app_id, taken)


def _consents(rows: Sequence[Registration], round_: Round) -> list[Said]:
    return [
        Said(rows[new.row].installation_id, rows[new.row].platform, change)
        for new in round_.rows
        for change in rows[new.row].consents
    ]
