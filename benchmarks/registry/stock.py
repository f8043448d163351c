"""Installations by the million, straight into the registry's tables, as it would store them.

Facts, topics, attributes and consents are those of the demo's population, tokens have the lengths
of real ones and are sealed with the registry's own key ring. One in a thousand is rare: by topic,
by tag, by attribute, and by country, which no index knows.
"""

import asyncio
import base64
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from time import perf_counter
from typing import Any, Final, NamedTuple, TypeAlias
from uuid import UUID

import asyncpg
import orjson

from benchmarks.harness import Note
from nuncio.common.v1.provider_pb2 import PLATFORM_ANDROID, PLATFORM_IOS, PLATFORM_WEB
from nuncio.registry.v1.installation_pb2 import AttributeValue
from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio.registry.v1.token_pb2 import Token, WebPushSubscription
from nuncio_cli.demo.population import PURPOSE, SECOND_INSTALLATION_SHARE, platforms, population
from nuncio_registry.domain.model import Provider, PushToken, TokenState
from nuncio_registry.domain.sealing import CONTENT_HASH_BYTES, KeyRing, binding

APP: Final = "bench"
RARE: Final = "rare"
RARE_COUNTRY: Final = "LI"
RARE_EACH: Final = 1_000
DEAD_EACH: Final = 40

_PEOPLE: Final = 20_000  # Their facts are given out again and again.
_BATCH: Final = 20_000
_PROVIDERS: Final = {"apns": Provider.APNS, "fcm": Provider.FCM, "web_push": Provider.WEB_PUSH}
# Bytes of randomness that give FCM's and Mozilla's lengths in base64: some 160 and 180 characters.
_FCM_BYTES, _ENDPOINT_BYTES = 105, 100

Connection: TypeAlias = "asyncpg.Connection[asyncpg.Record]"

INDEXES: Final = {
    "installation_user": "CREATE INDEX installation_user ON installation (app_id, user_id) "
    "WHERE user_id IS NOT NULL",
    "installation_sets": "CREATE INDEX installation_sets ON installation "
    "USING gin (topics, tags, attributes jsonb_path_ops)",
}
"""Those that are made after the rows came in, as the schema has them."""

COLUMNS: Final = (
    "app_id", "installation_id", "platform", "provider", "environment", "token_state",
    "token_key_id", "permission", "registered_at", "token_changed_at", "observed_at", "created_at",
    "last_seen_at", "token_hash", "token_sealed", "user_id", "language", "country", "time_zone",
    "app_version", "os_version", "device_model", "sdk_version", "topics", "tags", "attributes",
    "consents_granted", "consents_denied", "content_hash",
)  # fmt: skip
_LIVE_COLUMNS: Final = ("app_id", "token_hash", "environment", "installation_id")


class Loading(NamedTuple):
    """How long the steps took, in seconds."""

    rows: float
    indexes: dict[str, float]
    vacuum: float

    def document(self) -> dict[str, float]:
        """As JSON."""
        steps = {"rows": self.rows, **self.indexes, "vacuum and analyze": self.vacuum}
        return {name: round(seconds, 1) for name, seconds in steps.items()}


async def load(connection: Connection, *, count: int, keys: KeyRing, note: Note) -> Loading:
    """Fill empty tables. connection: its search path is the registry's schema."""
    await connection.set_type_codec(
        "jsonb", schema="pg_catalog", encoder=_jsonb, decoder=bytes, format="binary"
    )
    now = datetime.now(UTC)
    await connection.execute(
        "INSERT INTO app (app_id, display_name, stale_after, created_at) VALUES ($1, $1, $2, $3)",
        APP,
        timedelta(days=30),
        now,
    )
    for index in INDEXES:
        await connection.execute(f"DROP INDEX {index}")
    started = perf_counter()
    await _copy(connection, Stock(keys, now), count=count, note=note)
    rows = perf_counter() - started
    indexes = {name: await _timed(connection, sql) for name, sql in INDEXES.items()}
    # VACUUM as well: a table that has been in use has its visibility map.
    vacuum = await _timed(connection, "VACUUM (ANALYZE) installation, live_token")
    return Loading(rows, indexes, vacuum)


async def _copy(connection: Connection, stock: "Stock", *, count: int, note: Note) -> None:
    """Make a batch while the server takes in the one before."""
    batch = stock.rows(min(_BATCH, count))
    done = 0
    while batch:
        done += len(batch)
        making = asyncio.create_task(asyncio.to_thread(stock.rows, min(_BATCH, count - done)))
        await connection.copy_records_to_table("installation", records=batch, columns=COLUMNS)
        live = [
            (row[0], row[13], row[4], row[1]) for row in batch if row[5] == TokenState.ACTIVE.value
        ]
        await connection.copy_records_to_table("live_token", records=live, columns=_LIVE_COLUMNS)
        batch = await making
        if done % 500_000 == 0:
            note(f"{done:,} rows are in")


