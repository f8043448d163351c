"""A quick look at a message: does it surely keep all rules?

Hot path: every message of every call. The validator that names the broken rule interprets the
annotations anew for each message; here they become Python once per message type, see `looks`. That
knows the rules that our contracts use. Where one meets anything else, or anything doubtful, it says
no, and the validator decides. tests/unit/runtime/test_surely.py holds both against each other.
Benchmark: `nuncio bench register`, `nuncio bench bulk`.
"""

import re
from collections.abc import Iterator
from keyword import iskeyword
from typing import Any, Final

from google.protobuf.descriptor import Descriptor, EnumDescriptor, FieldDescriptor, OneofDescriptor
from google.protobuf.message import Message

from buf.validate import validate_pb2
from nuncio_runtime.interceptors.looks import Look, Source, Test

_UUID: Final = r"^[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}$"
# What Python and RE2, which the validator speaks, may understand differently in a pattern.
_DIALECT: Final = re.compile(r"\\\w|\(\?|\[\[|\{,|[*+?}]\+")
# The same in other words, where Python is slow: long steps before short ones.
_QUICKER: Final = {
    r"^([0-9A-Fa-f]{2}){1,200}$": r"^(?=.{2,400}$)(?:[0-9A-Fa-f]{32})*(?:[0-9A-Fa-f]{2})*$"
}
_TIMES: Final = frozenset({"google.protobuf.Timestamp", "google.protobuf.Duration"})


class _UnknownRuleError(Exception):
    """A rule that is left to the validator."""


def surely_valid(message: Message) -> bool:
    """Whether the message surely keeps its annotations, and no text in it has U+0000."""
    return _LOOKS[message.DESCRIPTOR](message)


class _Looks(dict[Any, Look]):
    """The looks by message type, each made when it is first needed."""

    def __missing__(self, descriptor: Any) -> Look:
        # Types may contain themselves: while one is made, it is asked for through the table.
        self[descriptor] = lambda message: self[descriptor](message)
        try:
            self[descriptor] = look = _message(descriptor)
        except _UnknownRuleError:
            self[descriptor] = look = _never
        return look


_LOOKS: Final = _Looks()


def _never(_value: object) -> bool:
    return False


def _message(descriptor: Descriptor) -> Look:
    named_badly = any(iskeyword(field.name) for field in descriptor.fields)
    if named_badly or descriptor.GetOptions().HasExtension(validate_pb2.message):
        raise _UnknownRuleError
    source = Source(descriptor)
    return source.look(_lines(descriptor, source))


def _lines(descriptor: Descriptor, source: Source) -> Iterator[str]:
    choices = [oneof for oneof in descriptor.oneofs if _is_choice(oneof)]
    for oneof in choices:
        yield _choice(oneof, source)
    for field in descriptor.fields:
        if field.containing_oneof not in choices:
            yield from _field(field, source)


def _is_choice(oneof: OneofDescriptor) -> bool:
    """Whether it stands in the contract; one of `optional` does not."""
    return not (len(oneof.fields) == 1 and oneof.name == f"_{oneof.fields[0].name}")


def _choice(oneof: OneofDescriptor, source: Source) -> str:
    """Looks at the one that is set."""
    if any(field.GetOptions().Extensions[validate_pb2.field].required for field in oneof.fields):
        raise _UnknownRuleError
    needed = oneof.GetOptions().Extensions[validate_pb2.oneof].required
    looks: dict[str | None, Look] = {None: lambda _: not needed}
    for field in oneof.fields:
        test = _value(field, source) or "True"
        looks[field.name] = source.look([f"v = m.{field.name}", f"if not ({test}): return False"])
    return f"if not {source.name(looks)}[which(m, {oneof.name!r})](m): return False"


def _field(field: FieldDescriptor, source: Source) -> Iterator[str]:
    """Looks at the field of a message."""
    needed: bool = field.GetOptions().Extensions[validate_pb2.field].required
    if needed and not field.has_presence:
        raise _UnknownRuleError
    test, has = _value(field, source), f"has(m, {field.name!r})"
    value, broken = f"m.{field.name}", f"not ({test})"
    if needed:
        yield f"if not {has}: return False"
    elif field.message_type is not None and field.has_presence:
        value, broken = f"{value} if {has} else None", f"v is not None and {broken}"
    elif field.has_presence:
        # Most texts that may be missing are there: tested first, they need no second question.
        broken = f"{broken} and {has}"
    if test:
        yield f"v = {value}"
        yield f"if {broken}: return False"


