"""Erasure and export: what is kept of people, over all tables."""

from collections import Counter
from collections.abc import AsyncGenerator, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from asyncpg import Record

from nuncio_registry.domain.model import Change, ChangeKind, Platform, Version
from nuncio_registry.domain.ports.privacy import (
    Erasure,
    ErasureMark,
    ErasureSubject,
    RecordKind,
    StoredRow,
)
from nuncio_registry.storage.attributes import from_json
from nuncio_registry.storage.connection import Connection, Storage
from nuncio_registry.storage.history import record_changes
from nuncio_registry.storage.ownership import Ownership, release
from nuncio_runtime.postgres import load_queries

Q: Final = load_queries("nuncio_registry.storage", "privacy.sql")

_AT_ONCE: Final = 1_000

# An installation has up to some ten kilobytes of attributes, topics and tags.
_READ_AT_ONCE: Final = 100
_NEWEST: Final = ErasureMark(datetime(9999, 1, 1, tzinfo=UTC), UUID(int=2**128 - 1))


_RECORDS: Final = {
    RecordKind.INSTALLATION: Q.user_installations,
    RecordKind.CONSENT: Q.consent_events,
    RecordKind.CHANGE: Q.changes,
    RecordKind.INVALIDATION: Q.invalidations,
}


class PostgresPersonalData(Storage):
    """Keeps `PersonalData` and `UserRecords`."""

    async def erase_user(self, user_id: str, proof: Erasure) -> Erasure:
        async def attempt(connection: Connection) -> Erasure:
            # Whoever changes an installation, or adds to its history, locks its row first, as is
            # done here: what they did is there to be removed, or they find no row any more.
            rows = await connection.fetch(Q.lock_user, proof.app_id, user_id)
            return await _erase(connection, proof, rows, [row["installation_id"] for row in rows])

        return await self.in_turn(proof.app_id, attempt)

    async def erase_installation(self, installation_id: UUID, proof: Erasure) -> Erasure:
        async def attempt(connection: Connection) -> Erasure:
            rows = await connection.fetch(Q.lock_installation, proof.app_id, installation_id)
            # Its history may have outlived it: it goes in any case.
            return await _erase(connection, proof, rows, [installation_id])

        return await self.in_turn(proof.app_id, attempt)

    async def erasures(
        self, app_id: str, *, subject_hash: bytes | None, before: ErasureMark | None, limit: int
    ) -> list[Erasure]:
        arguments = (app_id, *(before or _NEWEST), limit)
        async with self.connection() as connection:
            if subject_hash is None:
                rows = await connection.fetch(Q.erasures, *arguments)
            else:
                rows = await connection.fetch(Q.erasures_of_subject, *arguments, subject_hash)
        return [_erasure_from(row) for row in rows]

    async def records(
        self, app_id: str, user_id: str
    ) -> AsyncGenerator[tuple[RecordKind, StoredRow], None]:
        ids: list[UUID] = []
        async with (
            self.connection() as connection,
            connection.transaction(isolation="repeatable_read", readonly=True),
        ):
            for kind, query in _RECORDS.items():
                of = user_id if kind is RecordKind.INSTALLATION else ids
                async for row in connection.cursor(query, app_id, of, prefetch=_READ_AT_ONCE):
                    if kind is RecordKind.INSTALLATION:
                        ids.append(row["installation_id"])
                    yield kind, _plain(row)


async def _erase(
    connection: Connection, proof: Erasure, locked: Sequence[Record], ids: Sequence[UUID]
) -> Erasure:
    removed: Counter[str] = Counter()
    for start in range(0, max(len(ids), 1), _AT_ONCE):  # Nothing to remove is counted, too.
        part = ids[start : start + _AT_ONCE]
        owned = [
            Ownership(row["installation_id"], row["token_hash"], row["environment"])
            for row in locked[start : start + _AT_ONCE]
        ]
        removed["live_token"] += await release(connection, proof.app_id, owned)
        counts = await connection.fetchrow(Q.erase_installations, proof.app_id, part)
        assert counts is not None, "counts are always one row"
        removed.update(dict(counts))
    erased = [
        Change(row["installation_id"], ChangeKind.ERASED, Platform(row["platform"]))
        for row in locked
    ]
    await record_changes(connection, proof.app_id, erased, now=proof.erased_at)
    proof = proof._replace(removed=dict(removed))
    await connection.execute(
        Q.insert_erasure,
        proof.app_id,
        proof.erasure_id,
        proof.subject,
        proof.subject_hash,
        proof.removed,
        proof.principal,
        proof.erased_at,
    )
    return proof


def _erasure_from(row: Record) -> Erasure:
    return Erasure(
        erasure_id=row["erasure_id"],
        app_id=row["app_id"],
        subject=ErasureSubject(row["subject"]),
        subject_hash=row["subject_hash"],
        removed=row["removed"],
        principal=row["principal"],
        erased_at=row["erased_at"],
    )


def _plain(row: Record) -> StoredRow:
    plain = dict(row)
    if "attributes" in plain:
        plain["attributes"] = {name: _typed(value) for name, value in plain["attributes"].items()}
    return plain


def _typed(tagged: Mapping[str, Any]) -> dict[str, object]:
    ((tag, _),) = tagged.items()
    value = from_json(tagged)
    return {tag: value.text if isinstance(value, Version) else value}
