"""A quick look at a message: does it surely keep all rules?

Hot path: every message of every call. The validator that names the broken rule interprets the
annotations anew for each message; here they are compiled once per message type into plain
functions. These know the rules that our contracts use. Where one meets anything else, or anything
doubtful, it says no, and the validator decides. tests/unit/runtime/test_surely.py holds both
against each other. Benchmark: `nuncio bench register`, `nuncio bench bulk`.
"""

import math
import re
from collections.abc import Callable, Iterable, Iterator
from functools import lru_cache, partial
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2

# Whether a value surely keeps its rules.
_Look: TypeAlias = Callable[[Any], bool]

_UUID: Final = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
# What Python and RE2, which the validator speaks, may understand differently in a pattern.
_DIALECT: Final = re.compile(r"\\\w|\(\?|\[\[|\{,|[*+?}]\+")
_KEPT: Final = 10_000  # Texts, of each rule.
_SHORT: Final = 30
_TIMES: Final = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})


class _UnknownRuleError(Exception):
    """A rule that is left to the validator."""


def surely_valid(message: Message) -> bool:
    """Whether the message surely keeps its annotations, and no text in it has U+0000."""
    look = _LOOKS.get(message.DESCRIPTOR.full_name)
    if look is None:
        look = _look_at_message(message.DESCRIPTOR)
    return look(message)


_LOOKS: Final[dict[str, _Look]] = {}


def _look_at_message(descriptor: Any) -> _Look:
    """The look of a message type, made when it is first needed."""
    name = descriptor.full_name
    look = _LOOKS.get(name)
    if look is None:
        # Types may contain themselves: while one is made, it is asked for through the table.
        _LOOKS[name] = lambda message: _LOOKS[name](message)
        try:
            look = _message(descriptor)
        except _UnknownRuleError:
            look = _never
        _LOOKS[name] = look
    return look


def _never(_value: object) -> bool:
    return False


def _message(descriptor: Descriptor) -> _Look:
    if descriptor.GetOptions().HasExtension(validate_pb2.message):
        raise _UnknownRuleError
    choices = [oneof for oneof in descriptor.oneofs if _is_choice(oneof)]
    looks = [_choice(oneof) for oneof in choices]
    others = (field for field in descriptor.fields if field.containing_oneof not in choices)
    looks += filter(None, map(_field, others))

    def look_at(message: Message) -> bool:
        for each in looks:  # noqa: SIM110 - all() would make a generator for each message.
            if not each(message):
                return False
        return True

    return look_at


def _is_choice(oneof: OneofDescriptor) -> bool:
    """Whether it stands in the contract; one of `optional` does not."""
    return not (len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}")


def _choice(oneof: OneofDescriptor) -> _Look:
    """How to look at the one that is set."""
    if any(field.GetOptions().Extensions[validate_pb2.field].required for field in oneof.fields):
        raise _UnknownRuleError
    name, needed = oneof.name, oneof.GetOptions().Extensions[validate_pb2.oneof].required
    looks = {field.name: _value(field) or _always for field in oneof.fields}

    def look_at(message: Message) -> bool:
        chosen = message.WhichOneof(name)
        if chosen is None:
            return not needed
        return looks[chosen](getattr(message, chosen))

    return look_at


def _always(_value: object) -> bool:
    return True


