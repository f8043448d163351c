"""Azure Notification Hubs: exported registrations (XML) and installations (JSON).

Source: Microsoft, "Export and import Azure Notification Hubs registrations in bulk", "Create
Registration" (the forms of registration descriptions) and "Installation Class". What becomes of
each element is told in docs/import.md.
"""

import re
import uuid
from collections.abc import Iterable, Iterator, Mapping
from typing import Final, NamedTuple
from xml.etree import ElementTree as ET

from nuncio_cli.imports.azure_records import records
from nuncio_cli.imports.csv_rows import NOT_UTF8
from nuncio_cli.imports.mapping import FieldMapping
from nuncio_cli.imports.ndjson_rows import json_object
from nuncio_cli.imports.rows import BadRow, Row, Value
from nuncio_cli.imports.source import Source

NO_PROVIDER: Final = "is none that APNs, FCM or Web Push reaches"


class Kind(NamedTuple):
    """A kind of registration or installation in nuncio's words."""

    platform: str
    provider: str
    handle: str
    """The element that holds the token; empty for Web Push, which has three."""


KINDS: Final[Mapping[str, Kind]] = {
    "apple": Kind("ios", "apns", "DeviceToken"),
    "gcm": Kind("android", "fcm", "GcmRegistrationId"),
    "fcm": Kind("android", "fcm", "FcmRegistrationId"),
    "fcmv1": Kind("android", "fcm", "FcmV1RegistrationId"),
    "browser": Kind("web", "web_push", ""),
}
JSON_PLATFORMS: Final[Mapping[str, str]] = {"apns": "apple"}

INSTALLATION_TAG: Final = re.compile(r"\$InstallationId:\{(.+)\}", re.IGNORECASE)
USER_TAG: Final = re.compile(r"(?:\$UserId:\{(.+)\}|_UserId:(.+))", re.IGNORECASE)


class AzureRows:
    """Records of an export, wherever lines begin and end.

    The mapping may add constants, translations and attribute types.
    """

    def __init__(self, source: Source, mapping: FieldMapping) -> None:
        self.columns: list[str] = []
        self.ignored: set[str] = set()
        self._source = source
        self._mapping = mapping

    def __iter__(self) -> Iterator[Row | BadRow]:
        for line, text in records(self._source.chunks()):
            found = _from_json(text) if text.startswith("{") else _from_xml(text)
            if isinstance(found, Refused):
                yield BadRow(line, found.field, found.rule, {}, text)
            else:
                fields = self._mapping.apply(found)
                yield Row(line, fields, fields)

    def column_of(self, field: str) -> str:
        return field  # Elements differ from kind to kind; rejects are in nuncio's own words.


class Refused(NamedTuple):
    """Why a record does not go in."""

    field: str
    rule: str


def _from_xml(record: str) -> dict[str, Value] | Refused:
    # A document type could define entities that expand without end; exports have none.
    if "<!" in record.replace("<![CDATA[", "") or not record.startswith("<"):
        return Refused("", "is neither a registration nor a JSON object")
    if "\ufffd" in record:
        return Refused("", NOT_UTF8)
    try:
        root = ET.fromstring(record)  # noqa: S314 - no document type, see above
    except ET.ParseError as error:
        return Refused("", f"is not XML: {error}")
    element = _local(root).removesuffix("RegistrationDescription")
    kind = KINDS.get(element.removesuffix("Template").lower())
    if kind is None:
        return Refused("platform", f"{element} {NO_PROVIDER}")
    texts = {_local(child): (child.text or "").strip() for child in root}
    address: dict[str, Value] = {
        "token": texts.get(kind.handle, ""),
        "endpoint": texts.get("Endpoint", ""),
        "p256dh": texts.get("P256DH", ""),
        "auth": texts.get("Auth", ""),
    }
    tags = [tag.strip() for tag in texts.get("Tags", "").split(",")]
    return {"platform": kind.platform, "provider": kind.provider, **address, **_tags(tags)}


def _from_json(record: str) -> dict[str, Value] | Refused:
    installation = json_object(record)
    if isinstance(installation, str):
        return Refused("", installation)
    name = str(installation.get("platform", "")).lower()
    kind = KINDS.get(JSON_PLATFORMS.get(name, name))
    if kind is None:
        return Refused("platform", NO_PROVIDER)
    if installation.get("pushChannelExpired") is True:
        return Refused("token", "the push channel has expired")
    tags = installation.get("tags") or []
    if not isinstance(tags, list):
        return Refused("topics", "tags is not a list")
    fields = {"platform": kind.platform, "provider": kind.provider, **_tags(map(str, tags))}
    fields |= _channel(installation.get("pushChannel"))
    fields |= _installation_id(str(installation.get("installationId", "")))
    if installation.get("userId"):
        fields["user_id"] = str(installation["userId"])
    return fields


def _channel(channel: object) -> dict[str, Value]:
    """A token, or the three parts of a browser's subscription."""
    if isinstance(channel, dict):
        return {key: str(channel.get(key, "")) for key in ("endpoint", "p256dh", "auth")}
    return {"token": str(channel or "")}


def _tags(tags: Iterable[str]) -> dict[str, Value]:
    """Tags as topics; the two that name installation and user as what they are."""
    fields: dict[str, Value] = {}
    topics: dict[str, None] = {}  # a set that keeps its order
    for tag in filter(None, tags):
        if found := INSTALLATION_TAG.fullmatch(tag):
            fields |= _installation_id(found[1])
        elif found := USER_TAG.fullmatch(tag):
            fields["user_id"] = found[1] or found[2]
        else:
            topics[re.sub(r"[^A-Za-z0-9._:/-]", "_", tag)] = None
    return fields | {"topics": list(topics)}


def _installation_id(name: str) -> dict[str, Value]:
    """Any text names an Azure installation; only a UUID names one of nuncio's."""
    try:
        return {"installation_id": str(uuid.UUID(name))}
    except ValueError:
        return {}


def _local(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]
