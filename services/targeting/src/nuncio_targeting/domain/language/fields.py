"""The fields of an installation: their types, and what their values look like."""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from enum import Enum
from typing import Final

from nuncio_targeting.domain.condition import Field


class Type(Enum):
    """The type of a value, or of what a field holds. The value is its name for people."""

    TEXT = "text"
    NUMBER = "a number"
    FLAG = "true or false"
    TIME = "a point in time"
    VERSION = "a version"
    SET = "a set of texts"
    ANY = "any type"


@dataclass(frozen=True, slots=True)
class FieldRule:
    """What a field holds; for texts, either choices or a pattern and the pattern in words."""

    field: Field
    type: Type
    choices: tuple[str, ...] = ()
    pattern: re.Pattern[str] | None = None
    expected: str = ""


def _text(field: Field, pattern: str, expected: str, *, type_: Type = Type.TEXT) -> FieldRule:
    return FieldRule(field, type_, pattern=re.compile(pattern, re.DOTALL), expected=expected)


def _label(field: Field) -> FieldRule:
    expected = "1 to 100 letters, digits, dots, dashes, slashes, colons and underscores"
    return _text(field, r"[A-Za-z0-9._:/-]{1,100}", expected, type_=Type.SET)


def _choice(field: Field, *choices: str) -> FieldRule:
    return FieldRule(field, Type.TEXT, choices=choices)


# The patterns are those of what the registry stores: a value that breaks them would silently match
# nobody. It leaves the extensions of language tags out.
FIELDS: Final[Mapping[str, FieldRule]] = {
    "platform": _choice(
        Field.PLATFORM, "ios", "android", "web", "macos", "watchos", "tvos", "visionos"
    ),
    "environment": _choice(Field.ENVIRONMENT, "production", "sandbox"),
    "provider": _choice(Field.PROVIDER, "apns", "fcm", "web_push"),
    "token_state": _choice(Field.TOKEN_STATE, "active", "invalid", "expired", "replaced"),
    "permission": _choice(Field.PERMISSION, "granted", "provisional", "denied", "undetermined"),
    "language": _text(
        Field.LANGUAGE,
        r"[A-Za-z]{2,3}([-_][A-Za-z0-9]{2,8}){0,3}",
        'a language tag, such as "de" or "pt-BR"',
    ),
    "country": _text(Field.COUNTRY, r"[A-Z]{2}", 'two capital letters, such as "CH"'),
    "time_zone": _text(Field.TIME_ZONE, r".{1,64}", 'a time zone, such as "Europe/Zurich"'),
    "app_version": FieldRule(Field.APP_VERSION, Type.VERSION),
    "os_version": FieldRule(Field.OS_VERSION, Type.VERSION),
    "device_model": _text(Field.DEVICE_MODEL, r".{1,100}", "1 to 100 characters"),
    "sdk_version": _text(Field.SDK_VERSION, r".{1,50}", "1 to 50 characters"),
    "user_id": _text(Field.USER_ID, r".{1,200}", "1 to 200 characters"),
    "installation_id": _text(
        Field.INSTALLATION_ID, r"[0-9A-Fa-f]{8}(-[0-9A-Fa-f]{4}){3}-[0-9A-Fa-f]{12}", "a UUID"
    ),
    "topics": _label(Field.TOPICS),
    "tags": _label(Field.TAGS),
    "consents": _text(
        Field.CONSENTS,
        r"[a-z0-9][a-z0-9_-]{0,63}",
        "1 to 64 lower-case letters, digits, dashes and underscores",
        type_=Type.SET,
    ),
    "last_seen": FieldRule(Field.LAST_SEEN, Type.TIME),
    "created": FieldRule(Field.CREATED, Type.TIME),
    "token_changed": FieldRule(Field.TOKEN_CHANGED, Type.TIME),
    "last_opened": FieldRule(Field.LAST_OPENED, Type.TIME),
}

ATTRIBUTES: Final = "attributes"
ATTRIBUTE: Final = _text(
    Field.ATTRIBUTE, r".{0,500}", "a text of at most 500 characters", type_=Type.ANY
)

_ATTRIBUTE_NAME: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")


def is_attribute_name(name: str) -> bool:
    """Whether an attribute can have this name."""
    return _ATTRIBUTE_NAME.fullmatch(name) is not None


def nearest(name: str, known: Iterable[str]) -> str | None:
    """The known name that was probably meant."""
    return next(iter(get_close_matches(name.lower(), list(known), n=1)), None)
