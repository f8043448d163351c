"""The CSV export of OneSignal's subscriptions.

Source: OneSignal, "Export subscriptions CSV" (default and extra fields) and the device types of
its player model and web SDK. What becomes of each column is told in docs/import.md.
"""

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

import orjson

from nuncio_cli.errors import FileUnusable
from nuncio_cli.imports.csv_rows import CsvRows
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.rows import BadRow, Row, Value
from nuncio_cli.imports.source import Source


class Device(NamedTuple):
    """What a device_type is in nuncio's words."""

    platform: str
    provider: str


WEB: Final = Device("web", "web_push")
DEVICES: Final[Mapping[str, Device]] = {
    "0": Device("ios", "apns"),
    "1": Device("android", "fcm"),
    "5": WEB,  # Chrome and its relatives
    "8": WEB,  # Firefox
    "9": Device("macos", "apns"),
    "12": WEB,  # Edge
    "17": WEB,  # Safari with VAPID; the older one, 7, speaks a protocol of its own
}
# Columns that are a field under another name.
RENAMED: Final[Mapping[str, str]] = {
    "id": "installation_id",
    "external_user_id": "user_id",
    "language": "language",
    "country": "country",
    "timezone_id": "time_zone",
    "last_active": "last_seen",
}
VERSIONS: Final[Mapping[str, str]] = {"game_version": "app_version", "device_os": "os_version"}
VERSION: Final = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9}){0,5}([-+][A-Za-z0-9.+-]{0,40})?")
COLUMN_OF: Final[Mapping[str, str]] = {
    **{field: column for column, field in [*RENAMED.items(), *VERSIONS.items()]},
    "platform": "device_type", "token": "identifier", "endpoint": "identifier",
    "p256dh": "web_p256", "auth": "web_auth", "permission": "invalid_identifier",
}  # fmt: skip
REQUIRED: Final = ("identifier", "device_type")
READ: Final = {
    *RENAMED, *VERSIONS, "identifier", "device_type", "device_model", "tags",
    "invalid_identifier", "web_auth", "web_p256",
}  # fmt: skip


class OneSignalRows:
    """Rows of an export. The mapping may add constants, translations and attribute types."""

    def __init__(self, source: Source, mapping: FieldMapping) -> None:
        """Raises FileUnusable when it is no such export."""
        self._rows = CsvRows(source, FieldMapping())
        missing = [column for column in REQUIRED if column not in self._rows.columns]
        if missing:
            detail = f"it is no export of OneSignal: there is no column {', '.join(missing)}"
            raise FileUnusable(detail=detail)
        self._mapping = mapping
        self.columns = self._rows.columns
        self.ignored = self._rows.ignored & (set(self.columns) - READ)

    def __iter__(self) -> Iterator[Row | BadRow]:
        for row in self._rows:
            yield row if isinstance(row, BadRow) else self._row(row)

    def column_of(self, field: str) -> str:
        return "tags" if field.startswith("attributes") else COLUMN_OF.get(field, field)

    def _row(self, row: Row) -> Row | BadRow:
        cells = {key: str(value).strip() for key, value in row.source.items()}
        device = DEVICES.get(cells.get("device_type", ""))
        if device is None:
            rule = "device_type is none that APNs, FCM or Web Push reaches"
            return BadRow(row.line, "platform", rule, row.source)
        tags = _tags(cells.get("tags", ""))
        if tags is None:
            return BadRow(row.line, "attributes", "tags is not a JSON object", row.source)
        fields = _address(cells, device) | _facts(cells) | tags
        return Row(row.line, self._mapping.apply(fields), row.source)


def _address(cells: Mapping[str, str], device: Device) -> dict[str, Value]:
    fields: dict[str, Value] = {"platform": device.platform, "provider": device.provider}
    if device is WEB:
        fields["endpoint"] = cells.get("identifier", "")
        fields["p256dh"] = cells.get("web_p256", "")
        fields["auth"] = cells.get("web_auth", "")
    else:
        fields["token"] = cells.get("identifier", "")
    return fields


def _facts(cells: Mapping[str, str]) -> dict[str, Value]:
    fields: dict[str, Value] = {
        field: cells[column] for column, field in RENAMED.items() if column in cells
    }
    for column, field in VERSIONS.items():
        if VERSION.fullmatch(cells.get(column, "")):
            fields[field] = cells[column]
    fields["device_model"] = cells.get("device_model", "")[:100]
    # t: unsubscribed. The person has to be asked again before anything may be shown.
    permissions = {"t": "denied", "f": "granted"}
    fields["permission"] = permissions.get(cells.get("invalid_identifier", "")[:1].lower(), "")
    return fields


def _tags(cell: str) -> dict[str, Value] | None:
    """Data tags as text attributes; None when the cell is not a JSON object."""
    try:
        tags = orjson.loads(cell) if cell else {}
    except orjson.JSONDecodeError:
        return None
    if not isinstance(tags, dict):
        return None
    return {f"attributes.{attribute_name(key)}": str(value)[:500] for key, value in tags.items()}


def attribute_name(key: str) -> str:
    """The tag's name with every character that an attribute's name cannot have as "_"."""
    name = re.sub(r"[^A-Za-z0-9_]", "_", key)[:64]
    return f"_{name}"[:64] if not name or name[0].isdigit() else name