def _value(field: FieldDescriptor, source: Source) -> Test:
    """How to test the value of a field."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    test_of = _repeated if field.is_repeated else _single
    try:
        return test_of(field, rules, source)
    except _UnknownRuleError:
        return f"{source.name(_never)}(v)"


def _repeated(field: FieldDescriptor, rules: Any, source: Source) -> Test:
    inner = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        return _map(inner, _known(rules, "map", {"max_pairs", "keys", "values"}), source)
    given = _known(rules, "repeated", {"min_items", "max_items", "unique", "items"})
    tests = [_length(given, "min_items", "max_items")]
    copy = "v[:]"  # It is read faster than the message's own list.
    if given.get("unique"):
        tests.append("len(set(v := v[:])) == len(v)")
        copy = "v"
    if item := _single(field, given.get("items"), source):
        tests.append(source.every(item, copy))
    return _all(tests)


def _map(entry: Descriptor, given: dict[str, Any], source: Source) -> Test:
    tests = [_length(given, "min_pairs", "max_pairs")]
    keys = "v"
    if key := _single(entry.fields_by_name["key"], given.get("keys"), source):
        tests.append(source.every(key, "(keys := [*v])"))
        keys = "keys"
    if value := _single(entry.fields_by_name["value"], given.get("values"), source):
        tests.append(source.every(value, f"map(v.__getitem__, {keys})"))
    return _all(tests)


def _single(field: Any, rules: Any, source: Source) -> Test:
    """How to test one value."""
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            return _inner(field.message_type, rules, source)
        case FieldDescriptor.TYPE_STRING:
            known = {"min_len", "max_len", "pattern", "prefix", "uuid"}
            return _text(_known(rules, "string", known), source)
        case FieldDescriptor.TYPE_BYTES:
            return _bytes(_known(rules, "bytes", {"len", "min_len", "max_len", "prefix"}))
        case FieldDescriptor.TYPE_ENUM:
            return _enum(field.enum_type, _known(rules, "enum", {"defined_only", "not_in"}))
        case FieldDescriptor.TYPE_BOOL:
            _known(rules, "bool", set())
            return ""
        case _:
            kind = _NUMBERS.get(field.type)
            if kind is None:
                raise _UnknownRuleError
            return _number(_known(rules, kind, {"gt", "gte", "lt", "lte", "finite"}))


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


def _inner(descriptor: Descriptor, rules: Any, source: Source) -> Test:
    if descriptor.full_name == "google.protobuf.Duration":
        return _duration(_known(rules, "duration", {"gte", "lte"}), source)
    if _known(rules, "", set()):
        raise _UnknownRuleError
    if descriptor.full_name in _TIMES:
        return ""
    if descriptor.full_name.startswith("google."):
        raise _UnknownRuleError
    return f"{source.name(_LOOKS[descriptor])}(v)"


def _text(given: dict[str, Any], source: Source) -> Test:
    tests = [_length(given, "min_len", "max_len"), r"'\0' not in v", _prefix(given)]
    pattern = _UUID if given.get("uuid") else given.get("pattern")
    if (given.get("uuid") and "pattern" in given) or _DIALECT.search(pattern or ""):
        raise _UnknownRuleError
    if pattern is None:
        return _all(tests)
    matches = source.name(re.compile(_QUICKER.get(pattern, pattern), re.ASCII).search)
    # Python's $ also stands before a line's end; the validator's does not.
    test = _all([*tests, r"'\n' not in v", f"{matches}(v) is not None"])
    return test if pattern == _UUID else source.kept(test)


def _bytes(given: dict[str, Any]) -> Test:
    return _all(
        [_length(given, "min_len", "max_len"), _length(given, "len", "len"), _prefix(given)]
    )


def _prefix(given: dict[str, Any]) -> Test:
    return f"v.startswith({given['prefix']!r})" if "prefix" in given else ""


def _enum(descriptor: EnumDescriptor, given: dict[str, Any]) -> Test:
    if given.get("defined_only"):
        return f"v in {set(descriptor.values_by_number) - set(given.get('not_in', ()))}"
    if given:
        raise _UnknownRuleError
    return ""


def _number(given: dict[str, Any]) -> Test:
    if "gt" in given or "lt" in given:
        raise _UnknownRuleError
    finite = "isfinite(v)" if given.get("finite") else ""
    return _all([finite, _within("v", given.get("gte"), given.get("lte"))])


def _duration(given: dict[str, Any], source: Source) -> Test:
    low, high = (_nanoseconds(given[end]) if end in given else None for end in ("gte", "lte"))
    return _within(f"{source.name(_nanoseconds)}(v)", low, high)


def _nanoseconds(duration: Any) -> int:
    """These may be more than a second, or have another sign than the seconds."""
    return int(duration.ToNanoseconds())


def _length(given: dict[str, Any], least: str, most: str) -> Test:
    return _within("len(v)", given.get(least), given.get(most))


def _within(what: str, low: float | None, high: float | None) -> Test:
    """Whether it is not below the one and not above the other; None for an open end."""
    left = "" if low is None else f"{low!r} <= "
    right = "" if high is None else f" <= {high!r}"
    return f"{left}{what}{right}" if left or right else ""


def _all(tests: list[Test]) -> Test:
    """One test for all of them."""
    return " and ".join(filter(None, tests))
