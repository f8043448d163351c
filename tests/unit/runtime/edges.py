"""Messages at the edges of the rules in their contracts, made from the contracts themselves.

Which values are good is asked of protovalidate; nothing here knows what a rule means. The numbers
that a field's rules name are the lengths and bounds that are worth trying.
"""

import math
import random
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.duration_pb2 import Duration
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from google.protobuf.struct_pb2 import Struct
from google.protobuf.timestamp_pb2 import Timestamp
from protovalidate import Validator

from buf.validate import validate_pb2
from nuncio_runtime.interceptors.nul import paths_with_nul

# The messages to try where a field holds messages of a type.
_Inner: TypeAlias = Callable[[Descriptor], Iterable[Message]]

_VALIDATOR: Final = Validator()
_LONGEST: Final = 200_000
_CHEAP: Final = 2_000  # Bytes.
_TEXTS: Final = (
    "a", "", "A", "AB", "ab", "abc1", "ab-CD", "ab_CD-x", "1", "1.2", "1.2.3-rc.1+b", "1234567890",
    "1.2.3.4.5.6.7", "_", "-", ".", "a_b", "a b", "a.b:c/d", "~%", "+/=", "é", "٣", "😀", " ",
    "https://a", "https://a/\r\u2028b", "https://a\nb", "https:/", "HTTPS://a", "http://a",
    "0b7e4cf8-9d0a-4b9e-8f5e-4dbd0f0a6c11", "0B7E4CF8-9D0A-4B9E-8F5E-4DBD0F0A6C11",
    "0b7e4cf89d0a4b9e8f5e4dbd0f0a6c11", "0b7e4cf8-9d0a-4b9e-8f5e-4dbd0f0a6c1g",
    "{0b7e4cf8-9d0a-4b9e-8f5e-4dbd0f0a6c11}", "google", "gcm.x", "from", "aps", "notification",
    "\0", "a\0", "\0a", "\n", "\r", "a\n\n", "\u0085", "\x7f", "\x0b",
)  # fmt: skip
_FRACTIONS: Final = (1.5, 0.0, -0.0, -1.5, 1e300, math.inf, -math.inf, math.nan)
_WIDTHS: Final = {
    FieldDescriptor.TYPE_INT32: (-(2**31), 2**31 - 1),
    FieldDescriptor.TYPE_UINT32: (0, 2**32 - 1),
    FieldDescriptor.TYPE_UINT64: (0, 2**64 - 1),
    FieldDescriptor.TYPE_INT64: (-(2**63), 2**63 - 1),
    FieldDescriptor.TYPE_SFIXED64: (-(2**63), 2**63 - 1),
}


def new(descriptor: Any) -> Message:
    return GetMessageClass(descriptor)()


def is_right(message: Message) -> bool:
    """What the quick look must never say of a message for which this says no."""
    return _flaws(message) == 0


def good(descriptor: Descriptor) -> Message:
    """A message that keeps all rules, as small as that can be."""
    return _copy(_good(descriptor))


def at_the_edges(descriptor: Descriptor) -> Iterator[tuple[str, Message]]:
    """The name of a field and a good message with it changed, for every value worth trying."""
    for field in descriptor.fields:
        for value in (None, *_values(field, _samples)):
            for base in _bases(descriptor):
                yield field.name, with_field(base, field, value)


def at_random(descriptor: Descriptor, dice: random.Random) -> Message:
    """The good message with some fields changed, most of them to good values."""
    message = good(descriptor)
    for field in dice.choices(descriptor.fields, k=dice.randint(1, 6)) if descriptor.fields else ():
        values = _cheap_values(field)
        changed = with_field(message, field, dice.choice(values)) if values else message
        if dice.random() < 0.2 or is_right(changed):
            message = changed
    return message


def with_field(message: Message, field: FieldDescriptor, value: Any) -> Message:
    """A copy with the field set to the value, or cleared for None."""
    changed = _copy(message)
    changed.ClearField(field.name)
    if value is None:
        return changed
    here = getattr(changed, field.name)
    if _is_map(field):
        for key, each in value.items():
            if isinstance(each, Message):
                here[key].CopyFrom(each)
            else:
                here[key] = each
    elif field.is_repeated:
        here.extend(value)
    elif isinstance(value, Message):
        here.SetInParent()
        here.CopyFrom(value)
    else:
        setattr(changed, field.name, value)
    return changed


