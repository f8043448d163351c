"""Export: everything that is kept of a user as one JSON document, described in docs/privacy.md."""

from collections.abc import Mapping
from contextlib import aclosing
from enum import IntEnum
from typing import Final, NamedTuple
from uuid import UUID

import orjson

from nuncio_registry.domain.apps import Apps
from nuncio_registry.domain.errors import ExportTooLarge
from nuncio_registry.domain.model import (
    ChangeKind,
    ConsentState,
    Environment,
    Permission,
    Platform,
    Provider,
    TokenState,
)
from nuncio_registry.domain.ports.privacy import RecordKind, StoredRow, UserRecords
from nuncio_runtime.clock import Clock

FORMAT: Final = 1

# What a message has besides the document.
_ENVELOPE_BYTES: Final = 64


class Export:
    """Tells what is kept of a user. Tokens are shown as fingerprints.

    max_bytes: the largest message that may be sent.
    """

    def __init__(self, data: UserRecords, apps: Apps, clock: Clock, *, max_bytes: int) -> None:
        self._data = data
        self._apps = apps
        self._clock = clock
        self._max_bytes = max_bytes - _ENVELOPE_BYTES

    async def user(self, app_id: str, user_id: str) -> bytes:
        """The document in UTF-8. Raises AppNotFound, ExportTooLarge.

        Rows are written as they come, and too many of them are not read: in memory there are the
        rows as they are written, and then the document, each of `max_bytes` at most.
        """
        await self._apps.require(app_id)
        document = _Document(
            {
                "format": FORMAT,
                "app_id": app_id,
                "user_id": user_id,
                "export_time": self._clock.now(),
            }
        )
        async with aclosing(self._data.records(app_id, user_id)) as records:
            async for kind, row in records:
                document.add(kind, row)
                if document.size > self._max_bytes:
                    raise ExportTooLarge(app_id=app_id, max_bytes=self._max_bytes)
        return document.whole()


class _Installation(NamedTuple):
    """An installation and its history as they are written.

    Copied into arrays that grow: what orjson gives has room for much more than a row.
    """

    facts: bytearray
    history: Mapping[RecordKind, bytearray]


class _Document:
    """A document that grows row by row. size: in bytes, as a whole."""

    def __init__(self, head: Mapping[str, object]) -> None:
        self._head = _written(head)
        self._installations: dict[object, _Installation] = {}
        self.size = len(self.whole())

    def add(self, kind: RecordKind, row: StoredRow) -> None:
        shown = _shown(row)
        if kind is RecordKind.INSTALLATION:
            facts = bytearray(_written(shown))
            history: Mapping[RecordKind, bytearray] = {each: bytearray() for each in _HISTORY}
            self._installations[row["installation_id"]] = _Installation(facts, history)
            self.size += len(facts) + _HISTORY_BYTES + len(b",")
        else:
            del shown["installation_id"]
            history = self._installations[row["installation_id"]].history
            before = len(history[kind])
            history[kind] += b"," if before else b""
            history[kind] += _written(shown)
            self.size += len(history[kind]) - before

    def whole(self) -> bytes:
        """The document. Objects are left open where members follow: `{"a":1` and `,"b":[…]}`."""
        return b"".join(
            (
                _open(self._head),
                b',"installations":[',
                b",".join(map(_joined, self._installations.values())),
                b"]}",
            )
        )


def _joined(installation: _Installation) -> bytes:
    facts, history = installation
    lists = (
        part for kind, name in _HISTORY.items() for part in (b',"%b":[' % name, history[kind], b"]")
    )
    return b"".join((_open(facts), *lists, b"}"))


def _open(written: bytes | bytearray) -> bytes | bytearray:
    return written.removesuffix(b"}")


def _written(members: Mapping[str, object]) -> bytes:
    return orjson.dumps(members, option=orjson.OPT_UTC_Z)


_HISTORY: Final = {
    RecordKind.CONSENT: b"consent_events",
    RecordKind.CHANGE: b"events",
    RecordKind.INVALIDATION: b"invalidations",
}
_HISTORY_BYTES: Final = sum(len(b',"%b":[]' % name) for name in _HISTORY.values())


def _shown(row: StoredRow) -> dict[str, object]:
    """A row as it is, but with words for numbers, and a fingerprint for the token's hash."""
    shown = {name: _word(name, value) for name, value in row.items()}
    if isinstance(token_hash := shown.pop("token_hash", None), bytes):
        shown["token_fingerprint"] = token_hash[:4].hex()
    return shown


def _word(name: str, value: object) -> object:
    if isinstance(value, UUID):
        return str(value)
    kind = _ENUMERATIONS.get(name)
    return kind(value).name.lower() if kind is not None and isinstance(value, int) else value


_ENUMERATIONS: Final[Mapping[str, type[IntEnum]]] = {
    "platform": Platform,
    "provider": Provider,
    "environment": Environment,
    "permission": Permission,
    "token_state": TokenState,
    "state": ConsentState,
    "kind": ChangeKind,
}
