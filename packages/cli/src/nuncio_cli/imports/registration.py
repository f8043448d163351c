"""From the fields of a row to a registration. Rules of the contract are left to the registry."""

import base64
import math
import uuid
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Final

from google.protobuf.timestamp_pb2 import Timestamp

from nuncio.common.v1.provider_pb2 import Environment, Platform
from nuncio.registry.v1 import installation_pb2, token_pb2
from nuncio.registry.v1.registry_service_pb2 import Registration
from nuncio_cli.imports.mapping import AttributeType
from nuncio_cli.imports.rows import BadValueError, Value

# Installations without an id get one made from this, the app, the provider and the token.
NAMESPACE: Final = uuid.UUID("6f1c6a4e-2a0b-5b0e-9d53-6d2f0f6c8a11")
PROVIDER_OF: Final = {
    "ios": "apns", "macos": "apns", "watchos": "apns", "tvos": "apns", "visionos": "apns",
    "android": "fcm", "web": "web_push",
}  # fmt: skip
PROVIDERS: Final = ("apns", "fcm", "web_push")
PERMISSIONS: Final = ("undetermined", "granted", "provisional", "denied")
FACTS: Final = (
    "language", "country", "time_zone", "app_version", "os_version", "device_model", "sdk_version",
)  # fmt: skip
GRANTED: Final = frozenset({"granted", "true", "yes", "1", "t", "y"})
DENIED: Final = frozenset({"denied", "false", "no", "0", "f", "n"})
# Unix times beyond this are milliseconds: in seconds they would lie after the year 5000.
MILLISECONDS_FROM: Final = 1e11
# No token is older. What is read as a time before is something else, such as 20261122: a date
# without dashes, which are Unix seconds of August 1970.
OLDEST_SECONDS: Final = int(datetime(2000, 1, 1, tzinfo=UTC).timestamp())


def registration_from(
    fields: Mapping[str, Value],
    *,
    app_id: str,
    attribute_types: Mapping[str, AttributeType],
    observed_at: Timestamp | None = None,
) -> Registration:
    """Build the registration of a row. observed_at: of the file; no row is younger than that,
    unless it says so.

    Raises BadValueError where a value cannot be put into the contract's form at all; everything
    else is for the registry to refuse.
    """
    platform = _word(fields, "platform", tuple(PROVIDER_OF))
    provider = _word(fields, "provider", PROVIDERS, default=_provider(fields, platform))
    registration = Registration(
        installation_id=_text(fields, "installation_id"),
        platform=Platform.Value(f"PLATFORM_{platform.upper()}"),
        environment=Environment.Value(f"ENVIRONMENT_{_environment(fields).upper()}"),
        token=_token(fields, provider),
        user_id=_text(fields, "user_id") or None,
        facts=_facts(fields, attribute_types),
        consents=_consents(fields),
        observed_at=_time_or_none(fields, "observed_at") or observed_at,
    )
    if "observed_at" not in fields and registration.facts.HasField("last_seen"):
        # Nobody has seen the token since: a provider that calls it dead after that is right.
        times = [registration.facts.last_seen, *([observed_at] if observed_at else [])]
        registration.observed_at.CopyFrom(min(times, key=Timestamp.ToNanoseconds))
    if not registration.installation_id:
        registration.installation_id = derived_id(app_id, registration.token)
    return registration


def derived_id(app_id: str, token: token_pb2.Token) -> str:
    """The same id for the same token of an app, so that a second import makes no second one."""
    kind = token.WhichOneof("kind") or ""
    address = token.web_push.endpoint if kind == "web_push" else getattr(token, kind)
    if kind == "apns":
        address = address.lower()  # Hexadecimal digits: both cases name the same token.
    return str(uuid.uuid5(NAMESPACE, f"{app_id}\n{kind}\n{address}"))


def timestamp(value: Value, field: str) -> Timestamp:
    """A time: ISO 8601 (UTC when it names no zone), or Unix seconds or milliseconds."""
    try:
        stamp = Timestamp()
        stamp.FromDatetime(_moment(value))
    except (ValueError, OverflowError, OSError) as error:
        raise BadValueError(field, "is not a time: ISO 8601, or Unix seconds") from error
    return stamp


def time_seen(value: Value, field: str) -> Timestamp:
    """A time at which a token was seen: as timestamp() reads it, and since the year 2000."""
    stamp = timestamp(value, field)
    if stamp.seconds < OLDEST_SECONDS:
        rule = "must be a time since the year 2000, as 2026-11-22T10:00:00Z or in Unix seconds"
        raise BadValueError(field, rule)
    return stamp


def _moment(value: Value) -> datetime:
    text = str(value).strip()
    number = float(text) if text.replace(".", "", 1).lstrip("-").isdigit() else math.nan
    if not math.isnan(number):
        seconds = number / 1_000 if abs(number) > MILLISECONDS_FROM else number
        return datetime.fromtimestamp(seconds, UTC)
    moment = datetime.fromisoformat(text.removesuffix(" UTC"))
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def _text(fields: Mapping[str, Value], name: str) -> str:
    value = fields.get(name, "")
    if isinstance(value, list | bool):
        raise BadValueError(name, "is not a text")
    return str(value)


