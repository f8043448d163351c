"""What FCM v1 takes for a message. Source: the fcm.v1 discovery document, revision 20261023."""

import re
from collections.abc import Callable, Iterator
from typing import Any, Final

import orjson

from nuncio_simulator.fcm_condition import is_condition

Violation = tuple[str, str]
"""The field's path, and what is wrong."""
Check = Callable[[str, Any], Iterator[Violation]]

TTL_LIMIT: Final = 2_419_200  # seconds: 28 days
PAYLOAD_LIMIT: Final = 4_096  # bytes
TOPIC_PAYLOAD_LIMIT: Final = 2_048
TARGETS: Final = ("token", "fid", "topic", "condition")
FORBIDDEN_KEYS: Final = {"from", "message_type"}
FORBIDDEN_PREFIXES: Final = ("google.", "gcm.notification.")
TOPIC: Final = re.compile(r"[a-zA-Z0-9\-_.~%]{1,900}")
LABEL: Final = re.compile(r"[a-zA-Z0-9\-_.~%]{1,50}")
MAX_DEPTH: Final = 100  # objects and lists inside one another: protobuf's own limit for JSON
DURATION: Final = re.compile(r"([0-9]+)(\.[0-9]{1,9})?s")
CAMEL: Final = re.compile(r"(?<=[a-z0-9])([A-Z])")


def _kind(kinds: type | tuple[type, ...], name: str) -> Check:
    def check(path: str, value: Any) -> Iterator[Violation]:
        of_kind = isinstance(value, kinds) and (kinds is bool or not isinstance(value, bool))
        if not of_kind:
            yield path, f"Invalid value at '{path}' ({name})"

    return check


def _matching(pattern: re.Pattern[str], text: str) -> Check:
    def check(path: str, value: Any) -> Iterator[Violation]:
        if not isinstance(value, str) or pattern.fullmatch(value) is None:
            yield path, text

    return check


def _among(*names: str) -> Check:
    def check(path: str, value: Any) -> Iterator[Violation]:
        if value not in names:
            yield path, f"Invalid value at '{path}' (TYPE_ENUM)"

    return check


def _map_of(check_value: Check) -> Check:
    def check(path: str, value: Any) -> Iterator[Violation]:
        if not isinstance(value, dict):
            yield path, f"Invalid value at '{path}' (TYPE_MAP)"
            return
        for key, item in value.items():
            yield from check_value(f"{path}.{key}", item)

    return check


def _list_of(check_item: Check) -> Check:
    def check(path: str, value: Any) -> Iterator[Violation]:
        if not isinstance(value, list):
            yield path, f"Invalid value at '{path}' (TYPE_LIST)"
            return
        for index, item in enumerate(value):
            yield from check_item(f"{path}[{index}]", item)

    return check


def _fields(known: dict[str, Check]) -> Check:
    def check(path: str, value: Any) -> Iterator[Violation]:
        if not isinstance(value, dict):
            yield path, f"Invalid value at '{path}' (TYPE_MESSAGE)"
            return
        for key, item in value.items():
            if key not in known:
                yield path, _unknown(key, path)
            else:
                yield from known[key](f"{path}.{key}" if path else key, item)

    return check


def _unknown(name: str, path: str) -> str:
    where = f" at '{path}'" if path else ""
    return f'Invalid JSON payload received. Unknown name "{name}"{where}: Cannot find field.'


def _condition(path: str, value: Any) -> Iterator[Violation]:
    if not isinstance(value, str) or not is_condition(value):
        yield path, "Invalid condition expression provided."


def _data(path: str, value: Any) -> Iterator[Violation]:
    yield from _map_of(STRING)(path, value)
    for key in value if isinstance(value, dict) else ():
        if key in FORBIDDEN_KEYS or key.startswith(FORBIDDEN_PREFIXES):
            yield path, f"Invalid data payload key: {key}"


def _duration(path: str, value: Any) -> Iterator[Violation]:
    match = DURATION.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        yield path, f"Invalid value at '{path}' (type.googleapis.com/google.protobuf.Duration)"
    elif float(value[:-1]) > TTL_LIMIT:
        yield path, "Invalid ttl: it must be between 0 and 2419200 seconds"


