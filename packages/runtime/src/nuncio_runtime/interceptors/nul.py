"""Texts with U+0000, the one character that PostgreSQL cannot keep."""

from collections.abc import Callable, Sequence
from functools import cache, partial
from typing import Any, Final, TypeAlias

from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message

# Gives the paths below a field's value.
_Search: TypeAlias = Callable[[Any], Sequence[str]]

_NOWHERE: Final = ()


def paths_with_nul(message: Message) -> Sequence[str]:
    """The paths of the texts with U+0000 (`row[2].tags[0]`); for a map's key, that of the map."""
    # Few messages have the byte at all, and writing one out is much faster than walking it.
    return _paths(message) if b"\0" in message.SerializeToString() else _NOWHERE


def _paths(message: Message) -> list[str]:
    found: list[str] = []
    for field, value in message.ListFields():
        search = _search_for(field)
        if search is not None:
            found += [f"{field.name}{path}" for path in search(value)]
    return found


def _in_text(text: str) -> Sequence[str]:
    return ("",) if "\0" in text else _NOWHERE


def _in_texts(texts: Sequence[str]) -> Sequence[str]:
    return [f"[{index}]" for index, text in enumerate(texts) if "\0" in text]


def _in_message(message: Message) -> Sequence[str]:
    return [f".{path}" for path in _paths(message)]


def _in_messages(messages: Sequence[Message]) -> Sequence[str]:
    return [
        f"[{index}].{path}"
        for index, message in enumerate(messages)
        for path in paths_with_nul(message)
    ]


def _in_map(entries: Any, *, in_key: _Search | None, in_value: _Search | None) -> Sequence[str]:
    found: list[str] = []
    if in_key is not None and any(map(in_key, entries)):
        found.append("")
    if in_value is not None:
        found += [f'["{key}"]{path}' for key in entries for path in in_value(entries[key])]
    return found


@cache
def _search_for(field: FieldDescriptor) -> _Search | None:
    """How to search values of the field, None when they hold no text."""
    inner: Descriptor | None = field.message_type
    if inner is not None and inner.GetOptions().map_entry:
        key, value = inner.fields
        return partial(_in_map, in_key=_search_for(key), in_value=_search_for(value))
    if inner is not None and not _may_hold_text(inner):
        return None
    if inner is not None:
        return _in_messages if field.is_repeated else _in_message
    if field.type == FieldDescriptor.TYPE_STRING:
        return _in_texts if field.is_repeated else _in_text
    return None


@cache
def _may_hold_text(descriptor: Descriptor) -> bool:
    """Whether a text is somewhere in messages of the type."""
    seen, left = {descriptor.full_name}, [descriptor]
    while left:
        for field in left.pop().fields:
            if field.type == FieldDescriptor.TYPE_STRING:
                return True
            inner: Descriptor | None = field.message_type
            if inner is not None and inner.full_name not in seen:
                seen.add(inner.full_name)
                left.append(inner)
    return False
