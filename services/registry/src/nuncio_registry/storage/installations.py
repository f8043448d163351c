"""Installations besides the registration of their tokens."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Final
from uuid import UUID

from nuncio_registry.domain.limits import PURPOSES_RULE, check_limits, too_many_purposes
from nuncio_registry.domain.model import (
    Change,
    ChangeKind,
    ConsentChange,
    ConsentEvent,
    ConsentState,
    FactsChange,
    Installation,
    Platform,
    Touch,
)
from nuncio_registry.domain.ports.installations import ReachCount
from nuncio_registry.storage import rows as rows_
from nuncio_registry.storage.connection import Connection, Storage
from nuncio_registry.storage.history import Said, record_changes, record_consents
from nuncio_runtime.errors import FieldViolation, InvalidField
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "installations.sql")


class PostgresInstallations(Storage):
    """Keeps `Installations`."""

    async def get(self, app_id: str, installation_id: UUID) -> Installation | None:
        async with self.connection() as connection:
            row = await connection.fetchrow(Q.installation, app_id, installation_id)
        return None if row is None else rows_.installation_from(row)

    async def update(
        self, app_id: str, installation_id: UUID, change: FactsChange, *, now: datetime
    ) -> Installation | None:
        columns = rows_.update_columns(change)
        async with self.transaction() as connection:
            row = await connection.fetchrow(
                Q.update_installation, app_id, installation_id, *columns, now
            )
            if row is None:
                return None
            installation = rows_.installation_from(row)
            check_limits(installation)
            if row["permission"] != row["permission_before"]:
                kind, platform = ChangeKind.PERMISSION_CHANGED, installation.platform
                event = Change(installation_id, kind, platform, row["permission"])
                await record_changes(connection, app_id, [event], now=now)
        return installation

    async def set_user(
        self, app_id: str, installation_id: UUID, user_id: str, *, now: datetime
    ) -> str | None:
        async with self.transaction() as connection:
            row = await connection.fetchrow(Q.set_user, app_id, installation_id, user_id, now)
            if row is None:
                return None
            before: str = row["user_id"]
            if before != user_id:
                event = Change(installation_id, ChangeKind.IDENTIFIED, Platform(row["platform"]))
                await record_changes(connection, app_id, [event], now=now)
        return before

    async def merge_users(
        self, app_id: str, *, from_user: str, into_user: str, limit: int, now: datetime
    ) -> int:
        async def attempt(connection: Connection) -> int:
            moved = await connection.fetch(Q.merge_users, app_id, from_user, into_user, limit, now)
            events = [
                Change(id_, ChangeKind.IDENTIFIED, Platform(platform))
                for id_, platform in sorted(map(tuple, moved))
            ]
            await record_changes(connection, app_id, events, now=now)
            return len(events)

        return await self.in_turn(app_id, attempt)

    async def set_consent(
        self,
        app_id: str,
        installation_id: UUID,
        *,
        changes: Sequence[ConsentChange],
        now: datetime,
    ) -> Mapping[str, ConsentState] | None:
        granted = [c.purpose for c in changes if c.state == ConsentState.GRANTED]
        denied = [c.purpose for c in changes if c.state == ConsentState.DENIED]
        async with self.transaction() as connection:
            row = await connection.fetchrow(
                Q.set_consents, app_id, installation_id, granted, denied, now
            )
            if row is None:
                return None
            consents = rows_.consents_from(row)
            if too_many_purposes(len(consents), before=row["purposes_before"]):
                raise InvalidField(FieldViolation("changes", PURPOSES_RULE))
            said = [Said(installation_id, Platform(row["platform"]), c) for c in changes]
            await record_consents(connection, app_id, said, now=now)
        return consents

    async def consent_events(
        self, app_id: str, installation_id: UUID, *, before: int | None, limit: int
    ) -> list[ConsentEvent] | None:
        async with self.connection() as connection:
            found = await connection.fetch(Q.consent_events, app_id, installation_id, before, limit)
        if not found:
            return None
        return [rows_.consent_event_from(row) for row in found if row["event_id"] is not None]

    async def touch(self, app_id: str, touches: Sequence[Touch]) -> Collection[UUID]:
        columns = list(zip(*touches, strict=True))

        async def attempt(connection: Connection) -> set[UUID]:
            found = await connection.fetch(Q.touch_installations, app_id, *columns)
            return {row["installation_id"] for row in found}

        return await self.in_turn(app_id, attempt)

    async def reachability(
        self, app_id: str, user_ids: Sequence[str], *, purpose: str, stale_before: datetime
    ) -> list[ReachCount]:
        async with self.connection() as connection:
            found = await connection.fetch(Q.reachability, app_id, user_ids, purpose, stale_before)
        return [rows_.reach_count_from(row) for row in found]
