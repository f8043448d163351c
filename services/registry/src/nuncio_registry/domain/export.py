"""Export: everything that is kept of a user as one JSON document, described in docs/privacy.md."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from enum import IntEnum
from typing import Final
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
from nuncio_registry.domain.ports.privacy import PersonalData, StoredRow, UserRecords
from nuncio_runtime.clock import Clock

FORMAT: Final = 1
MOST_ROWS: Final = 100_000

# What a message has besides the document.
_ENVELOPE_BYTES: Final = 64


class Export:
    """Tells what is kept of a user. Tokens are shown as fingerprints.

    max_bytes: the largest message that may be sent.
    """

    def __init__(self, data: PersonalData, apps: Apps, clock: Clock, *, max_bytes: int) -> None:
        self._data = data
        self._apps = apps
        self._clock = clock
        self._max_bytes = max_bytes - _ENVELOPE_BYTES

    async def user(self, app_id: str, user_id: str) -> bytes:
        """The document in UTF-8. Raises AppNotFound, ExportTooLarge."""
        await self._apps.require(app_id)
        records = await self._data.records(app_id, user_id, most_rows=MOST_ROWS)
        if records is None:
            raise ExportTooLarge(app_id=app_id, max_bytes=self._max_bytes)
        document = {
            "format": FORMAT,
            "app_id": app_id,
            "user_id": user_id,
            "export_time": self._clock.now(),
            "installations": installations(records),
        }
        written = orjson.dumps(document, option=orjson.OPT_UTC_Z)
        if len(written) > self._max_bytes:
            raise ExportTooLarge(app_id=app_id, max_bytes=self._max_bytes)
        return written


def installations(records: UserRecords) -> list[dict[str, object]]:
    """Each installation with its history, as the document shows them."""
    consents, changes = _by_installation(records.consents), _by_installation(records.changes)
    invalidations = _by_installation(records.invalidations)
    return [
        _shown(row)
        | {
            "consent_events": consents[row["installation_id"]],
            "events": changes[row["installation_id"]],
            "invalidations": invalidations[row["installation_id"]],
        }
        for row in records.installations
    ]


def _by_installation(rows: Sequence[StoredRow]) -> Mapping[object, list[dict[str, object]]]:
    found: defaultdict[object, list[dict[str, object]]] = defaultdict(list)
    for row in rows:
        shown = _shown(row)
        del shown["installation_id"]
        found[row["installation_id"]].append(shown)
    return found


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
