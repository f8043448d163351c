"""What anybody would write: one table, one statement for each page, tokens in plain text."""

from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final, Self

import asyncpg
import orjson

from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio_registry.api.convert import registration_of
from nuncio_registry.domain.model import ConsentState
from nuncio_registry.storage.attributes import to_json

PARTITIONS: Final = 16

# INCLUDING ALL: also the primary key, the indexes and the generated columns.
_TABLE: Final = (
    "CREATE TABLE bare (LIKE installation INCLUDING ALL) PARTITION BY HASH (installation_id)"
)
_PARTITION: Final = """
CREATE TABLE bare_{n} PARTITION OF bare FOR VALUES WITH (MODULUS {all}, REMAINDER {n})
  WITH (fillfactor = 85)
"""
_UPSERT: Final = """
INSERT INTO bare (
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


class BareTable:
    """A table with the columns, partitions and indexes of `installation`, and nothing beside it."""

    def __init__(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        self._connection = connection

    @classmethod
    async def made(cls, connection: "asyncpg.Connection[asyncpg.Record]") -> Self:
        """Make it, beside `installation`."""
        await connection.execute(_TABLE)
        for number in range(PARTITIONS):
            await connection.execute(_PARTITION.format(n=number, all=PARTITIONS))
        return cls(connection)

    @staticmethod
    def columns(page: Sequence[Registration]) -> list[list[Any]]:
        """A page as columns: what the benchmark does not measure."""
        rows = [registration_of(row) for row in page]
        facts = [row.facts for row in rows]
        return [
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

    async def upsert(self, app_id: str, page: Sequence[Sequence[Any]]) -> None:
        """Write a page: one statement, which is one transaction."""
        await self._connection.execute(_UPSERT, app_id, datetime.now(UTC), *page)


def _purposes(row: Any, state: ConsentState) -> str:
    return " ".join(sorted(c.purpose for c in row.consents if c.state == state))