STRING: Final = _kind(str, "TYPE_STRING")
BOOL: Final = _kind(bool, "TYPE_BOOL")
NUMBER: Final = _kind((int, float), "TYPE_FLOAT")
OBJECT: Final = _kind(dict, "TYPE_MESSAGE")
STRINGS: Final = _list_of(STRING)
PRIORITY: Final = _among("NORMAL", "HIGH", "normal", "high")
FCM_OPTIONS: Final = {"analytics_label": _matching(LABEL, "Invalid analytics label")}
NOTIFICATION: Final = _fields({"title": STRING, "body": STRING, "image": STRING})
ANDROID_NOTIFICATION: Final = _fields(
    {
        **dict.fromkeys(
            ["title", "body", "icon", "sound", "tag", "click_action", "body_loc_key"], STRING
        ),
        **dict.fromkeys(["title_loc_key", "channel_id", "ticker", "event_time", "image"], STRING),
        **dict.fromkeys(["body_loc_args", "title_loc_args", "vibrate_timings"], STRINGS),
        **dict.fromkeys(["sticky", "local_only", "default_sound"], BOOL),
        **dict.fromkeys(["default_vibrate_timings", "default_light_settings"], BOOL),
        "color": _matching(re.compile("#[0-9a-fA-F]{6}"), "Invalid color: it must be #rrggbb"),
        "light_settings": OBJECT,
        "notification_count": NUMBER,
        "notification_priority": _among(
            *(f"PRIORITY_{level}" for level in ("UNSPECIFIED", "MIN", "LOW")),
            *(f"PRIORITY_{level}" for level in ("DEFAULT", "HIGH", "MAX")),
        ),
        "proxy": _among("PROXY_UNSPECIFIED", "ALLOW", "DENY", "IF_PRIORITY_LOWERED"),
        "visibility": _among("VISIBILITY_UNSPECIFIED", "PRIVATE", "PUBLIC", "SECRET"),
    }
)
ANDROID: Final = _fields(
    {
        "collapse_key": STRING,
        "priority": PRIORITY,
        "ttl": _duration,
        "restricted_package_name": STRING,
        "data": _data,
        "notification": ANDROID_NOTIFICATION,
        "fcm_options": _fields(FCM_OPTIONS),
        "direct_boot_ok": BOOL,
        "bandwidth_constrained_ok": BOOL,
        "restricted_satellite_ok": BOOL,
    }
)
APNS: Final = _fields(
    {
        "headers": _map_of(STRING),
        "payload": OBJECT,
        "fcm_options": _fields({**FCM_OPTIONS, "image": STRING}),
        "live_activity_token": STRING,
    }
)
WEBPUSH: Final = _fields(
    {
        "headers": _map_of(STRING),
        "data": _map_of(STRING),
        "notification": OBJECT,
        "fcm_options": _fields(
            {**FCM_OPTIONS, "link": _matching(re.compile("https://.+"), "Invalid link")}
        ),
    }
)
MESSAGE: Final = _fields(
    {
        "token": STRING,
        "fid": STRING,
        "topic": _matching(TOPIC, "Invalid topic name"),
        "condition": _condition,
        "data": _data,
        "notification": NOTIFICATION,
        "android": ANDROID,
        "android_v2": OBJECT,
        "apns": APNS,
        "webpush": WEBPUSH,
        "fcm_options": _fields(FCM_OPTIONS),
    }
)
REQUEST: Final = _fields({"message": MESSAGE, "validate_only": BOOL})
# Below these names keys are the sender's own and keep their spelling.
FREE: Final = {"data", "headers", "payload"}


def is_too_deep(value: Any) -> bool:
    """Whether JSON nests further than FCM reads it; does not nest itself, however deep it is."""
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [
            child
            for parent in level
            for child in (parent.values() if isinstance(parent, dict) else parent)
            if isinstance(child, dict | list)
        ]
        if not level:
            return False
    return True


def snake_case(value: Any) -> Any:
    """The request with its field names as in the schema; proto JSON takes lowerCamelCase too."""
    if isinstance(value, list):
        return [snake_case(item) for item in value]
    if not isinstance(value, dict):
        return value
    named = {
        CAMEL.sub(lambda capital: "_" + capital[1].lower(), key): item
        for key, item in value.items()
    }
    return {key: item if key in FREE else snake_case(item) for key, item in named.items()}


def violations(request: dict[str, Any]) -> list[Violation]:
    """What is wrong with a request in snake_case that has a message, field by field."""
    found = list(REQUEST("", request))
    message = request["message"]
    if not isinstance(message, dict):
        return found
    if sum(target in message for target in TARGETS) != 1:
        found.append(("message", "Exactly one of token, fid, topic or condition is required"))
    if "android" in message and "android_v2" in message:
        found.append(("message.android_v2", "android and android_v2 exclude each other"))
    return found


def is_too_large(message: dict[str, Any]) -> bool:
    """Whether what one platform would get exceeds the limit, counted in bytes of UTF-8."""
    limit = TOPIC_PAYLOAD_LIMIT if "topic" in message or "condition" in message else PAYLOAD_LIMIT
    shared = _size(message.get("data")) + _size(message.get("notification"))
    android = message.get("android") or {}
    webpush = message.get("webpush") or {}
    payload = (message.get("apns") or {}).get("payload")
    return limit < max(
        shared,
        shared + _size(android.get("data")) + _size(android.get("notification")),
        shared + _size(webpush.get("data")) + _size(webpush.get("notification")),
        0 if payload is None else len(orjson.dumps(payload)),
    )


def has_wrong_apple_priority(message: dict[str, Any]) -> bool:
    """Whether a data-only message would reach an Apple device with another priority than 5.

    FCM's own default is 10. Source: Firebase, "FCM message concepts".
    """
    apns = message.get("apns") or {}
    aps = (apns.get("payload") or {}).get("aps")
    if "notification" in message or (isinstance(aps, dict) and "alert" in aps):
        return False
    return str((apns.get("headers") or {}).get("apns-priority", "10")) != "5"


def _size(fields: Any) -> int:
    if not isinstance(fields, dict):
        return 0
    return sum(
        len(key.encode()) + len(item.encode() if isinstance(item, str) else orjson.dumps(item))
        for key, item in fields.items()
    )