def _copy(message: Message) -> Message:
    made = type(message)()
    made.CopyFrom(message)
    return made


def _flaws(message: Message) -> int:
    return len(_VALIDATOR.collect_violations(message)) + len(paths_with_nul(message))


_MADE: Final[dict[str, Message]] = {}


def _good(descriptor: Descriptor) -> Message:
    found = _MADE.get(descriptor.full_name)
    if found is not None:
        return found
    # A type that contains itself meets an empty one in itself, and takes another way.
    message = _MADE[descriptor.full_name] = new(descriptor)
    for field in descriptor.fields:
        if is_right(message):
            break
        message = min((message, *_with_each(message, field, _plain)), key=_cost)
    if is_right(message):
        _MADE[descriptor.full_name] = message
    else:
        del _MADE[descriptor.full_name]
    return message


def _with_each(message: Message, field: FieldDescriptor, inner: _Inner) -> Iterator[Message]:
    return (with_field(message, field, value) for value in _values(field, inner))


def _cost(message: Message) -> tuple[int, int]:
    return _flaws(message), message.ByteSize()


@cache
def _bases(descriptor: Descriptor) -> Sequence[Message]:
    """A good message for each choice that the type gives."""
    choices = [
        field for oneof in descriptor.oneofs if len(oneof.fields) > 1 for field in oneof.fields
    ]
    chosen = [min(_with_each(_good(descriptor), field, _plain), key=_cost) for field in choices]
    return [_good(descriptor), *filter(is_right, chosen)]


def _plain(descriptor: Descriptor) -> Iterable[Message]:
    return (new(descriptor), _good(descriptor))


_SPOILT: Final[dict[str, list[Message]]] = {}


def _samples(descriptor: Descriptor) -> Iterable[Message]:
    """A good one, an empty one, one that breaks a rule, and one with U+0000."""
    if descriptor.full_name not in _SPOILT:
        spoilt = _SPOILT[descriptor.full_name] = []
        edges = [each for _, each in at_the_edges(descriptor)]
        broken = (each for each in edges if _VALIDATOR.collect_violations(each))
        nul = (each for each in edges if paths_with_nul(each))
        spoilt += [each for each in (next(broken, None), next(nul, None)) if each is not None]
    return (_good(descriptor), new(descriptor), *_SPOILT[descriptor.full_name])


@cache
def _cheap_values(field: FieldDescriptor) -> Sequence[Any]:
    """Those that cost little to check, and nothing for the field, which clears it."""
    empty = new(field.containing_type)
    values = [None, *_values(field, _samples)]
    return [each for each in values if with_field(empty, field, each).ByteSize() <= _CHEAP]


def _is_map(field: FieldDescriptor) -> bool:
    return field.message_type is not None and field.message_type.GetOptions().map_entry


def _values(field: FieldDescriptor, inner: _Inner) -> Iterable[Any]:
    """What is worth trying in a field."""
    rules = field.GetOptions().Extensions[validate_pb2.field]
    if _is_map(field):
        return _maps(field, rules, inner)
    if field.is_repeated:
        return _lists(field, rules, inner)
    return _singles(field, rules, inner)


def _lists(field: FieldDescriptor, rules: Any, inner: _Inner) -> Iterator[Sequence[Any]]:
    items = list(_singles(field, rules.repeated.items, inner))
    fits = _first_that_fits(field, items, lambda item: [item])
    yield from ([], [fits], [fits, fits])
    for item in items:
        yield from ([item], [fits, item])
    for length in {rules.repeated.min_items, rules.repeated.max_items} - {0}:
        for count in (length - 1, length, length + 1):
            yield [fits] * count
            if isinstance(fits, str):
                yield [f"{fits}{index}" for index in range(count)]