def _word(
    fields: Mapping[str, Value], name: str, words: tuple[str, ...], *, default: str = ""
) -> str:
    word = _text(fields, name).lower() or default
    if word not in words:
        raise BadValueError(name, f"is none of {', '.join(words)}")
    return word


def _environment(fields: Mapping[str, Value]) -> str:
    return _word(fields, "environment", ("production", "sandbox"), default="production")


def _provider(fields: Mapping[str, Value], platform: str) -> str:
    return "web_push" if fields.get("endpoint") else PROVIDER_OF[platform]


def _token(fields: Mapping[str, Value], provider: str) -> token_pb2.Token:
    if provider != "web_push":
        token = _text(fields, "token")
        if not token:
            raise BadValueError("token", "is missing")
        return token_pb2.Token(apns=token) if provider == "apns" else token_pb2.Token(fcm=token)
    return token_pb2.Token(
        web_push=token_pb2.WebPushSubscription(
            endpoint=_text(fields, "endpoint") or _text(fields, "token"),
            p256dh=_key(fields, "p256dh"),
            auth=_key(fields, "auth"),
            vapid_key_id=_text(fields, "vapid_key_id"),
        )
    )


def _key(fields: Mapping[str, Value], name: str) -> bytes:
    """base64 or base64url, padded or not."""
    text = _text(fields, name).rstrip("=").replace("-", "+").replace("_", "/")
    if not text:
        raise BadValueError(name, "is missing")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except ValueError as error:
        raise BadValueError(name, "is not base64url") from error


def _facts(
    fields: Mapping[str, Value], attribute_types: Mapping[str, AttributeType]
) -> installation_pb2.InstallationFacts:
    facts = installation_pb2.InstallationFacts(last_seen=_time_or_none(fields, "last_seen"))
    for name in FACTS:
        if text := _text(fields, name):
            setattr(facts, name, text)
    if "permission" in fields:
        word = _word(fields, "permission", PERMISSIONS)
        facts.permission = installation_pb2.Permission.Value(f"PERMISSION_{word.upper()}")
    if "topics" in fields:
        facts.topics.topics.extend(_words(fields, "topics"))
    if "tags" in fields:
        facts.tags.tags.extend(_words(fields, "tags"))
    for name, value in fields.items():
        if name.startswith("attributes."):
            attribute = name.removeprefix("attributes.")
            kind = attribute_types.get(attribute) or _type_of(value)
            facts.attributes[attribute].CopyFrom(_attribute(value, kind, name))
    return facts


def _words(fields: Mapping[str, Value], name: str) -> list[str]:
    value = fields[name]
    if isinstance(value, list):
        return list(dict.fromkeys(value))
    if isinstance(value, str):
        return [value]
    raise BadValueError(name, "is not a list of texts")


def _type_of(value: Value) -> AttributeType:
    if isinstance(value, bool):
        return "flag"
    return "number" if isinstance(value, int | float) else "text"


def _attribute(value: Value, kind: AttributeType, name: str) -> installation_pb2.AttributeValue:
    if isinstance(value, list):
        raise BadValueError(name, "is a list; attributes have one value")
    match kind:
        case "number":
            return installation_pb2.AttributeValue(number=_number(value, name))
        case "flag":
            return installation_pb2.AttributeValue(flag=_flag(value, name))
        case "time":
            return installation_pb2.AttributeValue(time=timestamp(value, name))
        case "version":
            return installation_pb2.AttributeValue(version=str(value))
        case "text":
            return installation_pb2.AttributeValue(text=str(value))


def _number(value: Value, name: str) -> float:
    try:
        return float(str(value))
    except ValueError as error:
        raise BadValueError(name, "is not a number") from error


def _flag(value: Value, name: str) -> bool:
    word = str(value).lower()
    if word not in GRANTED | DENIED:
        raise BadValueError(name, "is neither true nor false")
    return word in GRANTED


def _consents(fields: Mapping[str, Value]) -> list[installation_pb2.ConsentChange]:
    return [
        installation_pb2.ConsentChange(
            purpose=name.removeprefix("consents."), state=_consent(value, name), source="import"
        )
        for name, value in fields.items()
        if name.startswith("consents.")
    ]


def _consent(value: Value, name: str) -> installation_pb2.ConsentState.ValueType:
    word = str(value).lower()
    if word in GRANTED:
        return installation_pb2.CONSENT_STATE_GRANTED
    if word in DENIED:
        return installation_pb2.CONSENT_STATE_DENIED
    raise BadValueError(name, "is neither granted nor denied")


def _time_or_none(fields: Mapping[str, Value], name: str) -> Timestamp | None:
    value = fields.get(name)
    return None if value is None else time_seen(value, name)
