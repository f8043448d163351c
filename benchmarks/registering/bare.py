"""What anybody would write: a statement for each page and table, tokens in plain text.

With nothing that makes it a registry: nobody checks a row, a token may have many owners, and who
was refused, moved or restored is not found out.
"""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, NamedTuple, Self

import asyncpg
import orjson

from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio_registry.api.rows import registration_of
from nuncio_registry.domain.model import ConsentState
from nuncio_registry.storage.attributes import to_json

PARTITIONS: Final = 16

# The tables that a first registration is in, what each is partitioned by, and their fill factors.
_TABLES: Final = (
    ("installation", "installation_id", 85),
    ("live_token", "token_hash", 100),
    ("consent_event", "installation_id", 100),
    ("change", "installation_id", 100),
)
# INCLUDING ALL: also the primary key, the indexes, the defaults and the generated columns.
_TABLE: Final = "CREATE TABLE bare_{name} (LIKE {name} INCLUDING ALL) PARTITION BY HASH ({key})"
_PARTITION: Final = """
CREATE TABLE bare_{name}_{n} PARTITION OF bare_{name}
  FOR VALUES WITH (MODULUS {all}, REMAINDER {n}) WITH (fillfactor = {fill})
"""
_OWN: Final = """
INSERT INTO bare_live_token (app_id, installation_id, token_hash, environment)
SELECT $1, installation_id, sha256(token), 1
  FROM unnest($2::uuid[], $3::bytea[]) AS new (installation_id, token)
ON CONFLICT (app_id, token_hash, environment) DO UPDATE
   SET installation_id = excluded.installation_id
"""
_RECORD: Final = """
INSERT INTO bare_consent_event (
         app_id, installation_id, purpose, state, source, prompt_strategy, policy_version, actor,
         changed_at)
SELECT $1, new.*, $2
  FROM unnest($3::uuid[], $4::text[], $5::smallint[], $6::text[], $7::text[], $8::text[],
              $9::text[]) AS new
"""
_TELL: Final = """
INSERT INTO bare_change (app_id, happened_at, installation_id, kind, platform, value, detail)
SELECT $1, $2, new.*
  FROM unnest($3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[], $7::text[]) AS new
"""
_UPSERT: Final = """
INSERT INTO bare_installation (
         app_id, installation_id, platform, provider, environment, token_state, token_key_id,
         permission, registered_at, token_changed_at, observed_at, created_at, last_seen_at,
         token_hash, token_sealed, user_id, language, country, time_zone, app_version, os_version,
         device_model, sdk_version, topics, attributes, consents_granted, consents_denied)
SELECT $1, installation_id, platform, provider, 1, 1, 1,
       permission, $2, $2, $2, $2, last_seen_at,
       sha256(token), token, user_id, language, country, time_zone, app_version, os_version,
       device_model, sdk_version, string_to_array(topics, ' '), attributes,
       string_to_array(granted, ' '), string_to_array(denied, ' ')
  FROM unnest($3::uuid[], $4::smallint[], $5::smallint[], $6::smallint[], $7::timestamptz[],
              $8::bytea[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
              $14::text[], $15::text[], $16::text[], $17::text[], $18::jsonb[], $19::text[],
              $20::text[])
       AS new (installation_id, platform, provider, permission, last_seen_at, token, user_id,
               language, country, time_zone, app_version, os_version, device_model, sdk_version,
               topics, attributes, granted, denied)
ON CONFLICT (app_id, installation_id) DO UPDATE
   SET platform = excluded.platform, provider = excluded.provider,
       permission = excluded.permission, registered_at = excluded.registered_at,
       observed_at = excluded.observed_at, last_seen_at = excluded.last_seen_at,
       token_hash = excluded.token_hash, token_sealed = excluded.token_sealed,
       user_id = excluded.user_id, language = excluded.language, country = excluded.country,
       time_zone = excluded.time_zone, app_version = excluded.app_version,
       os_version = excluded.os_version, device_model = excluded.device_model,
       sdk_version = excluded.sdk_version, topics = excluded.topics,
       attributes = excluded.attributes, consents_granted = excluded.consents_granted,
       consents_denied = excluded.consents_denied
"""


class Columns(NamedTuple):
    """A page as columns, by table."""

    installations: list[list[Any]]
    owned: list[list[Any]]
    consents: list[tuple[Any, ...]]
    changes: list[tuple[Any, ...]]


class BareTables:
    """Tables with the columns, partitions and indexes of the registry's."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    @classmethod
    async def made(cls, connection: "asyncpg.Connection[asyncpg.Record]") -> Self:
        """Make them, beside the registry's."""
        for name, key, fill in _TABLES:
            await connection.execute(_TABLE.format(name=name, key=key))
            for n in range(PARTITIONS):
                partition = _PARTITION.format(name=name, n=n, all=PARTITIONS, fill=fill)
                await connection.execute(partition)
        return cls(connection)

    @staticmethod
    def columns(page: Sequence[Registration]) -> Columns:
        """A page as columns: what the benchmark does not measure."""
        rows = [registration_of((row, None)) for row in page]
        facts = [row.facts for row in rows]
        installations: list[list[Any]] = [
            [row.installation_id for row in rows],
            [row.platform for row in rows],
            [row.provider for row in rows],
            [fact.permission for fact in facts],
            [fact.last_seen for fact in facts],
            [row.token.reveal() for row in rows],
            [row.user_id for row in rows],
            [fact.language for fact in facts],
            [fact.country for fact in facts],
            [fact.time_zone for fact in facts],
            [fact.app_version for fact in facts],
            [fact.os_version for fact in facts],
            [fact.device_model for fact in facts],
            [fact.sdk_version for fact in facts],
            [" ".join(fact.topics or ()) for fact in facts],
            [
                orjson.dumps({n: to_json(v) for n, v in (fact.attributes or {}).items()}).decode()
                for fact in facts
            ],
            [_purposes(row, ConsentState.GRANTED) for row in rows],
            [_purposes(row, ConsentState.DENIED) for row in rows],
        ]
        consents = [(row.installation_id, *change) for row in rows for change in row.consents]
        changes = [(row.installation_id, 1, row.platform, 0, "") for row in rows]
        changes += (
            (row.installation_id, 8, row.platform, change.state, change.purpose)
            for row in rows
            for change in row.consents
        )
        return Columns(
            installations,
            [installations[0], installations[5]],
            list(zip(*consents, strict=True)),
            list(zip(*changes, strict=True)),
        )

    async def upsert(self, app_id: str, page: Columns) -> None:
        """Write the installations of a page: one statement, which is one transaction."""
        await self._connection.execute(_UPSERT, app_id, datetime.now(UTC), *page.installations)

    async def upsert_all(self, app_id: str, page: Columns) -> None:
        """Write the rows of all four tables in one transaction, as many as the registry writes."""
        now = datetime.now(UTC)
        async with self._connection.transaction():
            await self.upsert(app_id, page)
            await self._connection.execute(_OWN, app_id, *page.owned)
            await self._connection.execute(_RECORD, app_id, now, *page.consents)
            await self._connection.execute(_TELL, app_id, now, *page.changes)


def _purposes(row: Any, state: ConsentState) -> str:
    return " ".join(sorted(c.purpose for c in row.consents if c.state == state))