def _maps(field: Any, rules: Any, inner: _Inner) -> Iterator[dict[Any, Any]]:
    key, value = field.message_type.fields
    keys = list(_singles(key, rules.map.keys, inner))
    values = list(_singles(value, rules.map.values, inner))
    worth = values[0] if value.message_type is None else _good(value.message_type)
    fits = _first_that_fits(field, keys, lambda each: {each: worth})
    yield from ({}, {fits: worth})
    yield from ({each: worth} for each in keys)
    yield from ({fits: each} for each in values)
    for count in {rules.map.max_pairs, rules.map.max_pairs + 1, rules.map.min_pairs}:
        yield {f"{fits}{index}": worth for index in range(count)}


def _first_that_fits(
    field: FieldDescriptor, values: Sequence[Any], held: Callable[[Any], Any]
) -> Any:
    """The first with which the field has fewer flaws than with the others."""
    empty = new(field.containing_type)
    return min(values, key=lambda value: _flaws(with_field(empty, field, held(value))))


def _singles(field: Any, rules: Any, inner: _Inner) -> Iterable[Any]:
    named = {int(number) for number in re.findall(r"\d+", str(rules))}
    match field.type:
        case FieldDescriptor.TYPE_MESSAGE:
            return _messages(field.message_type, rules, inner)
        case FieldDescriptor.TYPE_STRING:
            return _texts(named)
        case FieldDescriptor.TYPE_BYTES:
            return _bytes(named)
        case FieldDescriptor.TYPE_ENUM:
            known = field.enum_type.values_by_number
            return (*sorted(known, reverse=True), max(known) + 1, -1, 2**31 - 1, -(2**31))
        case FieldDescriptor.TYPE_BOOL:
            return (True, False)
        case FieldDescriptor.TYPE_DOUBLE | FieldDescriptor.TYPE_FLOAT:
            return _FRACTIONS
        case _:
            low, high = _WIDTHS[field.type]
            near = {number + step for number in named for step in (-1, 0, 1)} | {-1, 0, 1}
            return sorted({low, high, *(each for each in near if low <= each <= high)}, key=abs)


def _texts(named: Iterable[int]) -> Iterator[str]:
    lengths = sorted({length + step for length in named if length < _LONGEST for step in (0, 1)})
    yield from _TEXTS
    for text in _TEXTS[:-10]:
        if text:
            yield from (f"{text}\n", f"{text}\0", f"\n{text}", f"{text} ", f" {text}")
    for length in lengths:
        for first, more in (("a", "a"), ("a", "é"), ("0a", "0a"), ("1", "1"), ("https://a", "a")):
            yield (first + more * length)[:length]
            yield first + more * length
    for length in lengths:
        if length < 100:
            yield from (".".join(["1"] * length), "-".join(["abc"] * length), f"1-{'a' * length}")


def _bytes(named: Iterable[int]) -> Iterator[bytes]:
    lengths = {length + step for length in named if length < _LONGEST for step in (-1, 0, 1)}
    for length in sorted((lengths | {0, 1, 15, 16, 17, 32}) - {-1}):
        yield from (bytes(length), b"\4" * length, b"a" * length)


def _messages(descriptor: Descriptor, rules: Any, inner: _Inner) -> Iterable[Message]:
    match descriptor.full_name:
        case "google.protobuf.Duration":
            return _durations(rules.duration)
        case "google.protobuf.Timestamp":
            return (Timestamp(seconds=1), Timestamp(), Timestamp(seconds=-(2**62), nanos=-1))
        case "google.protobuf.Struct":
            texts: Sequence[dict[str, Any]] = ({}, {"a": "b"}, {"a": {"b": ["\0"]}}, {"\0": 1})
            return [_struct(each) for each in texts]
        case _:
            return inner(descriptor)


def _struct(values: dict[str, Any]) -> Struct:
    made = Struct()
    made.update(values)
    return made


def _durations(rules: Any) -> Iterator[Duration]:
    yield Duration()
    for bound in {0, rules.gte.seconds, rules.lte.seconds}:
        for seconds in (bound - 1, bound, bound + 1):
            for nanos in (0, 1, -1, 999_999_999, 10**9, 2 * 10**9, -(2 * 10**9)):
                yield Duration(seconds=seconds, nanos=nanos)
    yield from (Duration(seconds=2**62), Duration(seconds=-(2**62)))