def _value(field: FieldDescriptor) -> _Look | None:
    """How to look at the value of a field, None when every value will do."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    try:
        return _repeated(field, rules) if field.is_repeated else _single(field, rules)
    except _UnknownRuleError:
        return _never


def _field(field: FieldDescriptor) -> _Look | None:
    """How to look at the field of a message, None when there is nothing to look for."""
    needed: bool = field.GetOptions().Extensions[validate_pb2.field].required
    name, look = field.name, _value(field)
    if not field.has_presence:
        if needed:
            raise _UnknownRuleError
        return None if look is None else lambda message: look(getattr(message, name))
    if look is None:
        return (lambda message: message.HasField(name)) if needed else None
    if needed:
        return lambda message: message.HasField(name) and look(getattr(message, name))
    if field.type == FieldDescriptor.TYPE_STRING:
        # Most texts that may be missing are there: asked first, they need no second question.
        return lambda message: (
            look(text)
            if (text := getattr(message, name))
            else not message.HasField(name) or look("")
        )
    return lambda message: not message.HasField(name) or look(getattr(message, name))


def _repeated(field: FieldDescriptor, rules: Any) -> _Look | None:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        return _map(inner, _known(rules, "map", {"max_pairs", "keys", "values"}))
    given = _known(rules, "repeated", {"min_items", "max_items", "unique", "items"})
    least, most = given.get("min_items", 0), given.get("max_items", math.inf)
    unique, item = given.get("unique", False), _single(field, given.get("items"))

    def look(values: Any) -> bool:
        if not least <= len(values) <= most or (unique and len(set(values)) != len(values)):
            return False
        if item is not None:
            for value in values:
                if not item(value):
                    return False
        return True

    return look


def _map(entry: Descriptor, given: dict[str, Any]) -> _Look:
    key, value = (
        _single(entry.fields_by_name[part], given.get(f"{part}s")) for part in ("key", "value")
    )
    most = given.get("max_pairs", math.inf)

    def look(values: Any) -> bool:
        if len(values) > most:
            return False
        if key is not None and not all(map(key, values)):
            return False
        return value is None or all(value(values[each]) for each in values)

    return look


def _single(field: Any, rules: Any) -> _Look | None:
    """How to look at one value, None when every value will do."""
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            return _inner(field.message_type, rules)
        case FieldDescriptor.TYPE_STRING:
            return _text(
                _known(rules, "string", {"min_len", "max_len", "pattern", "prefix", "uuid"})
            )
        case FieldDescriptor.TYPE_BYTES:
            known = {"len", "min_len", "max_len", "prefix"}
            return _all(_bytes(_known(rules, "bytes", known)))
        case FieldDescriptor.TYPE_ENUM:
            known = {"defined_only", "not_in"}
            return _all(_enum(field.enum_type, _known(rules, "enum", known)))
        case FieldDescriptor.TYPE_BOOL:
            _known(rules, "bool", set())
            return None
        case _:
            kind = _NUMBERS.get(field.type)
            if kind is None:
                raise _UnknownRuleError
            return _all(_number(_known(rules, kind, {"gt", "gte", "lt", "lte", "finite"})))


_NUMBERS: Final = {
    FieldDescriptor.TYPE_DOUBLE: "double",
    FieldDescriptor.TYPE_FLOAT: "float",
    FieldDescriptor.TYPE_INT32: "int32",
    FieldDescriptor.TYPE_INT64: "int64",
    FieldDescriptor.TYPE_UINT32: "uint32",
    FieldDescriptor.TYPE_UINT64: "uint64",
    FieldDescriptor.TYPE_SFIXED64: "sfixed64",
}


def _known(rules: Any, kind: str, names: set[str]) -> dict[str, Any]:
    """The rules of a kind by name. Raises _UnknownRuleError for any other rule."""
    if rules is None:
        return {}
    present = {field.name: value for field, value in rules.ListFields()}
    present.pop("required", None)
    given = present.pop(kind, None)
    if present:
        raise _UnknownRuleError
    found = {} if given is None else {field.name: value for field, value in given.ListFields()}
    if not found.keys() <= names:
        raise _UnknownRuleError
    return found


def _inner(descriptor: Descriptor, rules: Any) -> _Look | None:
    if descriptor.full_name == "google.protobuf.Duration":
        return _all(_duration(_known(rules, "duration", {"gte", "lte"})))
    if _known(rules, "", set()):
        raise _UnknownRuleError
    if descriptor.full_name in _TIMES:
        return None
    if descriptor.full_name.startswith("google."):
        raise _UnknownRuleError
    return _look_at_message(descriptor)


def _text(given: dict[str, Any]) -> _Look:
    least, most = given.get("min_len", 0), given.get("max_len", math.inf)
    prefix = given.get("prefix", "")
    pattern = _UUID if given.get("uuid") else given.get("pattern")
    if (given.get("uuid") and "pattern" in given) or _DIALECT.search(pattern or ""):
        raise _UnknownRuleError
    if pattern is None and not prefix:
        return lambda text: least <= len(text) <= most and "\0" not in text
    matches = re.compile(pattern or "", re.ASCII).search

    def look(text: str) -> bool:
        # Python's $ also stands before a line's end; the validator's does not.
        return (
            matches(text) is not None
            and "\n" not in text
            and least <= len(text) <= most
            and "\0" not in text
            and text.startswith(prefix)
        )

    # Versions, languages and topics are short and few, and looking them up is faster. Ids and
    # tokens are longer: these are many, or secret, and are not kept.
    kept = lru_cache(_KEPT)(look)
    return lambda text: kept(text) if len(text) <= _SHORT else look(text)


def _bytes(given: dict[str, Any]) -> Iterator[_Look]:
    if given:
        least = max(given.get("len", 0), given.get("min_len", 0))
        most = min(given.get("len", math.inf), given.get("max_len", math.inf))
        prefix = given.get("prefix", b"")
        yield lambda value: least <= len(value) <= most and value.startswith(prefix)


def _enum(descriptor: EnumDescriptor, given: dict[str, Any]) -> Iterator[_Look]:
    if given.get("defined_only"):
        allowed = frozenset(descriptor.values_by_number) - set(given.get("not_in", ()))
        yield allowed.__contains__
    elif given:
        raise _UnknownRuleError


def _number(given: dict[str, Any]) -> Iterator[_Look]:
    low, high = given.get("gte", -math.inf), given.get("lte", math.inf)
    if "gt" in given or "lt" in given:
        raise _UnknownRuleError
    if given.get("finite"):
        yield math.isfinite
    if "gte" in given or "lte" in given:
        yield lambda value: low <= value <= high


def _duration(given: dict[str, Any]) -> Iterator[_Look]:
    # Nanoseconds may be more than a second, or have another sign than the seconds.
    def length(duration: Any) -> int:
        return int(duration.ToNanoseconds())

    if "gte" in given:
        low = length(given["gte"])
        yield lambda value: length(value) >= low
    if "lte" in given:
        high = length(given["lte"])
        yield lambda value: length(value) <= high


def _all(looks: Iterable[_Look]) -> _Look | None:
    """One look for all of them."""
    kept = list(looks)
    if not kept:
        return None
    if len(kept) == 1:
        return kept[0]
    return partial(_each_of, kept)


def _each_of(looks: list[_Look], value: object) -> bool:
    return all(look(value) for look in looks)