async def _timed(connection: Connection, statement: str) -> float:
    started = perf_counter()
    await connection.execute(statement, timeout=1800)
    return perf_counter() - started


class Stock:
    """Rows without end, the same facts for the same seed; ids and tokens are random."""

    def __init__(self, keys: KeyRing, now: datetime, *, seed: int = 1) -> None:
        self._keys = keys
        self._now = now
        self._dice = random.Random(seed)  # noqa: S311 - nothing here is secret
        self._people = list(_people(self._dice, now))
        self._bound = binding(APP)
        self._number = 0
        self._user_id = "user-0"

    def rows(self, count: int) -> list[tuple[Any, ...]]:
        """So many rows, in the order of COLUMNS."""
        return [self._row() for _ in range(count)]

    def _row(self) -> tuple[Any, ...]:
        self._number += 1
        platform, kind, facts = self._people[self._number % _PEOPLE]
        id_ = UUID(bytes=self._dice.randbytes(16), version=4)
        token = _plain(self._dice, kind)
        provider = _PROVIDERS[kind]
        dead = self._number % DEAD_EACH == 0
        registered = self._now - timedelta(seconds=self._dice.randrange(30 * 86_400))
        permission, last_seen, user_id, *others = (
            _rare(facts) if self._number % RARE_EACH == 7 else facts
        )
        return (
            APP, id_, platform, provider.value, 1, 2 if dead else 1, self._keys.newest, permission,
            registered, registered, registered, registered, last_seen,
            self._keys.hash(provider, token), self._keys.seal(token, self._bound + id_.bytes),
            user_id and self._user(), *others, self._dice.randbytes(CONTENT_HASH_BYTES),
        )  # fmt: skip

    def _user(self) -> str:
        """A new user, or for one more installation the last one again."""
        if self._dice.random() > SECOND_INSTALLATION_SHARE:
            self._user_id = f"user-{self._dice.getrandbits(40):010x}"
        return self._user_id


def _people(dice: random.Random, now: datetime) -> Iterator[tuple[int, str, tuple[Any, ...]]]:
    """Platform, kind of token, and the columns of the facts, from permission on."""
    tokens = {
        PLATFORM_IOS: Token(apns="-"),
        PLATFORM_ANDROID: Token(fcm="-"),
        PLATFORM_WEB: Token(web_push=WebPushSubscription()),
    }
    minted = {platform: [tokens[platform]] * n for platform, n in platforms(_PEOPLE).items()}
    for row in population(minted, seed=dice.getrandbits(32), now=now):
        yield row.platform, row.token.WhichOneof("kind") or "", _facts(row)


def _facts(row: Registration) -> tuple[Any, ...]:
    facts = row.facts
    attributes = {name: _tagged(value) for name, value in facts.attributes.items()}
    granted = [change.purpose for change in row.consents if change.state == 1]
    return (
        facts.permission, facts.last_seen.ToDatetime(UTC), row.user_id or None, facts.language,
        facts.country, facts.time_zone, facts.app_version, facts.os_version, facts.device_model,
        facts.sdk_version, sorted(facts.topics.topics), [], attributes, granted,
        [] if granted else [PURPOSE],
    )  # fmt: skip


def _rare(facts: tuple[Any, ...]) -> tuple[Any, ...]:
    """The same with all marks of the rare ones."""
    permission, last_seen, user_id, language, _, *middle, topics, _, attributes, yes, no = facts
    marked = attributes | {"cohort": {"text": RARE}}
    return (
        permission, last_seen, user_id, language, RARE_COUNTRY, *middle, [*topics, RARE], [RARE],
        marked, yes, no,
    )  # fmt: skip


def _tagged(value: AttributeValue) -> dict[str, Any]:
    kind = value.WhichOneof("kind") or ""
    return {kind: getattr(value, kind)}


def _plain(dice: random.Random, kind: str) -> PushToken:
    match kind:
        case "apns":
            return PushToken(dice.randbytes(32).hex().encode())
        case "fcm":
            return PushToken(b"cX7:APA91b" + _text(dice, _FCM_BYTES))
    endpoint = b"https://updates.push.services.mozilla.com/wpush/v2/" + _text(dice, _ENDPOINT_BYTES)
    return PushToken(dice.randbytes(81) + endpoint)


def _text(dice: random.Random, length: int) -> bytes:
    return base64.urlsafe_b64encode(dice.randbytes(length))


def _jsonb(value: Any) -> bytes:
    """The binary form of jsonb: its version, 1, and then text."""
    return b"\x01" + orjson.dumps(value)
